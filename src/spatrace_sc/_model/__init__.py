"""The predictive model and its evidence: tensors in, tensors and arrays out, without AnnData."""
