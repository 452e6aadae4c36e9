"""Activations beside ReLU. Each acts on every value by itself, and keeps for its gradient what it needs alone."""

from __future__ import annotations

from dataclasses import dataclass

from evonas.operations.layers import Own


@dataclass(frozen=True)
class LeakyReLU(Own):
    """slope   by which what is negative is multiplied, above 0"""

    name = "leaky_relu"
    keeps = "output"
    overwrites = True
    pure = True
    slope: float = 0.01

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise ValueError(f"the slope of a leaky ReLU is {self.slope}; use more than 0, or ReLU()")


@dataclass(frozen=True)
class ELU(Own):
    """Exponential linear units (Clevert et al. 2016)."""

    name = "elu"
    keeps = "output"
    overwrites = True
    pure = True


@dataclass(frozen=True)
class GELU(Own):
    """Gaussian error linear units (Hendrycks and Gimpel 2016)."""

    name = "gelu"
    pure = True


@dataclass(frozen=True)
class SiLU(Own):
    """x times its sigmoid; also called Swish (Ramachandran et al. 2017)."""

    name = "silu"
    pure = True


@dataclass(frozen=True)
class HardSwish(Own):
    """Swish by straight lines, for small devices (Howard et al. 2019)."""

    name = "hard_swish"
    pure = True


@dataclass(frozen=True)
class Tanh(Own):
    name = "tanh"
    keeps = "output"
    pure = True


@dataclass(frozen=True)
class Sigmoid(Own):
    name = "sigmoid"
    keeps = "output"
    pure = True


ACTIVATIONS = (ELU, GELU, HardSwish, LeakyReLU, SiLU, Sigmoid, Tanh)  # without ReLU
