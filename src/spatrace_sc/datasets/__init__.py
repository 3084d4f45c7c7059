from ._simulated import simulated
