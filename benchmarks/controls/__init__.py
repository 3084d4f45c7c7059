"""Whether controls on a tissue estimate its true false share and power."""
