"""Reading and checking of AnnData and SpatialData."""
