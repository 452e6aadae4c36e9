"""Block-QNN's blocks (Zhong, Yan, Wu, Shao and Liu 2018, "Practical Block-wise Neural Network Architecture Generation",
arXiv:1708.05552, sections 3.1 and 4).

A genome is the Network Structure Code of one block: a token for each layer, written as in the paper, with the layer's
number, type, kernel and one or two earlier layers as its inputs; 0 is the input of the block.

    (1,4,0,0,0)(2,1,3,1,0)(3,1,3,2,0)(4,5,0,1,3)(5,7,0,0,0)    two 3x3 convolutions with a shortcut

Copies of one block are stacked, with pooling between the stages. The outputs of layers that no other layer takes are
concatenated as the output of the block.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    Operation,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Space, require_closed
from evonas.support.text import brief

CONVOLUTION, MAX_POOL, AVERAGE_POOL, IDENTITY, ADD, CONCATENATE, TERMINAL = range(1, 8)
KERNELS = {CONVOLUTION: (1, 3, 5), MAX_POOL: (1, 3), AVERAGE_POOL: (1, 3), IDENTITY: (0,)}  # table 1

_LAYER = re.compile(rf"\(({NUMBER}),([1-7]),([0-9]),({NUMBER}),({NUMBER})\)")


@dataclass(frozen=True)
class Layer:
    """A layer of a block: its number, type, kernel size, and the layers that are its inputs (0: the block's input)."""

    number: int
    type: int
    kernel: int
    inputs: tuple[int, ...]

    def __str__(self) -> str:
        first, second = (*self.inputs, 0, 0)[:2]
        return f"({self.number},{self.type},{self.kernel},{first},{second})"


@dataclass(frozen=True)
class BlockQNNSpace(Space):
    """Blocks of at most `longest` layers, including the terminal one.

    blocks        N, the number of blocks in each of the three stages
    channels      width of the first stage; doubled in each later one
    from_input    layers after the first may take the block's input too, not only earlier layers
    """

    name: ClassVar[str] = "block-qnn"
    longest: int = 23
    blocks: int = 4
    channels: int = 32
    from_input: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.longest < 2 or min(self.blocks, self.channels) < 1 or self.outputs < 1:
            raise UserError(f"longest is {self.longest}, blocks {self.blocks}, channels {self.channels} and outputs "
                            f"{self.outputs}; use at least 2, 1, 1 and 1")  # fmt: skip
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        if prefix and _read(prefix[-1]).type == TERMINAL:
            return None
        number = len(prefix) + 1
        return Decision(f"layer{number}", _tokens(number, number == self.longest, self.from_input), number)

    def observe(self, prefix: Genome) -> Hashable:
        """The paper's state, which is the last layer."""
        return prefix[-1] if prefix else ""

    def format(self, genome: Genome) -> str:
        self.decisions(genome)
        return "".join(map(str, genome))

    def parse(self, code: str) -> tuple[str, ...]:
        """Read what `format` writes, ignoring spaces. Raises CodeError, which names the faulty place."""
        text = "".join(code.split())
        genome = tuple(found[0] for found in _LAYER.finditer(text))
        if "".join(genome) != text:
            raise CodeError(
                f"code {brief(code)!r} is not a block; write layers of five numbers, as in (1,1,3,0,0)(2,7,0,0,0)"
            )
        self.decisions(genome)
        return genome

    def density(self, genome: Genome) -> float:
        """The number of edges per node of the block. Its input and its layers are nodes; the terminal layer and the
        concatenation at the end do not count."""
        layers = [_read(token) for token in genome[:-1]]
        return sum(len(layer.inputs) for layer in layers) / (1 + len(layers))

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        require_closed(genome, "a block with open tokens has no network, because what a layer means depends on them")
        self.decisions(genome)
        layers = [_read(token) for token in genome[:-1]]
        draft = Draft(self.input_shape)
        x: str | None = draft.node("stem", [INPUT], Convolution(self.channels), BatchNorm())
        for stage in range(3):
            if stage:
                x = draft.node(f"pool{stage}", [x], MaxPool(2, 2, 0))
            for block in range(self.blocks):
                x = _block(draft, f"stage{stage + 1}/block{block + 1}", x, self.channels * 2**stage, layers)
        draft.node("classifier", [x], ReLU(), GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


@cache
def _tokens(number: int, last: bool, from_input: bool) -> tuple[str, ...]:
    """The legal layers with this number. There are hundreds, so they are built once."""
    terminal = [Layer(number, TERMINAL, 0, ())] if number > 1 else []
    if last:
        return tuple(map(str, terminal))
    earlier = range(0 if number == 1 or from_input else 1, number)
    one = [
        Layer(number, kind, kernel, (source,))
        for kind, kernels in KERNELS.items()
        for kernel in kernels
        for source in earlier
    ]
    two = [Layer(number, kind, 0, pair) for kind in (ADD, CONCATENATE) for pair in combinations(earlier, 2)]
    return tuple(map(str, one + two + terminal))


def _block(draft: Draft, name: str, x: str | None, channels: int, layers: list[Layer]) -> str | None:
    states = [x]
    for layer in layers:
        here = f"{name}/layer{layer.number}"
        sources = [states[source] for source in layer.inputs]
        if layer.type == ADD and len({draft.shape(str(source)) for source in sources}) > 1:
            sources = [_widened(draft, f"{here}-input{nth}", source, channels) for nth, source in enumerate(sources, 1)]
        combine = "concat" if layer.type == CONCATENATE else "sum"
        states.append(draft.node(here, sources, *_operations(layer, channels), combine=combine))
    taken = {source for layer in layers for source in layer.inputs}
    loose = [states[layer.number] for layer in layers if layer.number not in taken]
    return draft.node(f"{name}/output", loose, combine="concat")


def _operations(layer: Layer, channels: int) -> list[Operation]:
    """The operations of a layer. A convolution is preceded by ReLU and followed by batch norm (the paper's
    pre-activation cell)."""
    if layer.type == CONVOLUTION:
        return [ReLU(), Convolution(channels, layer.kernel), BatchNorm()]
    if layer.type == MAX_POOL:
        return [MaxPool(layer.kernel, 1, layer.kernel // 2)]
    if layer.type == AVERAGE_POOL:
        return [AveragePool(layer.kernel, 1, layer.kernel // 2)]
    return [Identity()] if layer.type == IDENTITY else []


def _widened(draft: Draft, name: str, source: str | None, channels: int) -> str | None:
    """The source brought to the width of the stage; the paper does not say how maps of two widths are added."""
    if draft.shape(str(source))[0] == channels:
        return source
    return draft.node(name, [source], ReLU(), Convolution(channels, 1), BatchNorm())


def _read(token: object) -> Layer:
    found = _LAYER.fullmatch(str(token))
    if found is None:
        raise CodeError(f"{token!r} is not a layer; write five numbers, as in (1,1,3,0,0)")
    number, kind, kernel, first, second = map(int, found.groups())
    inputs = {ADD: (first, second), CONCATENATE: (first, second), TERMINAL: ()}.get(kind, (first,))
    return Layer(number, kind, kernel, inputs)
