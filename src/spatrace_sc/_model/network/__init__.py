"""The attention network and its gradient training."""
