"""DARTS cells whose edges carry sets of operations, as in DATA (Chang et al. 2019, "DATA: Differentiable ArchiTecture
Approximation", NeurIPS) and I-DARTS (Jiang et al. 2019, "Improved Differentiable Architecture Search for Language
Modeling and Named Entity Recognition", EMNLP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.gates import Gate, some
from evonas.genomes.darts_cells import AND, EDGES, NODES, OPERATIONS, DARTSCells, members
from evonas.genomes.genotype import CELLS
from evonas.sequences import gate_of
from evonas.space import CodeError, Decision, Genome, Open, Token, Weights
from evonas.support.text import listed

OFFERED = OPERATIONS[1:]  # without `none`, which is the empty set


@dataclass(frozen=True)
class DARTSSetsSpace(DARTSCells):
    """Each edge has a set of operations, such as `skip_connect+sep_conv_3x3`, or `none`; a node sums them all. In a
    supernet, an open edge offers single operations, and a route gives each of them its weight.

    pairs   operations that lead into a node, at most
    exact   exactly so many (I-DARTS), instead of at least one (DATA)
    """

    name: ClassVar[str] = "darts-sets"
    pairs: int = 4
    exact: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        most = len(OFFERED) * NODES[0]
        if not 1 <= self.pairs <= most:
            raise UserError(f"pairs is {self.pairs}; use 1 to {most}, which the first node can have")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        if len(prefix) == len(CELLS) * len(EDGES):
            return None
        name, source, target = self._edge(len(prefix))
        before = prefix[len(prefix) - source :] if source else ()
        if any(isinstance(token, Open) for token in before):  # so all options may follow
            return Decision(name, sets(0, self.pairs), (len(prefix), None))
        taken = sum(len(members(token)) for token in before)
        later = (target - source - 1) * len(OFFERED)  # that further edges of this node can have
        least = self.pairs if self.exact else 1
        return Decision(name, sets(max(least - taken - later, 0), self.pairs - taken), (len(prefix), taken))

    def next_open(self, prefix: Genome) -> Decision | None:
        """An open edge weighs single operations, with `none` among them."""
        if len(prefix) == len(CELLS) * len(EDGES):
            return None
        return Decision(self._edge(len(prefix))[0], OPERATIONS, (len(prefix), None))

    def token(self, operations: Sequence[str], cell: str) -> Token:
        if len(set(operations)) < len(operations):
            raise CodeError(f"the {cell} cell has a node with the same operation of one input twice; decode it as a "
                            "genotype")  # fmt: skip
        if unknown := [operation for operation in operations if operation not in OPERATIONS]:
            raise CodeError(f"{unknown[0]!r} in the {cell} cell is no operation of this space; decode it as a "
                            f"genotype, or use {listed(OPERATIONS)}")  # fmt: skip
        return AND.join(sorted(operations, key=OPERATIONS.index)) or "none"

    def choices(self, genome: Genome) -> dict[str, dict[Token, Gate]]:
        """decision -> {operation: gate}."""
        return {
            decision.name: {
                operation: some(gate_of(decision.name, operation, each) for each in _each(token))
                for operation in OPERATIONS
            }
            for decision, token in zip(self.decisions(genome), genome, strict=True)
        }

    def route(self, genome: Genome) -> dict[str, Any]:
        """decision -> {operation: 1} for those of its edge."""
        return {name: dict.fromkeys(_each(token), 1) for name, token in self.answers(genome).items()}

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """Each node keeps the `pairs` operations with the largest weights among those on all edges into it, whatever
        their edges; `none` is none of them (I-DARTS)."""
        kept: dict[str, list[str]] = {name: [] for name in weights}
        for cell in CELLS:
            for target in NODES:
                into = [f"{cell}/{target}<-{source}" for source in range(target)]
                ways = [(name, operation, weight) for name in into for token, weight in weights[name].items()
                        for operation in members(token)]  # fmt: skip
                for name, operation, _ in sorted(ways, key=lambda way: -way[2])[: self.pairs]:
                    kept[name].append(operation)
        return self.joined(kept)

    def joined(self, kept: Mapping[str, Sequence[str]]) -> tuple[Token, ...]:
        """The genome whose edges have these operations, by their decisions."""
        return tuple(self.token(kept[f"{cell}/{target}<-{source}"], cell) for cell in CELLS for source, target in EDGES)

    @staticmethod
    def _edge(place: int) -> tuple[str, int, int]:
        """The decision, the source and the target of an edge."""
        cell, at = divmod(place, len(EDGES))
        source, target = EDGES[at]
        return f"{CELLS[cell]}/{target}<-{source}", source, target


@cache
def sets(least: int, most: int) -> tuple[str, ...]:
    """The sets of so many operations, the smallest ones first, as tokens."""
    sizes = range(least, min(most, len(OFFERED)) + 1)
    return tuple(AND.join(each) or "none" for size in sizes for each in combinations(OFFERED, size))


def _each(token: Token) -> tuple[Token, ...]:
    """An open token, or each operation of a closed one."""
    return (token,) if isinstance(token, Open) else members(token) or (token,)
