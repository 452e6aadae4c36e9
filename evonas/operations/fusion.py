"""How a node joins its inputs where that has weights of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evonas.operations.layers import Own, of_image
from evonas.operations.operation import Shape
from evonas.support.call import Call

LEAST_UNITS = 4  # of a node's attention; otherwise a quarter of its channels
JOINS = ("sum", "concat", "attention", "blend")  # how a node may combine its inputs


@dataclass(frozen=True)
class Attention(Own):
    """The mean of several images, each weighted by what two linear layers make of the means of its channels:

        a_k = softmax over k of w^T tanh(V h_k),    h_k: the means of the channels of image k

    (Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning", arXiv:1802.04712, eq. 8). The layers are the
    same for all inputs, so that a node may have any of them.

    It is how a node combines so many inputs (`combine="attention"`), and stands in no list of operations.
    """

    inputs: int

    @property
    def name(self) -> str:  # type: ignore[override]  # a class with a name would be an operation of its own
        return "attention"

    def shape(self, shape: Shape) -> Shape:
        return of_image(self, shape)

    def module(self, shape: Shape) -> Call:
        from evonas.modules import UndrawnAttention  # torch is loaded only where a module is wanted

        return Call(UndrawnAttention, shape[0], units(shape))

    def parameters(self, shape: Shape) -> int:
        return shape[0] * units(shape) + units(shape)

    def multiply_adds(self, shape: Shape) -> int:
        return self.inputs * self.parameters(shape)

    def written(self) -> dict[str, Any]:
        return {"kind": self.name, "inputs": self.inputs}


@dataclass(frozen=True)
class Blend(Own):
    """Two inputs, of which the second begins by counting as nothing (Elsken, Metzen and Hutter 2017, arXiv:1711.04528,
    eq. 4):

        lambda x + (1 - lambda) h,    lambda is learned and begins at 1

    It is how a node combines two inputs (`combine="blend"`), and stands in no list of operations.
    """

    @property
    def name(self) -> str:  # type: ignore[override]  # a class with a name would be an operation of its own
        return "blend"

    def module(self, shape: Shape) -> Call:
        from evonas.modules import Blend as Module  # torch is loaded only where a module is wanted

        return Call(Module)

    def parameters(self, shape: Shape) -> int:
        return 1

    def written(self) -> dict[str, Any]:
        return {"kind": self.name}


def units(shape: Shape) -> int:
    return max(shape[0] // 4, LEAST_UNITS)
