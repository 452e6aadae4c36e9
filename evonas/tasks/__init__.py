"""What networks learn: splits of data, the head in which a graph ends, loss and metrics."""
