"""The known way in which gradient searches fail: skip connections, which learn nothing, win the early epochs and with
them the search (Liang et al. 2019, arXiv:1909.06035; Dong and Yang 2020, arXiv:2001.00326, on NAS-Bench-201). No torch
here."""

from __future__ import annotations

from collections.abc import Sequence

from evonas.space import Decision, Genome

SKIPS = ("skip_connect", "identity")
SHARE = 0.5  # of the operations, from which it is called a collapse


def skips_of(genome: Genome, decisions: Sequence[Decision]) -> list[int]:
    """[skip connections, operations]: of the tokens that answer a decision where a skip is among the options, or could
    be, those that are one, and all that are anything."""
    asked = {d.kind or d.name for d in decisions if any(str(option) in SKIPS for option in d.options)}
    there = [
        str(token)
        for token, decision in zip(genome, decisions, strict=True)
        if (decision.kind or decision.name) in asked and token != "none"
    ]
    return [sum(token in SKIPS for token in there), len(there)]


def collapse(skips: int, operations: int) -> str | None:
    """A warning where at least half of the operations are skip connections."""
    if skips == 0 or skips < SHARE * operations:
        return None
    return f"{skips} of {operations} operations are skip connections: the search may have collapsed; try fewer epochs"
