"""The trained model, in torch, on plain tensors and a frozen configuration. Nothing here knows AnnData."""
