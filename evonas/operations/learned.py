"""Operations whose form is learnt along a training."""

from __future__ import annotations

from dataclasses import dataclass

from evonas.operations.layers import Own, of_image
from evonas.operations.operation import Shape


@dataclass(frozen=True)
class LearnedGroupConvolution(Own):
    """1x1 convolution in groups, each of which learns which inputs it takes (Huang et al. 2018, "CondenseNet",
    arXiv:1711.09224, section 3).

    A training begins with all inputs in each group and ends with 1 in C of them. What is counted is what is left: a
    selection of channels and a convolution in groups.

    channels       of the output
    groups         of filters, one after the other
    condensation   C
    lasso          weight of the group lasso in the loss of a training
    """

    name = "learned_group_conv"
    keeps = "input"
    overwritable = True
    channels: int
    groups: int = 4
    condensation: int = 4
    lasso: float = 1e-5

    def __post_init__(self) -> None:
        if min(self.channels, self.groups, self.condensation) < 1 or self.lasso < 0:
            raise ValueError(f"{self!r}: channels, groups and condensation are at least 1, and lasso is not negative")

    def shape(self, shape: Shape) -> Shape:
        channels, *size = of_image(self, shape)
        if channels % self.condensation or self.channels % self.groups:
            raise ValueError(f"{channels} -> {self.channels} channels do not divide: the first by the condensation of "
                             f"{self.condensation}, the second into {self.groups} groups")  # fmt: skip
        return (self.channels, *size)

    def taken(self, shape: Shape) -> int:
        """Inputs that each group has in the end."""
        return shape[0] // self.condensation

    def parameters(self, shape: Shape) -> int:
        return self.taken(shape) * self.channels

    def parameters_in_training(self, shape: Shape) -> int:
        return shape[0] * self.channels

    def multiply_adds(self, shape: Shape) -> int:
        return self.parameters(shape) * shape[1] * shape[2]

    def __str__(self) -> str:
        return f"conv {self.channels} 1x1 {self.groups} learned groups of 1/{self.condensation}"
