"""Training a network: the loop over batches, its memory and its latency."""
