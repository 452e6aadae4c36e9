"""A given network with layers removed and others shrunk (N2N: Ashok, Rhinehart, Beainy and Kitani 2018, "N2N Learning:
Network to Network Compression via Policy Gradient Reinforcement Learning", arXiv:1709.06030)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.genomes.leaves import FEWEST, Leaf, Plan, plan_of
from evonas.genomes.start import start_graph
from evonas.graph import Graph, GraphError
from evonas.operations import Linear
from evonas.space import Decision, Genome, Space, Token, require_closed

KEEP, REMOVE = "+", "-"
LARGEST = 50_000  # inputs of the first linear layer
MULTIPLIERS = tuple(step / 10 for step in range(1, 11))  # section 3.2 of the paper


@dataclass(frozen=True)
class N2NSpace(Space):
    """A network that exists, without some of its layers and with others made smaller.

    Every operation of the start is a layer. Of each that may be removed the genome says whether it stays (+) or goes
    (-); of each that stays, by what its kernel, its stride, its channels and its padding are multiplied, as far as
    that makes a difference. Beside other paths of the network a layer keeps the size that it gives: it stays where it
    changes the size, its stride stays, and its padding follows its kernel. Where sums meet, the first layer decides how
    many channels all have.

    A network that cannot be, since its pictures have become too small for a kernel or its first linear layer too large,
    has no graph: `decode` raises GraphError, and its evaluation is a failure.

    start         the JSON of the network (`Graph.to_json`); empty: the residual network by hand
    multipliers   of kernels, strides, channels and paddings
    fewest        channels that a layer is left
    """

    name: ClassVar[str] = "n2n"
    start: str = ""
    multipliers: tuple[float, ...] = MULTIPLIERS
    fewest: int = FEWEST
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.multipliers or not all(0 < each <= 1 for each in self.multipliers) or 1.0 not in self.multipliers:
            raise UserError(f"multipliers are {self.multipliers}; use numbers above 0 and up to "
                            "1, with 1, by which nothing changes")  # fmt: skip
        if len(set(self.multipliers)) < len(self.multipliers):
            raise UserError(f"multipliers are {self.multipliers}; give each once")
        if self.fewest < 1:
            raise UserError(f"fewest is {self.fewest}; use at least 1")
        start_graph(self.start, tuple(self.input_shape), self.outputs)  # says what is wrong with it

    @property
    def whole(self) -> Graph:
        """The network that is made smaller."""
        return self.plan.graph

    @property
    def plan(self) -> Plan:
        """Its layers, in order."""
        return _plan(self.start, tuple(self.input_shape), self.outputs, self.fewest)

    def next(self, prefix: Genome) -> Decision | None:
        given = iter(prefix)
        for leaf in self.plan.leaves:
            if leaf.removable:
                if (token := next(given, None)) is None:
                    name = f"{leaf.name}.keep"
                    return Decision(name, (KEEP, REMOVE), name, "keep")
                if token == REMOVE:
                    continue
            chosen: dict[str, Any] = {}
            for attribute in leaf.attributes:
                if (token := next(given, None)) is None:
                    name, options = f"{leaf.name}.{attribute}", self._options(leaf, attribute, chosen)
                    return Decision(name, options, (name, options), attribute)
                chosen[attribute] = token
        return None

    def _options(self, leaf: Leaf, attribute: str, chosen: Mapping[str, float]) -> tuple[float, ...]:
        fitting = [each for each in self.multipliers if leaf.allows(attribute, each, chosen)]
        return tuple(fitting) or (1.0,)

    def decode(self, genome: Genome) -> Graph:
        require_closed(genome, "a network without some of its layers has no supernet")
        answers = self.answers(genome)
        plan = self.plan
        gone = {leaf.name for leaf in plan.leaves if answers.get(f"{leaf.name}.keep") == REMOVE}
        changed = {
            leaf.name: leaf.changed({key: answers[f"{leaf.name}.{key}"] for key in leaf.attributes})  # type: ignore[misc]
            for leaf in plan.leaves
            if leaf.name not in gone
        }
        graph = plan.with_operations(changed)
        _require_small(graph)
        return graph

    def smaller(self, width: float) -> tuple[Token, ...]:
        """The genome that keeps all layers and multiplies the channels of each by one of the multipliers: uniform
        shrinking."""
        genome: tuple[Token, ...] = ()
        while (decision := self.next(genome)) is not None:
            wanted = {"keep": KEEP, "channels": width}.get(decision.kind, 1.0)
            genome += (wanted,)
        return genome


@lru_cache(maxsize=16)
def _plan(start: str, input_shape: tuple[int, ...], outputs: int, fewest: int) -> Plan:
    return plan_of(start_graph(start, input_shape, outputs).simplified(training=True), fewest)


def _require_small(graph: Graph) -> None:
    """Raises GraphError for a first linear layer with too many inputs."""
    for node in graph.nodes:
        for operation, shape in graph.chain(node):
            if isinstance(operation, Linear):
                if shape[0] > LARGEST:
                    raise GraphError(f"{node.name}: its linear layer has {shape[0]:,} inputs, more than {LARGEST:,}")
                return
