"""Changes of a graph after which a network computes what it did before, each with a text form.

The text is KIND:PLACE:VALUE. A place is a step of a node, such as `stage1/block1/residual.conv`, or a node.

Sources: Net2Net (Chen, Goodfellow and Shlens 2016, arXiv:1511.05641), NASH (Elsken, Metzen and Hutter 2017,
arXiv:1711.04528, section 3), Path-level EAS (Cai et al. 2018, arXiv:1806.02639, section 3.1).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import ClassVar

from evonas.graph import INPUT, Graph
from evonas.morphisms.channels import EACH_BY_ITSELF, NEW, Channels, MorphismError, Point, is_dense
from evonas.morphisms.rewrite import Columns, Rewrite, Source, carried_out, changed, renamed
from evonas.nodes import Node
from evonas.operations import (
    BatchNorm,
    Convolution,
    FirstChannels,
    Flatten,
    LastChannels,
    Linear,
    Operation,
    PadChannels,
    ReLU,
    Scale,
    Shape,
    ShuffleChannels,
    Sigmoid,
    SqueezeExcite,
)

# What is not negative stays so: in what treats each channel by itself, batch norms and factors apart, and in what only
# takes channels, arranges them, or scales them by shares.
KEEP_SIGNS = (*(each for each in EACH_BY_ITSELF if each not in (BatchNorm, Scale)), FirstChannels, Flatten,
              LastChannels, PadChannels, ShuffleChannels, SqueezeExcite)  # fmt: skip


@dataclass(frozen=True)
class Morphism:
    """A change of a graph. The function of the network stays what it was, whatever its weights, in evaluation mode,
    where the change is `exact`."""

    kind: ClassVar[str]
    place: str

    @property
    @abstractmethod
    def value(self) -> str:
        """What stands behind the place, in the text form."""

    @classmethod
    @abstractmethod
    def read(cls, place: str, value: str) -> Morphism:
        """The morphism of a text, without its kind. Raises MorphismError."""

    @abstractmethod
    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        """The changed graph, and where its weights come from. Raises MorphismError where that cannot be; the graph
        depends on the text alone, and `rng` only draws which channels are copied."""

    def exact(self, graph: Graph) -> bool:
        """Whether the network computes what it did, up to rounding; otherwise about that. Raises MorphismError where it
        cannot be made."""
        self.check(graph)
        return True

    def is_possible(self, graph: Graph) -> bool:
        """Whether it can be made."""
        try:
            self.check(graph)
        except MorphismError:
            return False
        return True

    @abstractmethod
    def check(self, graph: Graph) -> object:
        """Raises MorphismError where it cannot be made."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}:{self.value}"


@dataclass(frozen=True)
class Widen(Morphism):
    """A convolution or linear layer gets more outputs: copies of its own, each of which its readers take an equal share
    of (Net2WiderNet). Whatever is added to its outputs becomes wider by the same channels."""

    kind = "widen"
    reads: ClassVar[Columns] = "share"
    channels: int

    @classmethod
    def read(cls, place: str, value: str) -> Widen:
        return cls(place, whole(value))

    @property
    def value(self) -> str:
        return str(self.channels)

    def index(self, width: int, rng: Random) -> list[int]:
        """Which channel each one is a copy of."""
        return [*range(width), *(rng.randrange(width) for _ in range(self.channels - width))]

    def check(self, graph: Graph) -> tuple[Node, int, int]:
        """The node, the position of the layer, and its width."""
        node, position = found(graph, self.place)
        operation = node.operations[position]
        if not is_dense(operation):
            raise MorphismError(f"{self.place} is no convolution over all channels and no linear layer")
        width = width_of(operation)
        if self.channels <= width:
            raise MorphismError(f"{self.place} has {width} channels already; widen it to more than that")
        if reason := channels_of(graph).refusal((node.name, position + 1)):
            raise MorphismError(f"{self.place}: {reason}")
        return node, position, width

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node, position, width = self.check(graph)
        return widened(graph, node.name, position, self.index(width, rng), self.reads)


@dataclass(frozen=True)
class Extend(Widen):
    """A convolution or linear layer gets more outputs: new ones, which its readers begin by counting as nothing (NASH,
    type II)."""

    kind = "extend"
    reads: ClassVar[Columns] = "zero"

    def index(self, width: int, rng: Random) -> list[int]:
        return [*range(width), *[NEW] * (self.channels - width)]


@dataclass(frozen=True)
class Pad(Extend):
    """The same where readers begin with drawn weights, so that the network computes something else: the control to
    which Net2Net is compared ("random pad")."""

    kind = "pad"
    reads: ClassVar[Columns] = "drawn"

    def exact(self, graph: Graph) -> bool:
        self.check(graph)
        return False


@dataclass(frozen=True)
class Deepen(Morphism):
    """A convolution that hands on what it gets, with what follows convolutions here, behind a place where no value is
    negative (Net2DeeperNet; NASH, types I and III). Where the place has features, a linear layer."""

    kind = "deepen"
    kernel: int = 3

    @classmethod
    def read(cls, place: str, value: str) -> Deepen:
        return cls(place, whole(value))

    @property
    def value(self) -> str:
        return str(self.kernel)

    def check(self, graph: Graph) -> tuple[Node, int, Shape]:
        """The node, the position behind which the layer is inserted, and the shape there."""
        node, position = found(graph, self.place)
        if (node.name, position + 1) not in not_negative(graph):
            raise MorphismError(f"{self.place} may be negative, and a ReLU behind what is inserted would change it; "
                                "choose a place behind a ReLU")  # fmt: skip
        operation, shape = list(graph.chain(node))[position]
        shape = operation.shape(shape)
        if len(shape) == 1 and self.kernel != 1:
            raise MorphismError(f"{self.place} has features, not images: a linear layer's kernel is 1")
        if self.kernel % 2 == 0:
            raise MorphismError(f"kernel {self.kernel} is even and cannot hand on what it gets; use an odd one")
        return node, position, shape

    def inserted(self, shape: Shape, normalises: bool) -> tuple[Operation, ...]:
        """What is inserted where values have this shape."""
        if len(shape) == 1:
            return Linear(shape[0]), ReLU()
        if normalises:
            return Convolution(shape[0], self.kernel), BatchNorm(), ReLU()
        return Convolution(shape[0], self.kernel, bias=True), ReLU()

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node, position, shape = self.check(graph)
        behind, inserted = position + 1, self.inserted(shape, normalises(graph))
        operations = (*node.operations[:behind], *inserted, *node.operations[behind:])
        after = replace(node, operations=operations)
        places = [*range(behind), *[NEW] * len(inserted), *range(behind, len(node.operations))]
        nodes = (after if each.name == node.name else each for each in graph.nodes)
        return Rewrite(changed(graph, nodes), dict(renamed(node, after, places)))


def whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 7):
        raise MorphismError(f"{value!r} is no whole number")
    return int(value)


def found(graph: Graph, place: str) -> tuple[Node, int]:
    """The node and the position of a step that a place names. Raises MorphismError where there is none."""
    name, _, step = place.rpartition(".")
    for node in graph.nodes:
        if node.name == name:
            steps = [each for each, _ in node.steps][len(node.fusion) :]
            if step in steps:
                return node, steps.index(step)
            raise MorphismError(f"{name} has no step {step!r}; it has {', '.join(steps) or 'none'}")
    raise MorphismError(f"there is no node {name!r}; name a step as NODE.STEP")


def place_of(node: Node, position: int) -> str:
    """The text that names a step of a node."""
    return f"{node.name}.{[each for each, _ in node.steps][len(node.fusion) + position]}"


def width_of(operation: Operation) -> int:
    """The outputs of a convolution or linear layer."""
    return operation.features if isinstance(operation, Linear) else operation.channels  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def channels_of(graph: Graph) -> Channels:
    return Channels(graph)


def widened(graph: Graph, name: str, position: int, index: Sequence[int], reads: Columns) -> Rewrite:
    """A step's outputs become those of `index`, and with them all channels that are one with its own."""
    channels = channels_of(graph)
    points = channels.copied((name, position + 1), index)
    nodes: list[Node] = []
    sources: dict[str, Source] = {}
    for node in graph.nodes:
        here = {place: each for (of, place), each in points.items() if of == node.name}
        if here:
            repeats = {place: repeat for (of, place), repeat in channels.repeats.items() if of == node.name}
            node, own = carried_out(node, list(graph.chain(node)), here, repeats, reads)
            sources |= own
        nodes.append(node)
    return Rewrite(changed(graph, nodes), sources)


def normalises(graph: Graph) -> bool:
    """Whether convolutions are followed by batch norms here."""
    return any(isinstance(operation, BatchNorm) for node in graph.nodes for operation in node.operations)


@lru_cache(maxsize=64)
def not_negative(graph: Graph) -> frozenset[Point]:
    """The points at which no value is negative, whatever the weights."""
    points: set[Point] = set()
    ends = {INPUT: (INPUT, 0)} | {node.name: (node.name, len(node.operations)) for node in graph.nodes}
    for node in graph.nodes:
        positive = node.combine != "blend" and all(ends[edge.source] in points for edge in node.inputs)
        if positive:
            points.add((node.name, 0))
        for position, operation in enumerate(node.operations):
            positive = isinstance(operation, ReLU | Sigmoid) or (positive and _keeps_sign(operation))
            if positive:
                points.add((node.name, position + 1))
    return frozenset(points)


def _keeps_sign(operation: Operation) -> bool:
    if isinstance(operation, Scale):
        return operation.factor >= 0
    return isinstance(operation, KEEP_SIGNS)
