"""Hierarchical cells (Liu, Simonyan, Vinyals, Fernando and Kavukcuoglu 2018, "Hierarchical Representations for
Efficient Architecture Search", arXiv:1711.00436, section 2).

Six motifs of four nodes place primitive operations on their edges; one motif of five nodes places those motifs. A node
concatenates what arrives, so widths grow inside a motif, and a 1x1 convolution brings each small motif back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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

NONE = "none"
PRIMITIVES = ("identity", "conv_1x1", "depthwise_3x3", "separable_3x3", "max_pool_3x3", "avg_pool_3x3")
MOTIFS = 6  # of level 2
NODES = {2: 4, 3: 5}  # level -> nodes of its motifs
EDGES = {level: tuple((a, b) for b in range(2, nodes + 1) for a in range(1, b)) for level, nodes in NODES.items()}
OPTIONS: dict[int, tuple[Token, ...]] = {2: (NONE, *PRIMITIVES), 3: (NONE, *range(1, MOTIFS + 1))}


@dataclass(frozen=True)
class HierarchicalSpace(Space):
    """Genomes are 46 symbols: six for each of the six motifs of level 2, then ten for the motif of level 3; each is
    `none` or what stands on the edge, by target.

    A motif that no path crosses gives nothing, like `none`; a genome whose whole cell gives nothing has no network.

    channels   of the first stage; doubled by each of two strided separable convolutions
    cells      in each of the three stages; separable convolutions stand between them
    """

    name: ClassVar[str] = "hierarchical"
    channels: int = 16
    cells: int = 1
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    def __post_init__(self) -> None:
        if min(self.channels, self.cells) < 1 or self.classes < 2:
            raise UserError("channels and cells are at least 1, classes at least 2")
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        position = len(prefix)
        if position == len(PLACES):
            return None
        level, motif, (source, target) = PLACES[position]
        return Decision(f"level{level}/motif{motif}/{target}<-{source}", OPTIONS[level], position)

    def trivial(self) -> tuple[Token, ...]:
        """The genome in which every motif is a chain, of identities and of the first motif: where evolution begins."""
        carries: dict[int, Token] = {2: "identity", 3: 1}
        return tuple(carries[level] if target == source + 1 else NONE for level, _, (source, target) in PLACES)

    def format(self, genome: Genome) -> str:
        """The motifs of level 2, then that of level 3, as digits by target: `0` none, else the option's number."""
        self.decisions(genome)
        words: dict[tuple[int, int], dict[int, str]] = {}
        for (level, number, (_, target)), token in zip(PLACES, genome, strict=True):
            by_target = words.setdefault((level, number), {})
            by_target[target] = by_target.get(target, "") + str(OPTIONS[level].index(token))
        return " ".join("-".join(by_target.values()) for by_target in words.values())

    def parse(self, code: str) -> tuple[Token, ...]:
        digits = code.replace("-", "").replace(" ", "")
        if len(digits) != len(PLACES) or set(digits) - set("0123456"):
            raise CodeError(f"code {code!r} is no genome of this space; give {len(PLACES)} digits of 0 to 6, such as "
                            f"{self.format(self.trivial())}")  # fmt: skip
        return tuple(OPTIONS[level][int(digit)] for (level, _, _), digit in zip(PLACES, digits, strict=True))

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """Raises CodeError for a cell without a path from its input to its output, and for open tokens: what an edge
        carries decides the widths behind it, so there is no supernet of this space."""
        if any(isinstance(token, Open) for token in genome):
            raise CodeError("a token is open; this space has no supernet, because its widths depend on every token")
        self.decisions(genome)
        draft = Draft(self.input_shape)
        channels = self.channels
        x = draft.node("stem", [INPUT], *_conv(channels, 3))
        for stage in (1, 2, 3):
            for number in range(1, self.cells + 1):
                output = _cell(draft, f"stage{stage}/cell{number}", str(x), channels, genome)
                if output is None:
                    raise CodeError("no path leads from the input of the cell to its output; put operations on a chain "
                                    "of edges of level 3, and on those of the motifs that it names")  # fmt: skip
                ends = number == self.cells
                stride = 2 if ends and stage < 3 else 1
                channels *= stride
                steps = _separable(draft.shape(output)[0], channels, stride)
                x = draft.node(f"stage{stage}/separable{number}", [output], *steps)
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.classes))
        return draft.graph()


def _places() -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(level, motif, edge) of each symbol."""
    for motif in range(1, MOTIFS + 1):
        yield from ((2, motif, edge) for edge in EDGES[2])
    yield from ((3, 1, edge) for edge in EDGES[3])


PLACES = tuple(_places())


def _cell(draft: Draft, name: str, x: str, channels: int, genome: Genome) -> str | None:
    """The motif of level 3 on this input."""
    size = len(EDGES[2])

    def place(at: str, number: Token, state: str) -> str | None:
        start = (int(str(number)) - 1) * size
        return motif(draft, f"{at}/motif{number}", state, channels, genome[start : start + size])

    return _assembled(draft, name, 3, x, genome[MOTIFS * size :], place)


def motif(draft: Draft, name: str, x: str, channels: int, symbols: Sequence[Token | Open]) -> str | None:
    """A motif of level 2 on the input x, and the 1x1 convolution to the width of x; None where it gives nothing."""

    def place(at: str, primitive: Token, state: str) -> str | None:
        return draft.node(f"{at}/{primitive}", [state], *_primitive(str(primitive), channels, draft.shape(state)[0]))

    output = _assembled(draft, name, 2, x, symbols, place)
    return draft.node(f"{name}/output", [output], *_conv(draft.shape(x)[0], 1))


def _assembled(
    draft: Draft, name: str, level: int, x: str, symbols: Sequence[Token | Open],
    place: Callable[[str, Token, str], str | None],
) -> str | None:  # fmt: skip
    """The last node of a motif of this level (the paper's "assemble"): each node concatenates what arrives, and `place`
    puts what an edge carries, below a name, on the node that it leaves."""
    states: dict[int, str | None] = {1: x}
    carried = dict(zip(EDGES[level], symbols, strict=True))
    for target in range(2, NODES[level] + 1):
        arriving: list[str | None] = []
        for source in range(1, target):
            token, state = carried[source, target], states[source]
            if token != NONE and state is not None:
                arriving.append(place(f"{name}/{source}-{target}", token, state))
        states[target] = draft.node(f"{name}/node{target}", arriving, combine="concat")
    return states[NODES[level]]


def _primitive(name: str, channels: int, width: int) -> tuple[Operation, ...]:
    """Convolutions of the stage's width, depthwise ones and pools of the width that arrives."""
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
