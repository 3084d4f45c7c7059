"""Rules that link each cell to earlier cells."""
