"""The space of DARTS (Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search", arXiv:1806.09055): two
operations on two different earlier states lead into each node of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.genomes.cells import OPERATIONS as KNOWN
from evonas.genomes.cells import Placement, edges_there, partial_edge, weighed
from evonas.genomes.darts_cells import EDGES, INPUTS, NODES, OPERATIONS, DARTSCells, Way
from evonas.genomes.genotype import CELLS
from evonas.graph import Draft
from evonas.space import Decision, Genome, Open, Token, Weights

KEPT = 2  # edges into each node


@dataclass(frozen=True)
class DARTSSpace(DARTSCells):
    """Exactly two edges lead into each node, unless every edge is a choice of its own.

    every     every edge is a separate choice with `none` among the options, instead of two edges per node (SNAS)
    partial   K of PC-DARTS: operations see the first 1/K of the channels, the rest bypasses them; only in a search
    """

    name: ClassVar[str] = "darts"
    every: bool = False
    partial: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.partial < 1 or self.channels % (2 * self.partial):
            raise UserError(f"partial is {self.partial} and channels {self.channels}; channels must be a multiple of "
                            "twice partial: reductions consist of two halves")  # fmt: skip
        if self.partial > 1 and self.every:
            raise UserError("partial channels require two edges into each node; set every=False, or partial=1")
        if self.partial > 1 and not self.search:
            raise UserError("partial channels exist only in a search; set search=True too, or partial=1")

    def next(self, prefix: Genome) -> Decision | None:
        if len(prefix) == 2 * len(EDGES):
            return None
        cell, place = divmod(len(prefix), len(EDGES))
        source, target = EDGES[place]
        name = f"{CELLS[cell]}/{target}<-{source}"
        if self.every:
            return Decision(name, OPERATIONS, (len(prefix), None))
        taken: int | None = 0
        for token in prefix[len(prefix) - source :] if source else ():
            taken = None if taken is None or isinstance(token, Open) else taken + (token != "none")
        if taken is None:  # an earlier edge is open, so all options may follow
            return Decision(name, OPERATIONS, (len(prefix), None))
        missing, left = KEPT - taken, target - source
        options: tuple[str, ...] = OPERATIONS if 0 < missing < left else OPERATIONS[1:] if missing else OPERATIONS[:1]
        return Decision(name, options, (len(prefix), taken))

    def next_open(self, prefix: Genome) -> Decision | None:
        """In a supernet `none` is among the options of every edge, as in the authors' code: 2 x 14 x 8 of them. No
        genome leaves out an edge into node 2, which has no third one."""
        decision = self.next(prefix)
        if decision is None or not self.search or EDGES[len(prefix) % len(EDGES)] != (0, 2):
            return decision
        return replace(decision, options=OPERATIONS)

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """The paper's rule (section 2.4): each node keeps the two edges whose best operation has the largest weight,
        and each of them keeps that operation. `none` does not count as an operation. Where every edge is a separate
        choice, each takes its option with the largest weight."""
        if self.every:
            return super().likeliest(weights)
        genome: list[Token] = []
        for cell in CELLS:
            for target in NODES:
                best = {}
                for source in range(target):
                    asked = weights[f"{cell}/{target}<-{source}"]
                    best[source] = max((op for op in OPERATIONS[1:] if op in asked), key=lambda op: asked[op])
                strength = {source: weights[f"{cell}/{target}<-{source}"][op] for source, op in best.items()}
                kept = sorted(strength, key=lambda source: strength[source], reverse=True)[:KEPT]
                genome += [best[source] if source in kept else "none" for source in range(target)]
        return tuple(genome)

    def route(self, genome: Genome) -> dict[str, Any]:
        """As in every space; with partial channels, an edge that is present also has weight 1 in the choice among the
        edges into its node."""
        route = super().route(genome)
        return route | edges_there(route) if self.partial > 1 else route

    def node(
        self, draft: Draft, cell: str, kind: str, channels: int, states: Sequence[str | None], ways: Sequence[Way]
    ) -> str | None:
        """With partial channels, the edges of a node pass most of them on unchanged."""
        if self.partial == 1:
            return super().node(draft, cell, kind, channels, states, ways)
        target = len(states)
        made: dict[int, str | None] = {}
        for source in sorted({source for source, _, _ in ways}):
            stride, name = 2 if kind == "reduce" and source < INPUTS else 1, f"{cell}/{target}-{source}"

            def mixed(first: str | None, few: int, source=source, stride=stride, name=name):
                return [
                    (KNOWN[op](Placement(draft, f"{name}/{op}", first, few, stride, affine=False, search=True)), gate)
                    for other, op, gate in ways
                    if other == source
                ]

            made[source] = partial_edge(draft, name, states[source], stride, self.partial, mixed)
        is_open = any(gate != 1 for *_, gate in ways)
        return draft.node(f"{cell}/node{target}", weighed(f"{kind}/{target}", made, is_open))
