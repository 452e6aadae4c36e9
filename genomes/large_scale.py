"""The DNA of Large-scale Evolution (Real, Moore, Selle, Saxena, Suematsu, Tan, Le and Kurakin 2017, "Large-Scale
Evolution of Image Classifiers", arXiv:1703.01041, section 3.2 and supplement S1).

A network grows from a single layer: a backbone of vertices between the image and the classifier, each joined to the one
before by a convolution or by nothing (identity), and skips that join any two of them. A genome is a list of genes, each
a text, of which the first holds the learning rate:

    lr 0.1 made 2
    1 conv 16.0 3.0x3.0 stride 1 bn_relu
    2 identity linear
    skip 0 2

Vertices bear numbers that are never given again (`made` says how many there were), 0 is the image and `out` the
classifier: weights are inherited by these names. Channels and sides of filters are reals, which are rounded only when
the network is built, so that small changes add up (the paper's footnote 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import floor, log2
from random import Random
from typing import ClassVar

from evonas.errors import UserError
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

IMAGE, OUT = 0, -1  # the ends of the backbone, which no mutation touches
KINDS = ("linear", "bn_relu")

_REAL = r"(\d{1,9}(?:\.\d+)?(?:e-\d{1,3})?)"
_HEAD = re.compile(rf"lr {_REAL} made (\d+)")
_VERTEX = re.compile(rf"(\d+) (identity|conv {_REAL} {_REAL}x{_REAL} stride (\d+)) (linear|bn_relu)")
_SKIP = re.compile(r"skip (\d+) (\d+|out)")


@dataclass(frozen=True)
class Filter:
    """A convolution: channels it gives, height and width of its filters, as reals, and log2 of its stride."""

    channels: float
    height: float = 3.0
    width: float = 3.0
    scale: int = 0

    @property
    def operation(self) -> Convolution:
        """As it is built: at least one channel, odd sides."""
        kernel = (odd(self.height), odd(self.width))
        return Convolution(max(1, round(self.channels)), kernel, 2**self.scale)

    def __str__(self) -> str:
        return f"conv {self.channels!r} {self.height!r}x{self.width!r} stride {2**self.scale}"


@dataclass(frozen=True)
class Vertex:
    """A vertex of the backbone, and the edge that leads to it from the one before: a convolution, or None (identity).

    active   batch norm and ReLU follow the sum of its in-edges (the paper's `bn_relu`); else nothing (`linear`)
    """

    number: int
    edge: Filter | None
    active: bool

    def __str__(self) -> str:
        return f"{self.number} {self.edge or 'identity'} {KINDS[self.active]}"


@dataclass(frozen=True)
class DNA:
    """What the genes of an individual say: `read` reads them, `genes` writes them.

    learning_rate   of its training
    vertices        the backbone, from the image to the classifier, without these two
    skips           identities from one vertex to a later one that is not its neighbour, sorted
    made            vertices that its line of descent has made so far
    """

    learning_rate: float = 0.1
    vertices: tuple[Vertex, ...] = ()
    skips: tuple[tuple[int, int], ...] = ()
    made: int = field(default=0)

    @classmethod
    def read(cls, genes: Genome) -> DNA:
        """Raises CodeError for what is no DNA, naming the gene."""
        first, *rest = [str(gene) for gene in genes] or [""]
        head = _HEAD.fullmatch(first)
        if head is None or not float(head[1]) > 0:
            raise CodeError(f"the first gene is {first!r}; it says the learning rate, as in 'lr 0.1 made 0'")
        vertices: list[Vertex] = []
        skips: list[tuple[int, int]] = []
        for gene in rest:
            if found := _VERTEX.fullmatch(gene):
                if skips:
                    raise CodeError(f"gene {gene!r}: vertices come before skips")
                vertices.append(_vertex(gene, found))
            elif found := _SKIP.fullmatch(gene):
                skips.append((int(found[1]), OUT if found[2] == "out" else int(found[2])))
            else:
                raise CodeError(f"gene {gene!r} is none; write '1 conv 16.0 3.0x3.0 stride 1 bn_relu', '2 identity "
                                "linear' or 'skip 0 out'")  # fmt: skip
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
        """The vertices that a convolution leads to."""
        return [vertex for vertex in self.vertices if vertex.edge is not None]

    @property
    def possible_skips(self) -> list[tuple[int, int]]:
        """The pairs that a skip may join: forward, so that there is never a cycle, and not joined yet."""
        order, taken = self.backbone, set(self.skips)
        pairs = ((a, b) for place, a in enumerate(order) for b in order[place + 2 :])
        return [pair for pair in pairs if pair not in taken]

    def inserted(self, place: int, edge: Filter | None, active: bool) -> DNA:
        """With a new vertex in the backbone, before the vertex at this place (0: first, behind the image)."""
        new = Vertex(self.made + 1, edge, active)
        return replace(self, vertices=(*self.vertices[:place], new, *self.vertices[place:]), made=new.number)

    def without(self, number: int) -> DNA:
        """Without a vertex: skips from it start at the one before, skips to it end at the one after."""
        order = self.backbone
        before, after = order[order.index(number) - 1], order[order.index(number) + 1]
        moved = ((before if a == number else a, after if b == number else b) for a, b in self.skips)
        left = tuple(vertex for vertex in self.vertices if vertex.number != number)
        return replace(self, vertices=left, skips=())._with_skips(moved)

    def changed(self, number: int, edge: Filter) -> DNA:
        """With another convolution before a vertex."""
        return replace(self, vertices=tuple(replace(v, edge=edge) if v.number == number else v for v in self.vertices))

    def with_skip(self, pair: tuple[int, int]) -> DNA:
        return self._with_skips([*self.skips, pair])

    def without_skip(self, pair: tuple[int, int]) -> DNA:
        return replace(self, skips=tuple(skip for skip in self.skips if skip != pair))

    def _with_skips(self, pairs: Iterable[tuple[int, int]]) -> DNA:
        """With these skips, each once, but for those that join neighbours, who are joined already."""
        place = {number: at for at, number in enumerate(self.backbone)}
        kept = {(a, b) for a, b in pairs if place[b] - place[a] > 1}
        return replace(self, skips=tuple(sorted(kept, key=lambda pair: (place[pair[0]], place[pair[1]]))))

    def _check(self) -> None:
        numbers = [vertex.number for vertex in self.vertices]
        if len(set(numbers)) < len(numbers) or any(not 1 <= number <= self.made for number in numbers):
            raise CodeError(f"vertices are numbered {numbers}; each has a number of its own from 1 to {self.made}, as "
                            "'made' says")  # fmt: skip
        place = {number: at for at, number in enumerate(self.backbone)}
        for a, b in self.skips:
            if a not in place or b not in place or place[b] - place[a] < 2:
                raise CodeError(f"the skip from {a} to {'out' if b == OUT else b} joins no two vertices of which the "
                                "second comes later and is not the next")  # fmt: skip
        if len(set(self.skips)) < len(self.skips):
            raise CodeError("a skip is there twice")


def odd(side: float) -> int:
    """The side of a filter as it is built: the nearest odd number, at least 1; between two, the larger."""
    return max(1, 2 * floor(side / 2) + 1)


def _vertex(gene: str, found: re.Match) -> Vertex:
    edge = None
    if found[2] != "identity":
        stride = int(found[6])
        if stride < 1 or log2(stride) % 1:
            raise CodeError(f"gene {gene!r}: the stride is {stride}; use a power of two")
        edge = Filter(float(found[3]), float(found[4]), float(found[5]), int(log2(stride)))
        if min(edge.channels, edge.height, edge.width) <= 0:
            raise CodeError(f"gene {gene!r}: channels and sides are above 0")
    return Vertex(int(found[1]), edge, found[7] == "bn_relu")


@dataclass(frozen=True)
class LargeScaleSpace(Space):
    """Networks without bounds, so there is no `next`: only its own operators (`operators.large_scale`) vary a genome.

    first_rate   learning rate of the trivial individual, with which evolution begins
    least        channels that an inserted convolution gives at least. In the paper it gives as many as come in (1), so
                 networks begin with the three of the image; small budgets do not last until they have grown
    """

    name: ClassVar[str] = "large-scale"

    first_rate: float = 0.1
    least: int = 1
    input_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    def __post_init__(self) -> None:
        if self.first_rate <= 0 or self.least < 1:
            raise UserError(f"first_rate is {self.first_rate} and least {self.least}; use more than 0, and at least 1")

    def trivial(self) -> tuple[str, ...]:
        """Image, global pooling, classifier: a single layer, no convolution."""
        return tuple(DNA(self.first_rate).genes)

    def random(self, rng: Random) -> tuple[str, ...]:
        """A chain of up to five convolutions as insertion makes them, which is no part of the system."""
        dna, channels = DNA(self.first_rate), float(self.input_shape[0])
        for place in range(rng.randint(0, 5)):
            channels = round(channels * rng.uniform(1, 4), 3)
            dna = dna.inserted(place, Filter(channels), active=rng.random() < 0.5)
        return tuple(dna.genes)

    def check(self, rng: Random) -> Graph:
        """The trivial network: there is no `next` to hold against anything."""
        return self.decode(self.trivial())

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return replace(recipe, learning_rate=DNA.read(genome).learning_rate)

    def format(self, genome: Genome) -> str:
        """The genes, one after the other: "lr 0.1 made 1, 1 conv 16.0 3.0x3.0 stride 1 bn_relu"."""
        return ", ".join(DNA.read(genome).genes)

    def parse(self, code: str) -> tuple[str, ...]:
        return tuple(DNA.read([gene.strip() for gene in code.split(",")]).genes)

    def decode(self, genome: Genome) -> Graph:
        """edgeN (the convolution to vertex N), vertexN (sum, and what follows), skipA_B (what fits a skip to its end).

        At a vertex with several in-edges the others are made to fit the one of the backbone: in space by the nearest
        pixel, in channels by leaving some out or adding zeros (section 3.2); then they are summed.

        Raises CodeError for what is no DNA, GraphError where a stride has no pixels left.
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
        draft.node("classifier", ["pool"], Linear(self.classes))
        return draft.graph()


def _convolved(draft: Draft, vertex: Vertex, before: str) -> str:
    """The edge of the backbone."""
    if vertex.edge is None:
        return before
    stride, (_, height, width) = 2**vertex.edge.scale, draft.shape(before)
    if stride > min(height, width):
        raise GraphError(f"vertex {vertex.number}: a stride of {stride} leaves less than a pixel of {height}x{width}")
    return str(draft.node(f"edge{vertex.number}", [before], vertex.edge.operation))


def _fitted(draft: Draft, dna: DNA, names: dict[int, str], target: int, shape: Shape) -> list[str]:
    """The skips to a vertex, in the shape of its backbone edge."""
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
