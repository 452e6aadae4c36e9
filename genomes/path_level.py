"""The cell of Path-level EAS (Cai, Yang, Zhang, Han and Yu 2018, "Path-Level Network Transformation for Efficient
Architecture Search", arXiv:1806.02639, section 3): a tree that grows in place of a convolution.

A node hands its input to branches and merges what they give: `none` has a single branch, `add` averages its branches,
`concat` has the channels dealt out to them. A branch is an edge, which is a layer, and perhaps a node behind it. The
edges of the root are the convolution that the cell replaces; a node that is inserted has an identity edge, which may
become another layer. All but some of these steps keep the function (`PathLevelSpace.inexact`), so that the network of a
cell begins with what the start network has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from random import Random
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.start import recipe_of_start, start_graph
from evonas.genomes.trees import (
    ADD,
    ANSWERS,
    BRANCHES,
    CONCAT,
    COUNTS,
    EDGE,
    INSERT,
    LAYER,
    MERGE,
    MERGES,
    NO,
    NONE,
    YES,
    Change,
    Flow,
)  # fmt: skip
from evonas.graph import INPUT, Graph
from evonas.morphisms import Heritage, Morphism, Rewrite
from evonas.morphisms.branches import AddCopies, ConcatCopies, ConcatSplit
from evonas.morphisms.paths import EDGES, IDENTITY, LINEAR, POST, PRE, Insert, Order, Replace
from evonas.morphisms.rewrite import Source
from evonas.nodes import Edge, Node
from evonas.operations import BatchNorm, Convolution, Operation, ReLU, sides
from evonas.recipe import Recipe
from evonas.space import CodeError, Decision, Genome, Space, Token, require_closed
from evonas.support.text import brief, listed

DEEPEST = 4
REMEMBERED = 4096  # graphs, by the changes that lead to them


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution of the start with what belongs to it, a node of its own.

    order    in which its batch norm and ReLU stand, and so do those of the edges behind it: linear has no ReLU
    groups   of the convolution
    width    channels of its output
    """

    name: str
    order: Order
    groups: int
    width: int

    def change(self, change: Change) -> Morphism:
        """What a change of the cell is here."""
        place = self.name + change.place
        if change.kind == INSERT:
            return Insert(place)
        if change.kind == EDGE:
            return Replace(f"{place}.{IDENTITY}", change.value, self.order)
        if change.value != CONCAT:
            return AddCopies(place, int(change.value.removeprefix(ADD)))
        splits = self.groups > 1 or change.place  # only the root merges the layer; all others merge identities
        return ConcatSplit(place, 2) if splits else ConcatCopies(place, 2)


@dataclass(frozen=True)
class PathLevelSpace(Space):
    """Genomes are the decisions by which a cell grows, depth first; the same cell stands in place of every 3x3
    convolution of a start network, but for the first one, which reads the input.

    For each node: how it merges; of a sum, how many branches; what each identity edge becomes; then for each branch
    that is not at the full depth, whether a node is inserted behind it, with that node's decisions. Of the cells in
    which no node was inserted, only `layer` has a genome, which is the start network itself.

    start    the network: the JSON of a graph, a chain such as conv16-pool-conv32-pool-fc64, a DenseNet-BC such as
             dense2x48g4; empty: the residual network by hand
    depth    of the deepest cells, in edges
    edges    that an identity may become
    noise    by which copies and inserted layers differ from what they are copies of, as a share of the deviation of the
             weights
    imitation      epochs in which a network that does not compute what the one from which it comes does learns that
                   one's outputs, before its training
    first_epochs   of the training of the start; 0: as many as of the others
    first_rate     learning rate of that; 0: that of the others
    """

    name: ClassVar[str] = "path-level"
    start: str = ""
    depth: int = 3
    edges: tuple[str, ...] = EDGES
    noise: float = 0.0
    imitation: int = 0
    first_epochs: int = 0
    first_rate: float = 0.0
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))  # what was read from JSON has a list
        if not 2 <= self.depth <= DEEPEST:
            raise UserError(f"depth is {self.depth}; use 2 to {DEEPEST}")
        if unknown := [edge for edge in self.edges if edge not in EDGES]:
            raise UserError(f"edges has {unknown[0]!r}, which is no edge; use {listed(EDGES)}")
        if not self.edges:
            raise UserError("edges is empty; use at least one, such as sep3")
        if min(self.first_epochs, self.first_rate, self.imitation) < 0:
            raise UserError(f"first_epochs is {self.first_epochs}, first_rate {self.first_rate} and imitation "
                            f"{self.imitation}; use at least 0")  # fmt: skip
        if not 0 <= self.noise < 1:
            raise UserError(f"noise is {self.noise}; use a share below 1")
        _, layers = apart(self._start())
        if not layers:
            raise UserError(f"the start {brief(self.start)!r} has no 3x3 convolution behind its first one, which a "
                            "cell could replace; use one with another, such as conv16-pool-conv32-fc64")  # fmt: skip
        for layer in layers:
            if layer.width < 2**self.depth:
                raise UserError(f"{layer.name} of the start has {layer.width} channels, too few for {self.depth} "
                                f"concatenations one in the other; use at least {2**self.depth}, or a smaller "
                                "depth")  # fmt: skip
            if layer.groups > 1 and layer.groups % 2:
                raise UserError(f"{layer.name} of the start has {layer.groups} groups, which two branches cannot "
                                "share; use an even number")  # fmt: skip

    def _start(self) -> Graph:
        return start_graph(self.start, self.input_shape, self.outputs)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those in whose place the cell stands."""
        return apart(self._start())[1]

    # ---- the genome -----------------------------------------------------------------------------------------------

    def flow(self, prefix: Genome) -> Flow:
        """The cell after these decisions, and what is open."""
        flow = Flow(self.depth)
        for token in prefix:
            flow.decide(token)
        return flow

    def next(self, prefix: Genome) -> Decision | None:
        flow = self.flow(prefix)
        if not flow.open:
            return None
        kind, _, branch = flow.open[-1]
        needed = not flow.inserted and flow.root.merge != NONE  # else nothing would have grown
        options: dict[str, tuple[Token, ...]] = {
            MERGE: MERGES, BRANCHES: COUNTS, EDGE: self.edges,
            INSERT: (YES,) if needed and len(flow.open) == 1 else ANSWERS,
        }  # fmt: skip
        state = (tuple((kind, each.place) for kind, _, each in flow.open), needed)
        return Decision(kind + branch.place, options[kind], state, kind)

    def random(self, rng: Random) -> tuple[Token, ...]:
        """A genome with uniform decisions: nearly all of all genomes are as large as they may be."""
        return self.complete({}, rng)

    def start_genome(self) -> tuple[Token, ...]:
        """The network without a change."""
        return (NONE, NO)

    @property
    def unchanged(self) -> tuple[Token, ...] | None:
        """A search can begin with a trained network if that has the modules of the start: where several convolutions
        are one node, the cells need other ones."""
        start = self._start().simplified(training=True)
        return self.start_genome() if apart(start)[0] == start else None

    def changes(self, genome: Genome) -> tuple[Change, ...]:
        """What leads from the start to the network of a genome."""
        return tuple(self.flow(genome).changes)

    def format(self, genome: Genome) -> str:
        """The cell as text: an edge and, behind a colon, its node; `add(...)`, `concat(...)`. Equal for genomes that
        differ in the order of the branches of a sum."""
        self.decisions(genome)
        return str(self.flow(genome).root)

    def parse(self, code: str) -> tuple[Token, ...]:
        genome, rest = self._read(code.strip(), LAYER, 1)
        if rest:
            raise CodeError(f"{brief(code)!r} is no cell: {brief(rest)!r} is left over; write one as "
                            "add(layer:sep3,layer:concat(max3,identity))")  # fmt: skip
        self.decisions(genome)
        return genome

    def _read(self, text: str, layer: str, depth: int) -> tuple[tuple[Token, ...], str]:
        """The decisions of the node with which a text begins, and what is left of it."""
        merge = next((each for each in (ADD, CONCAT) if text.startswith(f"{each}(")), NONE)
        text = text[len(merge) + 1 :] if merge != NONE else text
        allowed = (LAYER,) if layer == LAYER else self.edges
        edges: list[Token] = []
        behind: tuple[Token, ...] = ()
        while True:
            edge = next((each for each in allowed if text.startswith(each)), None)
            if edge is None:
                raise CodeError(f"{brief(text)!r} begins with no edge; this is the place of {listed(allowed)}")
            edges.append(edge)
            text, inside = text[len(edge) :], text[len(edge) :].startswith(":")
            if inside and depth == self.depth:
                raise CodeError(f"{brief(text)!r} is deeper than {self.depth} edges")
            if depth < self.depth:
                behind += (YES if inside else NO,)
            if inside:
                more, text = self._read(text[1:], IDENTITY, depth + 1)
                behind += more
            if merge == NONE or not text.startswith(","):
                break
            text = text[1:]
        if merge != NONE:
            if not text.startswith(")"):
                raise CodeError(f"{brief(text)!r} stands where a branch ends; write , or ) there")
            text = text[1:]
        if merge == CONCAT and len(edges) != 2:
            raise CodeError(f"concat has {len(edges)} branches; it has two")
        count = (str(len(edges)),) if merge == ADD else ()
        return (merge, *count, *(edges if layer != LAYER else ()), *behind), text

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        require_closed(genome, "cells of Path-level EAS have no supernet: a node stands where it was inserted")
        self.decisions(genome)
        return _changed(self, self.changes(genome))

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return recipe if self.changes(genome) else recipe_of_start(recipe, self.first_epochs, self.first_rate)

    def heritage(self, parent: Genome, child: Genome, rng: Random) -> Heritage | None:
        """The changes that the child has beyond its parent's, as all children of the start have; None where it lacks
        one of these."""
        before, after = self.changes(parent), self.changes(child)
        if not set(before) <= set(after):
            return None
        more = tuple(change for change in after if change not in before)
        names = tuple(str(layer.change(change)) for change in more for layer in self.layers)
        rewrites = (everywhere(_changed(self, before), more, self.layers, rng),) if more else ()
        repairs = self.imitation and set(self.inexact(child)) - set(self.inexact(parent))
        return Heritage(rewrites, names, self.noise, self.imitation if repairs else 0)

    def inexact(self, genome: Genome) -> tuple[str, ...]:
        """The changes after which the network computes something else than the start does: pooling, and convolutions in
        an order in which a ReLU cuts off what is negative. Training has to repair them."""
        found: list[str] = []
        done: tuple[Change, ...] = ()
        for change in self.changes(genome):
            graph = _changed(self, done)
            found += [str(each) for layer in self.layers if not (each := layer.change(change)).exact(graph)]
            done = (*done, change)
        return tuple(found)


@lru_cache(maxsize=REMEMBERED)
def _changed(space: PathLevelSpace, changes: tuple[Change, ...]) -> Graph:
    """The start after these changes."""
    if not changes:
        return apart(space._start())[0]
    return everywhere(_changed(space, changes[:-1]), changes[-1:], space.layers, Random(0)).graph


def everywhere(graph: Graph, changes: Sequence[Change], layers: Sequence[Layer], rng: Random) -> Rewrite:
    """Changes of the cell, one after the other, at each of its places. They are one rewrite, since none refers to
    weights that another one has moved: what is copied is the layer of the start, once, and all else is new."""
    sources: dict[str, Source] = {}
    for change in changes:
        for layer in layers:
            rewrite = layer.change(change).apply(graph, rng)
            graph, sources = rewrite.graph, sources | dict(rewrite.sources)
    return Rewrite(graph, sources)


# ---- the start ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def apart(graph: Graph) -> tuple[Graph, tuple[Layer, ...]]:
    """The start, in the form in which it is trained, where each 3x3 convolution behind the node that reads the input is
    a node of its own, with the batch norm and the ReLU behind it, or, where there are none, before it."""
    graph = graph.simplified(training=True)
    nodes: list[Node] = []
    layers: list[Layer] = []
    for node in graph.nodes:
        reads_input = any(edge.source == INPUT for edge in node.inputs)
        spans = {} if reads_input else _spans(node.operations)
        cuts = sorted({0, len(node.operations), *(end for span in spans for end in span)})
        inputs, combine = node.inputs, node.combine
        for number, span in enumerate(pairwise(cuts), 1):
            name = node.name if span[1] == len(node.operations) else f"{node.name}-{number}"
            nodes.append(Node(name, inputs, node.operations[slice(*span)], combine))
            inputs, combine = (Edge(name),), "sum"
            if span in spans:
                convolution, order = spans[span]
                layers.append(Layer(name, order, convolution.groups, convolution.channels))
        if not node.operations:
            nodes.append(node)
    return Graph(graph.input_shape, tuple(nodes), graph.auxiliary), tuple(layers)


def _spans(operations: tuple[Operation, ...]) -> dict[tuple[int, int], tuple[Convolution, Order]]:
    """Where the layers of 3x3 convolutions begin and end."""
    spans: dict[tuple[int, int], tuple[Convolution, Order]] = {}
    free = 0  # what no layer has
    for place, operation in enumerate(operations):
        if not (isinstance(operation, Convolution) and sides(operation.kernel) == (3, 3) and operation.dilation == 1):
            continue
        if operation.groups == operation.channels > 1:  # depthwise: a part of a layer
            continue
        begin, end = place, place + 1
        for kind in (BatchNorm, ReLU):
            end += end < len(operations) and isinstance(operations[end], kind)
        for kind in (ReLU, BatchNorm) if end == place + 1 else ():
            begin -= begin > free and isinstance(operations[begin - 1], kind)
        order = POST if isinstance(operations[end - 1], ReLU) else PRE if begin < place else LINEAR
        spans[begin, end], free = (operation, order), end
    return spans
