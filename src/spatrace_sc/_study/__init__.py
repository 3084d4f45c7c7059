"""One data set as arrays and tensors, ready for inference."""
