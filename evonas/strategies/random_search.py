"""Random search: the baseline that every other strategy has to beat (Li and Talwalkar 2019, arXiv:1902.07638)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from evonas.individual import Individual
from evonas.space import Space


class RandomSearch:
    """Genomes drawn uniformly from the space, with repetition."""

    def __init__(self, space: Space, *, rng: Random) -> None:
        self.space, self.rng = space, rng

    def generate(self, n: int | None = None) -> list[Individual]:
        return [Individual(self.space.random(self.rng)) for _ in range(n or 1)]

    def update(self, individuals: Iterable[Individual]) -> None:
        """Nothing is learnt."""
