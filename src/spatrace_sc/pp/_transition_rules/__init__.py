"""Rules that link each cell to later cells."""
