"""Regularized (aging) evolution (Real, Aggarwal, Huang and Le 2019, arXiv:1802.01548, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.steady_state import SteadyState, best, mutated
from evonas.support.streams import drawn


class AgingEvolution(SteadyState):
    """A queue of P individuals: the best of a sample has a mutated child, and the oldest dies, whatever its fitness.

    toolbox      a DEAP toolbox with individual, clone and mutate
    population   P, the size of the population
    sample       S, the size of the sample, which is drawn uniformly with replacement
    aging        False: the worst of the sample dies instead (the paper's comparison)
    evaluations  C, in all

    Raises UserError for sizes out of range.
    """

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 100,
        sample: int = 25,
        aging: bool = True,
        evaluations: int = 20_000,
    ) -> None:
        super().__init__(toolbox, rng=rng, population=population, evaluations=evaluations)
        if sample < 1:
            raise UserError(f"sample is {sample}; use at least 1")
        self.sample, self.aging = sample, aging
        self._samples: dict[int, list[Individual]] = {}  # without aging: samples of children in flight, by identity

    def child(self) -> Individual:
        sample = drawn(self.rng, self.population, self.sample)
        child = mutated(self.toolbox, best(sample))
        if not self.aging:
            self._samples[id(child)] = sample
        return child

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            super().update([individual])
            self._samples.pop(id(individual), None)

    def insert(self, individual: Individual) -> None:
        self.population.append(individual)
        if len(self.population) > self.size:
            dies = 0 if self.aging else self._worst(self._samples.get(id(individual), []))
            del self.population[dies]

    def _worst(self, sample: list[Individual]) -> int:
        """Where the worst individual of the child's sample stands, or of the population if none of the sample is still
        alive."""
        places = {id(individual): place for place, individual in enumerate(self.population)}
        left = [places[id(individual)] for individual in sample if id(individual) in places] or range(len(places))
        return min(left, key=lambda place: self.population[place].fitness)
