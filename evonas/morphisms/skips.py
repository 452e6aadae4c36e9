"""Morphisms that lead an earlier output to a later node (NASH; Elsken, Metzen and Hutter 2017, arXiv:1711.04528)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from evonas.graph import INPUT, Graph
from evonas.morphisms.channels import NEW, MorphismError, is_dense, passes
from evonas.morphisms.morphism import Morphism
from evonas.morphisms.rewrite import Rewrite, Source, carried_out, changed, path_of, repeats_in
from evonas.nodes import Edge, Node
from evonas.operations import MaxPool
from evonas.operations.layers import as_text


@dataclass(frozen=True)
class Skip(Morphism):
    """The input of a node is joined by what an earlier node gives, at a smaller size where that is larger.

    place   the node whose input it is
    source  the earlier node
    """

    source: str

    @classmethod
    def read(cls, place: str, value: str) -> Skip:
        return cls(place, value)

    @property
    def value(self) -> str:
        return self.source

    def check(self, graph: Graph) -> Node:
        """The reader. Raises MorphismError where the two cannot be joined."""
        reader = next((node for node in graph.nodes if node.name == self.place), None)
        if reader is None:
            raise MorphismError(f"there is no node {self.place!r}")
        earlier = [INPUT, *(node.name for node in graph.nodes[: graph.nodes.index(reader)])]
        if self.source not in earlier:
            raise MorphismError(f"{self.source!r} is no node before {self.place}")
        if len(reader.inputs) > 1:
            raise MorphismError(f"{self.place} has several inputs already")
        if reader.inputs[0].source == self.source:
            raise MorphismError(f"{self.source} is the input of {self.place} already")
        here, there = graph.shapes[reader.inputs[0].source], graph.shapes[self.source]
        if len(here) != 3 or len(there) != 3:
            raise MorphismError(f"{self.source} and the input of {self.place} are not both images")
        step = there[1] // here[1]
        if there[1:] != (step * here[1], step * here[2]):
            raise MorphismError(f"{self.source} has the size {as_text(there[1:])}, which cannot be pooled to "
                                f"{as_text(here[1:])}")  # fmt: skip
        return reader

    def bridged(self, graph: Graph) -> tuple[Node, list[Node], str]:
        """The reader, the nodes that bring what is joined to the size of its input, and the last one's name."""
        reader = self.check(graph)
        step = graph.shapes[self.source][1] // graph.shapes[reader.inputs[0].source][1]
        if step == 1:
            return reader, [], self.source
        pool = Node(self.free(graph, "pool"), (Edge(self.source),), (MaxPool(step, step),))
        return reader, [pool], pool.name

    def free(self, graph: Graph, what: str) -> str:
        """A name for a new node before the reader."""
        taken, number = {node.name for node in graph.nodes}, 1
        while f"{self.place}+{what}{number}" in taken:
            number += 1
        return f"{self.place}+{what}{number}"

    def joined(self, graph: Graph, reader: Node, after: Node, nodes: list[Node]) -> Graph:
        """The graph in which these nodes stand before the reader, which reads the last of them and has become another
        one."""
        after = replace(after, inputs=(Edge(nodes[-1].name),), combine="sum")
        return changed(
            graph, [each for node in graph.nodes for each in ((*nodes, after) if node is reader else (node,))]
        )


@dataclass(frozen=True)
class AddSkip(Skip):
    """The input of a node becomes lambda times what it was and 1 - lambda times what an earlier node gives, with a
    lambda that is learned and begins at 1 (NASH, type IV)."""

    kind = "add"

    def check(self, graph: Graph) -> Node:
        reader = super().check(graph)
        own, other = graph.shapes[reader.inputs[0].source][0], graph.shapes[self.source][0]
        if own != other:
            raise MorphismError(f"{self.source} has {other} channels, and the input of {self.place} {own}; concatenate "
                                "them instead")  # fmt: skip
        return reader

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        reader, nodes, last = self.bridged(graph)
        own = reader.inputs[0].source
        blend = Node(self.free(graph, "blend"), (Edge(own), Edge(last)), (), "blend")
        return Rewrite(
            self.joined(graph, reader, reader, [*nodes, blend]), {path_of(blend.name, "blend"): Source(None)}
        )


@dataclass(frozen=True)
class ConcatSkip(Skip):
    """The input of a node is concatenated with what an earlier node gives, which the first convolution or linear layer
    begins by counting as nothing (NASH, type II)."""

    kind = "concat"

    def check(self, graph: Graph) -> Node:
        reader = super().check(graph)
        if self.reads(graph, reader) is None:
            raise MorphismError(f"{self.place} does not begin with a convolution or linear layer over all channels")
        return reader

    @staticmethod
    def reads(graph: Graph, reader: Node) -> int | None:
        """The position of the first operation that reads all channels; None: what stands before it cannot follow."""
        for position, (operation, shape) in enumerate(graph.chain(reader)):
            if is_dense(operation):
                return position
            if not passes(operation, shape):
                return None
        return None

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        reader, nodes, last = self.bridged(graph)
        own = reader.inputs[0].source
        chain, reads = list(graph.chain(reader)), self.reads(graph, reader)
        assert reads is not None, "it was checked"
        width, more = graph.shapes[own][0], graph.shapes[self.source][0]
        index = np.array([*range(width), *[NEW] * more])
        points = dict.fromkeys(range(reads + 1), index)
        after, sources = carried_out(reader, chain, points, repeats_in(chain), "zero")
        both = Node(self.free(graph, "both"), (Edge(own), Edge(last)), (), "concat")
        return Rewrite(self.joined(graph, reader, after, [*nodes, both]), sources)
