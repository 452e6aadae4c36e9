"""Evolution by tournaments in a population that only grows (Liu, Simonyan, Vinyals, Fernando and Kavukcuoglu 2018,
"Hierarchical Representations for Efficient Architecture Search", arXiv:1711.00436, section 3.2)."""

from __future__ import annotations

import math
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.steady_state import SteadyState, best, mutated


class GrowingTournament(SteadyState):
    """The best of a random share of all individuals so far has a mutated child, which is added; none ever dies.

    toolbox      a DEAP toolbox with individual, clone and mutate
    population   initial size of the population
    share        share of the population in a tournament, without replacement, rounded up
    evaluations  number of evaluations in all

    Raises UserError for sizes out of range.
    """

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 200,
        share: float = 0.05,
        evaluations: int = 7000,
    ) -> None:
        super().__init__(toolbox, rng=rng, population=population, evaluations=evaluations)
        if not 0 < share <= 1:
            raise UserError(f"share is {share}; use more than 0, and at most 1")
        self.share = share

    @property
    def tournament(self) -> int:
        """The size of a tournament at present."""
        return math.ceil(round(self.share * len(self.population), 9))  # 0.05 * 220 is 11.000000000000002

    def child(self) -> Individual:
        return mutated(self.toolbox, best(self.rng.sample(self.population, self.tournament)))

    def insert(self, individual: Individual) -> None:
        self.population.append(individual)
