"""What proposes genomes and learns from their fitness. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from evonas.individual import Individual


class Strategy(Protocol):
    """DEAP's generate-update contract, as `deap.algorithms.eaGenerateUpdate` uses it.

    generate(n)          at most n individuals to evaluate; n=None: what the strategy calls one generation. [] says:
                         nothing before something has been told, and leaves the strategy as it was.
    update(individuals)  individuals that `generate` gave, in any order and with any delay, each with its fitness set;
                         a failed one has an invalid fitness.

    One that writes genomes itself, instead of drawing them from a toolbox, says so by `writes = True`; what a search is
    to begin with then comes before it.

    A strategy is deterministic, given its generator and the order of these calls: this is what makes a run resumable.
    """

    def generate(self, n: int | None = None) -> list[Individual]: ...

    def update(self, individuals: Iterable[Individual]) -> None: ...
