"""Hierarchical cells (Liu, Simonyan, Vinyals, Fernando and Kavukcuoglu 2018, "Hierarchical Representations for
Efficient Architecture Search", arXiv:1711.00436, section 2).

Six motifs of four nodes have primitive operations on their edges; one motif of five nodes has those motifs on its
edges. A node concatenates its inputs, so widths grow inside a motif, and a 1x1 convolution brings each motif of
primitives back to the original width. The flat space of the paper's comparison is a single motif of primitives with
eleven nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import ClassVar

from evonas.errors import UserError
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
from evonas.space import CodeError, Decision, Genome, Open, Space, Token
from evonas.support.text import brief

NONE = "none"
PRIMITIVES = ("identity", "conv_1x1", "depthwise_3x3", "separable_3x3", "max_pool_3x3", "avg_pool_3x3")


@dataclass(frozen=True)
class Level:
    """The number of motifs and of nodes in each motif of a level, and the options for what an edge carries."""

    motifs: int
    nodes: int
    options: tuple[Token, ...]

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The edges of a motif as (source, target), by target."""
        return tuple((a, b) for b in range(2, self.nodes + 1) for a in range(1, b))


HIERARCHY = {2: Level(6, 4, (NONE, *PRIMITIVES)), 3: Level(1, 5, (NONE, *range(1, 7)))}
FLAT = {2: Level(1, 11, (NONE, *PRIMITIVES))}  # about as many edges


@dataclass(frozen=True)
class HierarchicalSpace(Space):
    """Genomes are 46 symbols, six for each of the six motifs of level 2, then ten for the motif of level 3. Each symbol
    is `none` or what the edge carries; edges are ordered by target. In the flat space there are 55, of one motif.

    A motif without a path from input to output yields nothing, like `none`; a genome whose whole cell yields nothing
    has no network.

    channels   width of the first stage; doubled by each of two strided separable convolutions
    cells      number of cells in each of the three stages; separable convolutions stand between them
    flat       no hierarchy: the cell is one motif of level 2 with eleven nodes
    """

    name: ClassVar[str] = "hierarchical"
    channels: int = 16
    cells: int = 1
    flat: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if min(self.channels, self.cells) < 1 or self.outputs < 1:
            raise UserError("channels, cells and outputs must be at least 1")
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    @property
    def levels(self) -> dict[int, Level]:
        return FLAT if self.flat else HIERARCHY

    @property
    def places(self) -> tuple[Place, ...]:
        """The (level, motif, edge) of each symbol."""
        return _places(self.flat)

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        position = len(prefix)
        if position == len(self.places):
            return None
        level, motif, (source, target) = self.places[position]
        return Decision(f"level{level}/motif{motif}/{target}<-{source}", self.levels[level].options, position)

    def trivial(self) -> tuple[Token, ...]:
        """The genome from which evolution begins: every motif is a chain, of identities or of the first motif."""
        carries: dict[int, Token] = {2: "identity", 3: 1}
        return tuple(carries[level] if target == source + 1 else NONE for level, _, (source, target) in self.places)

    def format(self, genome: Genome) -> str:
        """The motifs of level 2, then that of level 3, as digits by target: 0 for none, else the option's number."""
        self.decisions(genome)
        words: dict[tuple[int, int], dict[int, str]] = {}
        for (level, number, (_, target)), token in zip(self.places, genome, strict=True):
            by_target = words.setdefault((level, number), {})
            by_target[target] = by_target.get(target, "") + str(self.levels[level].options.index(token))
        return " ".join("-".join(by_target.values()) for by_target in words.values())

    def parse(self, code: str) -> tuple[Token, ...]:
        digits = code.replace("-", "").replace(" ", "")
        if len(digits) != len(self.places) or set(digits) - set("0123456"):
            raise CodeError(f"code {brief(code)!r} is not a genome of this space; give {len(self.places)} digits of 0 "
                            f"to 6, such as {self.format(self.trivial())}")  # fmt: skip
        options = (self.levels[level].options for level, _, _ in self.places)
        genome = tuple(each[int(digit)] for each, digit in zip(options, digits, strict=True))
        if "-" in code and " ".join(code.split()) != (right := self.format(genome)):
            raise CodeError(f"code {brief(code)!r} divides its digits in another way than this space; is it {right}?")
        return genome

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Raises CodeError for a cell without a path from its input to its output, and for
        open tokens: what an edge carries determines the widths after it, so this space has no supernet."""
        if any(isinstance(token, Open) for token in genome):
            raise CodeError("a token is open; this space has no supernet, because its widths depend on every token")
        self.decisions(genome)
        draft = Draft(self.input_shape)
        channels = self.channels
        x = draft.node("stem", [INPUT], *_conv(channels, 3))
        for stage in (1, 2, 3):
            for number in range(1, self.cells + 1):
                assemble = motif if self.flat else _cell
                output = assemble(draft, f"stage{stage}/cell{number}", str(x), channels, genome)
                if output is None:
                    raise CodeError("no path leads from the input of the cell to its output; put operations on a "
                                    "chain of edges, and on a chain of each motif that it names")  # fmt: skip
                ends = number == self.cells
                stride = 2 if ends and stage < 3 else 1
                channels *= stride
                steps = _separable(draft.shape(output)[0], channels, stride)
                x = draft.node(f"stage{stage}/separable{number}", [output], *steps)
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


Place = tuple[int, int, tuple[int, int]]


@cache
def _places(flat: bool) -> tuple[Place, ...]:
    levels = FLAT if flat else HIERARCHY
    return tuple(
        (level, motif, edge)
        for level, each in levels.items()
        for motif in range(1, each.motifs + 1)
        for edge in each.edges
    )


def _cell(draft: Draft, name: str, x: str, channels: int, genome: Genome) -> str | None:
    """The cell, which is the motif of level 3, applied to this input."""
    size, placed = len(HIERARCHY[2].edges), len(HIERARCHY[3].edges)

    def place(at: str, number: Token, state: str) -> str | None:
        start = (int(str(number)) - 1) * size
        return motif(draft, f"{at}/motif{number}", state, channels, genome[start : start + size])

    return _assembled(draft, name, x, genome[-placed:], place)


def motif(draft: Draft, name: str, x: str, channels: int, symbols: Sequence[Token | Open]) -> str | None:
    """A motif of level 2, of any size, applied to x and followed by the 1x1 convolution to the width of x; None where
    it yields nothing."""

    def place(at: str, primitive: Token, state: str) -> str | None:
        return draft.node(f"{at}/{primitive}", [state], *_primitive(str(primitive), channels, draft.shape(state)[0]))

    output = _assembled(draft, name, x, symbols, place)
    return draft.node(f"{name}/output", [output], *_conv(draft.shape(x)[0], 1))


def _assembled(
    draft: Draft, name: str, x: str, symbols: Sequence[Token | Open],
    place: Callable[[str, Token, str], str | None],
) -> str | None:  # fmt: skip
    """The last node of a motif (the paper's "assemble"). Each node concatenates its inputs; `place` applies what an
    edge carries to the edge's source, under a name. `symbols` are those of n (n - 1) / 2 edges, by target."""
    nodes = (1 + isqrt(1 + 8 * len(symbols))) // 2
    states: dict[int, str | None] = {1: x}
    carried = iter(symbols)
    for target in range(2, nodes + 1):
        arriving: list[str | None] = []
        for source in range(1, target):
            token, state = next(carried), states[source]
            if token != NONE and state is not None:
                arriving.append(place(f"{name}/{source}-{target}", token, state))
        states[target] = draft.node(f"{name}/node{target}", arriving, combine="concat")
    return states[nodes]


def _primitive(name: str, channels: int, width: int) -> tuple[Operation, ...]:
    """The operations of a primitive. Convolutions have the width of the stage, depthwise ones and pools that of their
    input."""
    return {
        "identity": (Identity(),),
        "conv_1x1": _conv(channels, 1),
        "depthwise_3x3": (Convolution(width, 3, groups=width), BatchNorm(), ReLU()),
        "separable_3x3": _separable(width, channels, 1),
        "max_pool_3x3": (MaxPool(3, 1, 1),),
        "avg_pool_3x3": (AveragePool(3, 1, 1),),
    }[name]


def _conv(channels: int, kernel: int) -> tuple[Operation, ...]:
    return Convolution(channels, kernel), BatchNorm(), ReLU()


def _separable(width: int, channels: int, stride: int) -> tuple[Operation, ...]:
    return Convolution(width, 3, stride, groups=width), *_conv(channels, 1)
