"""What is taken away from a search: a trained network, its final training, and its export as plain PyTorch."""
