"""The DNA of Large-scale Evolution (Real, Moore, Selle, Saxena, Suematsu, Tan, Le and Kurakin 2017, "Large-Scale
Evolution of Image Classifiers", arXiv:1703.01041, section 3.2 and supplement S1).

A network grows from a single layer. It has a backbone of vertices between the image and the classifier, each joined to
its predecessor by a convolution or an identity, and skips that join any two of them. A genome is a list of genes, each
a string; the first one holds the learning rate:

    lr 0.1 made 2
    1 conv 16.0 3.0x3.0 stride 1 bn_relu
    2 identity linear
    skip 0 2

The number of a vertex is never reused (`made` counts all vertices so far), because weights are inherited by these
names; 0 is the image and `out` the classifier. Channels and filter sizes are reals, which are rounded only when the
network is built, so that small changes add up (the paper's footnote 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import floor, log2
from random import Random
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph, GraphError
from evonas.operations import (
    BatchNorm,
    Convolution,
    FirstChannels,
    GlobalAveragePool,
    Linear,
    Operation,
    PadChannels,
    ReLU,
    Resize,
    Shape,
)
from evonas.recipe import Recipe
from evonas.space import CodeError, Genome, Space
from evonas.support.text import brief

IMAGE, OUT = 0, -1  # the ends of the backbone, which no mutation touches
KINDS = ("linear", "bn_relu")

_REAL = r"([0-9]{1,9}(?:\.[0-9]{1,30})?(?:e-[0-9]{1,3})?)"
_HEAD = re.compile(rf"lr {_REAL} made ({NUMBER})")
_VERTEX = re.compile(rf"({NUMBER}) (identity|conv {_REAL} {_REAL}x{_REAL} stride ({NUMBER})) (linear|bn_relu)")
_SKIP = re.compile(rf"skip ({NUMBER}) ({NUMBER}|out)")


@dataclass(frozen=True)
class Filter:
    """A convolution: its output channels and the height and width of its filters, as reals, and log2 of its stride."""

    channels: float
    height: float = 3.0
    width: float = 3.0
    scale: int = 0

    @property
    def operation(self) -> Convolution:
        """The convolution as it is built, with at least one channel and odd sides."""
        kernel = (odd(self.height), odd(self.width))
        return Convolution(max(1, round(self.channels)), kernel, 2**self.scale)

    def __str__(self) -> str:
        return f"conv {self.channels!r} {self.height!r}x{self.width!r} stride {2**self.scale}"


@dataclass(frozen=True)
class Vertex:
    """A vertex of the backbone, and the edge from its predecessor: a convolution, or None for an identity.

    active   batch norm and ReLU follow the sum of its in-edges (the paper's `bn_relu`); otherwise nothing (`linear`)
    """

    number: int
    edge: Filter | None
    active: bool

    def __str__(self) -> str:
        return f"{self.number} {self.edge or 'identity'} {KINDS[self.active]}"


@dataclass(frozen=True)
class DNA:
    """The contents of an individual's genes, which `read` parses and `genes` writes.

    learning_rate   learning rate of the individual's training
    vertices        the backbone between the image and the classifier
    skips           identities from one vertex to a later one that is not its neighbour, sorted
    made            number of vertices made so far in the individual's line of descent
    """

    learning_rate: float = 0.1
    vertices: tuple[Vertex, ...] = ()
    skips: tuple[tuple[int, int], ...] = ()
    made: int = field(default=0)

    @classmethod
    def read(cls, genes: Genome) -> DNA:
        """Parse genes. Raises CodeError, which names the invalid gene."""
        first, *rest = [str(gene) for gene in genes] or [""]
        head = _HEAD.fullmatch(first)
        if head is None or not float(head[1]) > 0:
            raise CodeError(
                f"the first gene is {brief(first)!r}; it must give the learning rate, as in 'lr 0.1 made 0'"
            )
        vertices: list[Vertex] = []
        skips: list[tuple[int, int]] = []
        for gene in rest:
            if found := _VERTEX.fullmatch(gene):
                if skips:
                    raise CodeError(f"gene {gene!r}: vertices must come before skips")
                vertices.append(_vertex(gene, found))
            elif found := _SKIP.fullmatch(gene):
                skips.append((int(found[1]), OUT if found[2] == "out" else int(found[2])))
            else:
                raise CodeError(f"gene {brief(gene)!r} is not valid; write '1 conv 16.0 3.0x3.0 stride 1 bn_relu', "
                                "'2 identity linear' or 'skip 0 out'")  # fmt: skip
        dna = cls(float(head[1]), tuple(vertices), tuple(skips), int(head[2]))
        dna._check()
        return dna

    @property
    def genes(self) -> list[str]:
        skips = [f"skip {source} {'out' if target == OUT else target}" for source, target in self.skips]
        return [f"lr {self.learning_rate!r} made {self.made}", *map(str, self.vertices), *skips]

    @property
    def backbone(self) -> list[int]:
        """The numbers of all vertices, from the image to the classifier."""
        return [IMAGE, *(vertex.number for vertex in self.vertices), OUT]

    @property
    def convolutions(self) -> list[Vertex]:
        """The vertices whose edge from the predecessor is a convolution."""
        return [vertex for vertex in self.vertices if vertex.edge is not None]

    @property
    def possible_skips(self) -> list[tuple[int, int]]:
        """The pairs that a new skip may join: not joined yet, and forward, so that no cycle arises."""
        order, taken = self.backbone, set(self.skips)
        pairs = ((a, b) for place, a in enumerate(order) for b in order[place + 2 :])
        return [pair for pair in pairs if pair not in taken]

    def inserted(self, place: int, edge: Filter | None, active: bool) -> DNA:
        """A copy with a new vertex in the backbone, before the vertex at this place (0: directly after the image)."""
        new = Vertex(self.made + 1, edge, active)
        return replace(self, vertices=(*self.vertices[:place], new, *self.vertices[place:]), made=new.number)

    def without(self, number: int) -> DNA:
        """A copy without a vertex: skips from it now start at its predecessor, skips to it end at its successor."""
        order = self.backbone
        before, after = order[order.index(number) - 1], order[order.index(number) + 1]
        moved = ((before if a == number else a, after if b == number else b) for a, b in self.skips)
        left = tuple(vertex for vertex in self.vertices if vertex.number != number)
        return replace(self, vertices=left, skips=())._with_skips(moved)

    def changed(self, number: int, edge: Filter) -> DNA:
        """A copy with another convolution before a vertex."""
        return replace(self, vertices=tuple(replace(v, edge=edge) if v.number == number else v for v in self.vertices))

    def with_skip(self, pair: tuple[int, int]) -> DNA:
        return self._with_skips([*self.skips, pair])

    def without_skip(self, pair: tuple[int, int]) -> DNA:
        return replace(self, skips=tuple(skip for skip in self.skips if skip != pair))

    def _with_skips(self, pairs: Iterable[tuple[int, int]]) -> DNA:
        """A copy with these skips, each once, except those between neighbours, which are joined already."""
        place = {number: at for at, number in enumerate(self.backbone)}
        kept = {(a, b) for a, b in pairs if place[b] - place[a] > 1}
        return replace(self, skips=tuple(sorted(kept, key=lambda pair: (place[pair[0]], place[pair[1]]))))

    def _check(self) -> None:
        numbers = [vertex.number for vertex in self.vertices]
        if len(set(numbers)) < len(numbers) or any(not 1 <= number <= self.made for number in numbers):
            raise CodeError(f"vertices are numbered {numbers}; each needs a distinct number from 1 to {self.made}, the "
                            "value of 'made'")  # fmt: skip
        place = {number: at for at, number in enumerate(self.backbone)}
        for a, b in self.skips:
            if a not in place or b not in place or place[b] - place[a] < 2:
                raise CodeError(f"the skip from {a} to {'out' if b == OUT else b} is not valid; join a vertex to a "
                                "later one that is not its neighbour")  # fmt: skip
        if len(set(self.skips)) < len(self.skips):
            raise CodeError("a skip occurs twice; give each once")


def odd(side: float) -> int:
    """The side of a filter as it is built: the nearest odd number, at least 1; of two equally near, the larger."""
    return max(1, 2 * floor(side / 2) + 1)


def _vertex(gene: str, found: re.Match) -> Vertex:
    edge = None
    if found[2] != "identity":
        stride = int(found[6])
        if stride < 1 or log2(stride) % 1:
            raise CodeError(f"gene {gene!r}: the stride is {stride}; use a power of two")
        edge = Filter(float(found[3]), float(found[4]), float(found[5]), int(log2(stride)))
        if min(edge.channels, edge.height, edge.width) <= 0:
            raise CodeError(f"gene {gene!r}: channels and sides must be above 0")
    return Vertex(int(found[1]), edge, found[7] == "bn_relu")


@dataclass(frozen=True)
class LargeScaleSpace(Space):
    """Networks of unbounded size, so there is no `next`: only the operators of `operators.large_scale` vary a genome.

    first_rate   learning rate of the trivial individual, from which evolution begins
    least        least number of output channels of an inserted convolution. In the paper a convolution keeps the number
                 of its input channels (least = 1), so networks begin with the three of the image; small budgets end
                 before they have grown
    """

    name: ClassVar[str] = "large-scale"

    first_rate: float = 0.1
    least: int = 1
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.first_rate <= 0 or self.least < 1:
            raise UserError(f"first_rate is {self.first_rate} and least {self.least}; use more than 0, and at least 1")

    def trivial(self) -> tuple[str, ...]:
        """The genome of a single layer: image, global pooling and classifier, without a convolution."""
        return tuple(DNA(self.first_rate).genes)

    def random(self, rng: Random) -> tuple[str, ...]:
        """A chain of up to five convolutions as insertion makes them. It is not part of the published system."""
        dna, channels = DNA(self.first_rate), float(self.input_shape[0])
        for place in range(rng.randint(0, 5)):
            channels = round(channels * rng.uniform(1, 4), 3)
            dna = dna.inserted(place, Filter(channels), active=rng.random() < 0.5)
        return tuple(dna.genes)

    def check(self, rng: Random) -> Graph:
        """The trivial network; there is no `next` to check."""
        return self.decode(self.trivial())

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return replace(recipe, learning_rate=DNA.read(genome).learning_rate)

    def format(self, genome: Genome) -> str:
        """The genes in sequence, such as "lr 0.1 made 1, 1 conv 16.0 3.0x3.0 stride 1 bn_relu"."""
        return ", ".join(DNA.read(genome).genes)

    def parse(self, code: str) -> tuple[str, ...]:
        return tuple(DNA.read([gene.strip() for gene in code.split(",")]).genes)

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Its nodes are edgeN (the convolution to vertex N), vertexN (the sum and what follows
        it) and skipA_B (the adaptation of a skip to its target).

        At a vertex with several in-edges the skips are adapted to the shape of the backbone edge: in space by nearest
        neighbours, in channels by truncation or by zero padding (section 3.2); then all are summed.

        Raises CodeError for invalid genes, and GraphError where a stride leaves no pixels.
        """
        dna = DNA.read(genome)
        draft = Draft(self.input_shape)
        names = {IMAGE: INPUT}
        before = INPUT
        for vertex in dna.vertices:
            primary = _convolved(draft, vertex, before)
            behind = (BatchNorm(), ReLU()) if vertex.active else ()
            inputs = [primary, *_fitted(draft, dna, names, vertex.number, draft.shape(primary))]
            before = names[vertex.number] = str(draft.node(f"vertex{vertex.number}", inputs, *behind))
        inputs = [before, *_fitted(draft, dna, names, OUT, draft.shape(before))]
        draft.node("pool", inputs, GlobalAveragePool())
        draft.node("classifier", ["pool"], Linear(self.outputs))
        return draft.graph()


def _convolved(draft: Draft, vertex: Vertex, before: str) -> str:
    """The backbone edge to a vertex."""
    if vertex.edge is None:
        return before
    stride, (_, height, width) = 2**vertex.edge.scale, draft.shape(before)
    if stride > min(height, width):
        raise GraphError(f"vertex {vertex.number}: a stride of {stride} leaves less than a pixel of {height}x{width}")
    return str(draft.node(f"edge{vertex.number}", [before], vertex.edge.operation))


def _fitted(draft: Draft, dna: DNA, names: dict[int, str], target: int, shape: Shape) -> list[str]:
    """The skips to a vertex, adapted to the shape of its backbone edge."""
    fitted = []
    for source in (a for a, b in dna.skips if b == target):
        channels, *size = draft.shape(names[source])
        steps: list[Operation] = [Resize(shape[1], shape[2])] if tuple(size) != shape[1:] else []
        if channels > shape[0]:
            steps.append(FirstChannels(shape[0]))
        elif channels < shape[0]:
            steps.append(PadChannels(shape[0]))
        name = f"skip{source}_{'out' if target == OUT else target}"
        fitted.append(str(draft.node(name, [names[source]], *steps)) if steps else names[source])
    return fitted
