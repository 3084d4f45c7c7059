"""Memory limits and distributed execution."""
