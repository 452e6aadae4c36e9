"""Random search: the baseline that every other strategy has to beat (Li and Talwalkar 2019, arXiv:1902.07638)."""

from __future__ import annotations

from collections.abc import Iterable

from deap import base

from evonas.individual import Individual


class RandomSearch:
    """Proposes what the role `individual` of a DEAP toolbox draws, with repetition."""

    population: tuple[Individual, ...] = ()  # there are no parents

    def __init__(self, toolbox: base.Toolbox) -> None:
        self.toolbox = toolbox

    def generate(self, n: int | None = None) -> list[Individual]:
        return [self.toolbox.individual() for _ in range(n or 1)]

    def update(self, individuals: Iterable[Individual]) -> None:
        """Do nothing: random search does not learn."""
