"""MetaQNN's chains (Baker, Gupta, Naik and Raskar 2017, "Designing Neural Network Architectures using Reinforcement
Learning", arXiv:1611.02167, section 4 and table 1; rules that the text leaves open are those of the published code).

A genome is a list of layers, each a token as the paper writes it, with a termination at the end:

    C(64,3,1)   convolution: filters, size, stride; the map keeps its size; ReLU
    P(2,2)      max pooling: size, stride
    FC(128)     fully connected layer; ReLU
    SM          softmax over the classes, after a linear layer
    GAP         global average pooling of one map per class, from a 1x1 convolution
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    Convolution,
    Crop,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Space, require_closed
from evonas.support.text import brief

SOFTMAX, AVERAGE = "SM", "GAP"  # the terminations
MOST_DENSE = 2  # most fully connected layers in a row

_WORD = rf"(GAP|SM|FC|C|P)(?:\( *({NUMBER}(?: *, *{NUMBER})*) *\))?"
_CHAIN = re.compile(rf"(?:{_WORD}\s*,?\s*)*")
_LAYER = re.compile(rf"(C|P|FC)\(({NUMBER}(?:,{NUMBER})*)\)")


@dataclass(frozen=True)
class Place:
    """The state of a chain, which determines the layers that may follow.

    depth   number of layers so far
    last    kind of the last layer: C, P, FC, a termination, or "" at the start
    side    side of the map in pixels; maps are square
    dense   number of fully connected layers so far
    width   width of the last of them
    """

    depth: int = 0
    last: str = ""
    side: int = 0
    dense: int = 0
    width: int = 0


@dataclass(frozen=True)
class MetaQNNSpace(Space):
    """Chains of at most `longest` layers, in which the legal next layers depend on the earlier ones.

    A pooling is neither the first layer nor follows another pooling. Filters and windows are smaller than the map.
    Fully connected layers come where the map has at most seven pixels a side; there are at most two, the second no
    wider than the first, and only a termination follows them. Images must be square.

    by_bin   filters and windows are smaller than the bin of the map's size, which is 8, 4 or 1, as in the published
             code, instead of the map. It is a smaller space, without the paper's third network for CIFAR-10, whose last
             filter of 5 meets a map of 7
    """

    name: ClassVar[str] = "metaqnn"
    longest: int = 18
    filters: tuple[int, ...] = (64, 128, 256, 512)
    kernels: tuple[int, ...] = (1, 3, 5)
    pools: tuple[int, ...] = (5, 3, 2)  # sizes, and
    strides: tuple[int, ...] = (3, 2, 2)  # their strides
    dense: tuple[int, ...] = (512, 256, 128)
    by_bin: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.longest < 1 or self.outputs < 1 or min((*self.filters, *self.dense, *self.pools, *self.strides)) < 1:
            raise UserError("longest, filters, dense, pools, strides and outputs must be at least 1")
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise UserError(f"kernels is {self.kernels}; use odd sizes, which keep the size of the map")
        if len(self.pools) != len(self.strides):
            raise UserError(f"pools is {self.pools} and strides {self.strides}; give a stride for each size")
        if self.input_shape[1] != self.input_shape[2]:
            raise UserError(f"images of {self.input_shape} are not square; resize them (`--size`)")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        place = self._place(prefix)
        if place.last in (SOFTMAX, AVERAGE):
            return None
        return Decision(f"layer{place.depth + 1}", tuple(self._layers(place)), place)

    def _layers(self, at: Place) -> list[str]:
        """The legal next tokens: convolutions, poolings, fully connected layers, terminations."""
        ends = [SOFTMAX] if at.last == "FC" else [SOFTMAX, AVERAGE]
        if at.depth == self.longest:
            return ends[:1]
        room = self._bin(at.side) if self.by_bin else at.side
        layers = []
        if at.last != "FC":
            layers += [f"C({filters},{kernel},1)" for filters in self.filters for kernel in self.kernels
                       if kernel < room]  # fmt: skip
        if at.last == "C":
            layers += [f"P({size},{stride})" for size, stride in zip(self.pools, self.strides, strict=True)
                       if size < room and pooled(at.side, size, stride) > 0]  # fmt: skip
        if (self._bin(at.side) < 8 or at.last == "FC") and at.dense < MOST_DENSE:
            layers += [f"FC({width})" for width in self.dense if not at.dense or width <= at.width]
        return layers + ends

    def _place(self, prefix: Genome) -> Place:
        place = Place(side=self.input_shape[1])
        for token in prefix:
            kind, numbers = _read(token)
            side, dense, width = place.side, place.dense, place.width
            if kind == "P":
                side = pooled(side, *numbers)
            elif kind == "FC":
                dense, width = dense + 1, numbers[0]
            place = Place(place.depth + 1, kind, side, dense, width)
        return place

    @staticmethod
    def _bin(side: int) -> int:
        """The paper's bins of representation sizes, as in its code: from 8, from 4, and below."""
        return 8 if side > 7 else 4 if side > 3 else 1

    def observe(self, prefix: Genome) -> Hashable:
        """The paper's state: the last layer, the depth and the bin of the map's size. Sizes within a bin cannot be told
        apart, so transitions look stochastic."""
        place = self._place(prefix)
        return (prefix[-1] if prefix else "", place.depth, self._bin(place.side), place.dense)

    def format(self, genome: Genome) -> str:
        """The code in the paper's notation: [C(512,5,1), P(2,2), FC(128), SM(10)]."""
        self.decisions(genome)
        ends = {SOFTMAX: f"SM({self.outputs})", AVERAGE: f"GAP({self.outputs}), SM({self.outputs})"}
        return f"[{', '.join(ends.get(str(token), str(token)) for token in genome)}]"

    def parse(self, code: str) -> tuple[str, ...]:
        """Read what `format` writes; a stride of 1, the brackets and the termination SM may be omitted. The numbers of
        the terminations are the classes of the data for which a code was published, and say nothing here."""
        chain = code.strip()
        if chain.startswith("[") and chain.endswith("]"):
            chain = chain[1:-1].strip()
        if not _CHAIN.fullmatch(chain):
            raise CodeError(f"code {brief(code)!r} is not a chain; write layers as in [C(64,3,1), P(2,2), FC(128), SM]")
        genome: list[str] = []
        for kind, numbers in re.findall(_WORD, chain.replace(" ", "")):
            if kind == "C" and numbers.count(",") == 1:
                numbers += ",1"
            if kind in (SOFTMAX, AVERAGE) and "," not in numbers:
                numbers = ""
            if not (kind == SOFTMAX and genome[-1:] == [AVERAGE]):
                genome.append(f"{kind}({numbers})" if numbers else kind)
        if not genome or genome[-1] not in (SOFTMAX, AVERAGE):
            genome.append(SOFTMAX)
        self.decisions(genome)
        return tuple(genome)

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Every two layers are followed by a dropout, the i-th of n with rate i / 2n (section
        6)."""
        require_closed(genome, "a chain with open tokens has no network, because what may follow depends on them")
        self.decisions(genome)
        draft = Draft(self.input_shape)
        x: str | None = INPUT
        side, flat, layers = self.input_shape[1], False, genome[:-1]
        for number, token in enumerate(layers, 1):
            kind, numbers = _read(token)
            steps: list[Operation] = []
            if kind == "C":
                steps = [Convolution(numbers[0], numbers[1], numbers[2], bias=True), ReLU()]
            elif kind == "P":
                steps, side = [*_floored(side, *numbers), MaxPool(numbers[0], numbers[1], 0)], pooled(side, *numbers)
            else:
                steps, flat = [*([] if flat else [Flatten()]), Linear(numbers[0]), ReLU()], True
            if number % 2 == 0:
                steps.append(Dropout(number // 2 / (2 * (len(layers) // 2))))
            x = draft.node(f"layer{number}", [x], *steps)
        if genome[-1] == AVERAGE:
            draft.node("classifier", [x], Convolution(self.outputs, 1, bias=True), GlobalAveragePool())
        else:
            draft.node("classifier", [x], *([] if flat else [Flatten()]), Linear(self.outputs))
        return draft.graph()


def pooled(side: int, size: int, stride: int) -> int:
    """The paper's size after pooling, floor((n - f + 1) / s), which its parameter counts require; PyTorch and the
    published code use ceil((n - f + 1) / s)."""
    return (side - size + 1) // stride


def _floored(side: int, size: int, stride: int) -> list[Operation]:
    """A crop of the pixels from which PyTorch would make an additional row."""
    surplus = side - size + 1 - pooled(side, size, stride) * stride
    return [Crop(surplus, surplus)] if surplus else []


def _read(token: Any) -> tuple[str, Sequence[int]]:
    """A token as (kind, numbers): ("C", (64, 3, 1)) for "C(64,3,1)", ("SM", ()) for "SM"."""
    if token in (SOFTMAX, AVERAGE):
        return token, ()
    found = _LAYER.fullmatch(str(token))
    if found is None:
        raise CodeError(f"{token!r} is not a layer; write C(64,3,1), P(2,2), FC(128), SM or GAP")
    return found[1], tuple(map(int, found[2].split(",")))
