"""The known way in which gradient searches fail: skip connections, which learn nothing, win the early epochs and with
them the search (Liang et al. 2019, arXiv:1909.06035; Dong and Yang 2020, arXiv:2001.00326, on NAS-Bench-201). No torch
here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SKIPS = ("skip_connect", "identity")
SHARE = 0.5  # of the edges, from which it is called a collapse


def skips_of(genome: Sequence[Any]) -> tuple[int, int]:
    """How many tokens are skip connections, and how many are anything at all."""
    there = [str(token) for token in genome if token != "none"]
    return sum(token in SKIPS for token in there), len(there)


def collapse(genome: Sequence[Any]) -> str | None:
    """A warning where at least half of the edges are skip connections."""
    skips, edges = skips_of(genome)
    if skips == 0 or skips < SHARE * edges:
        return None
    return f"{skips} of {edges} edges are skip connections: the search may have collapsed; try fewer epochs"
