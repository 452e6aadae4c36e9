"""Search strategies, which propose genomes and learn from their fitness."""

from evonas.strategies.strategy import Strategy, adopt

__all__ = ["Strategy", "adopt"]
