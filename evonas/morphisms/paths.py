"""Morphisms that let branches grow into trees: a node is inserted that does nothing, and what does nothing becomes a
layer (Path-level EAS; Cai et al. 2018, arXiv:1806.02639, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal, cast, get_args

from evonas.graph import Graph
from evonas.morphisms.channels import NEW, MorphismError
from evonas.morphisms.morphism import Morphism, found, not_negative
from evonas.morphisms.rewrite import Rewrite, changed, renamed
from evonas.nodes import Edge, Node
from evonas.operations import AveragePool, BatchNorm, Convolution, Identity, MaxPool, Operation, ReLU

Order = Literal["post", "linear", "pre"]
ORDERS: tuple[Order, ...] = get_args(Order)
POST, LINEAR, PRE = ORDERS
KERNELS = {"sep3": 3, "sep5": 5, "sep7": 7}  # of depthwise separable convolutions
POOLS: dict[str, Operation] = {"max3": MaxPool(3, 1, 1), "avg3": AveragePool(3, 1, 1)}
IDENTITY = "identity"
EDGES = (*KERNELS, "conv1", IDENTITY, *POOLS)  # section 4.2


@dataclass(frozen=True)
class Insert(Morphism):
    """A node that does nothing behind another one, which all readers of that one read instead.

    place   the node
    """

    kind = "insert"

    @classmethod
    def read(cls, place: str, value: str) -> Insert:
        if value != IDENTITY:
            raise MorphismError(f"{value!r} cannot be inserted; a node is inserted as {IDENTITY}, and replaced then")
        return cls(place)

    @property
    def value(self) -> str:
        return IDENTITY

    @property
    def name(self) -> str:
        """That of the new node."""
        return f"{self.place}+then"

    def check(self, graph: Graph) -> None:
        names = {node.name for node in graph.nodes}
        if self.place not in names:
            raise MorphismError(f"there is no node {self.place!r}")
        if self.name in names:
            raise MorphismError(f"a node has been inserted behind {self.place} already; insert one behind {self.name}")

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        self.check(graph)
        nodes = []
        for node in graph.nodes:
            edges = tuple(
                replace(edge, source=self.name) if edge.source == self.place else edge for edge in node.inputs
            )
            nodes.append(replace(node, inputs=edges))
            if node.name == self.place:
                nodes.append(Node(self.name, (Edge(self.place),), (Identity(),)))
        return Rewrite(changed(graph, nodes), {})


@dataclass(frozen=True)
class Replace(Morphism):
    """A step that does nothing becomes a layer.

    place   the step, such as `layer+1+then.identity`
    edge    sep3, sep5, sep7: depthwise separable convolution; conv1: 1x1 convolution; max3, avg3: pooling with stride 1
    order   of a convolution and what stands with it. post: convolution, batch norm, ReLU; linear: convolution, batch
            norm; pre: batch norm, ReLU, convolution

    It is exact for a convolution whose ReLU, if there is one, meets no negative value. Otherwise the network computes
    something else, and its training, or a distillation, has to repair it: pooling is no identity, and ReLU cuts off
    what is negative.
    """

    kind = "replace"
    edge: str
    order: Order = POST

    @classmethod
    def read(cls, place: str, value: str) -> Replace:
        edge, _, order = value.partition("-")
        if edge not in EDGES or edge == IDENTITY or (order or POST) not in ORDERS or (edge in POOLS and order):
            known = ", ".join(each for each in EDGES if each != IDENTITY)
            raise MorphismError(
                f"{value!r} cannot stand there; use {known}, a convolution perhaps with -{LINEAR} or -{PRE}"
            )
        return cls(place, edge, cast("Order", order or POST))

    @property
    def value(self) -> str:
        return self.edge if self.order == POST or self.edge in POOLS else f"{self.edge}-{self.order}"

    def check(self, graph: Graph) -> tuple[Node, int]:
        """The node, and the position of what is replaced."""
        node, position = found(graph, self.place)
        operation, shape = list(graph.chain(node))[position]
        if not isinstance(operation, Identity):
            raise MorphismError(f"{self.place} is {operation}, which does something; replace an identity")
        if len(shape) != 3:
            raise MorphismError(f"{self.place} has features, not images")
        return node, position

    def exact(self, graph: Graph) -> bool:
        node, position = self.check(graph)
        return self.edge not in POOLS and (self.order == LINEAR or (node.name, position) in not_negative(graph))

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node, position = self.check(graph)
        channels = list(graph.chain(node))[position][1][0]
        new = layer(self.edge, self.order, channels)
        after = replace(node, operations=(*node.operations[:position], *new, *node.operations[position + 1 :]))
        places = [*range(position), *[NEW] * len(new), *range(position + 1, len(node.operations))]
        nodes = (after if each is node else each for each in graph.nodes)
        return Rewrite(changed(graph, nodes), dict(renamed(node, after, places)))


def layer(edge: str, order: Order, channels: int) -> tuple[Operation, ...]:
    """The operations of an edge of so many channels."""
    if edge in POOLS:
        return (POOLS[edge],)
    weights: tuple[Operation, ...] = (Convolution(channels, 1),)
    if edge in KERNELS:
        weights = (Convolution(channels, KERNELS[edge], groups=channels), *weights)
    if order == PRE:
        return (BatchNorm(), ReLU(), *weights)
    return (*weights, BatchNorm(), *(ReLU(),) * (order == POST))
