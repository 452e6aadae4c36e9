"""The known failure of gradient-based searches: skip connections, which have no weights to learn, win the early epochs
and with them the search (Liang et al. 2019, arXiv:1909.06035; Dong and Yang 2020, arXiv:2001.00326, on NAS-Bench-201).
This module is independent of torch."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.genomes.darts_cells import members
from evonas.space import Decision, Genome

SKIPS = ("skip_connect", "identity")
SHARE = 0.5  # share of skip connections from which a search counts as collapsed


def skips_of(genome: Genome, decisions: Sequence[Decision]) -> list[int]:
    """The numbers [skip connections, operations] among the answers to decisions of a kind that offers skips; `none` is
    not counted."""
    asked = {
        decision.kind or decision.name
        for decision in decisions
        if any(operation in SKIPS for option in decision.options for operation in members(option))
    }
    there = [
        operation
        for token, decision in zip(genome, decisions, strict=True)
        if (decision.kind or decision.name) in asked
        for operation in members(token)
    ]
    return [sum(operation in SKIPS for operation in there), len(there)]


def collapse(skips: int, operations: int) -> str | None:
    """A warning if at least half of the operations are skip connections."""
    if skips == 0 or skips < SHARE * operations:
        return None
    return f"{skips} of {operations} operations are skip connections: the search may have collapsed; try fewer epochs"
