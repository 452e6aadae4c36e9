"""Regularized (aging) evolution (Real, Aggarwal, Huang and Le 2019, arXiv:1802.01548, algorithm 1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual


class AgingEvolution:
    """A queue of P individuals: the best of a sample has a mutated child, and the oldest dies, whatever its fitness.

    toolbox      a DEAP toolbox with individual, clone and mutate
    population   P
    sample       S, drawn uniformly with replacement
    aging        False: the worst of the sample dies instead (the paper's comparison)

    Steady-state: with several workers nobody waits but for the first fitness of all. Age is the order in which
    individuals were told; failures never enter the queue. Raises UserError for sizes out of range.
    """

    def __init__(
        self, toolbox: base.Toolbox, *, rng: Random, population: int = 100, sample: int = 25, aging: bool = True
    ) -> None:
        if population < 1 or sample < 1:
            raise UserError(f"population is {population} and sample {sample}; use at least 1 of each")
        self.toolbox, self.rng = toolbox, rng
        self.size, self.sample, self.aging = population, sample, aging
        self.population: deque[Individual] = deque()  # the oldest first
        self.drawn = self.in_flight = 0
        self._samples: dict[int, list[Individual]] = {}  # of children in flight, by identity, where nobody ages

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        for _ in range(n or 1):
            if self.drawn < self.size or not (self.population or self.in_flight):
                given.append(self.toolbox.individual())
                self.drawn += 1
            elif self.population:
                given.append(self._child())
            else:
                break
            self.in_flight += 1
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            self.in_flight -= 1
            sample = self._samples.pop(id(individual), [])
            if not individual.fitness.valid:
                continue
            self.population.append(individual)
            if len(self.population) > self.size:
                if self.aging:
                    self.population.popleft()
                else:
                    worst = self._worst(sample)
                    self.population = deque(other for other in self.population if other is not worst)

    def _child(self) -> Individual:
        sample = [self.rng.choice(self.population) for _ in range(self.sample)]
        parent = max(sample, key=lambda individual: individual.fitness)
        child = self.toolbox.clone(parent)
        del child.fitness.values
        child.id, child.parents = None, () if parent.id is None else (parent.id,)
        (child,) = self.toolbox.mutate(child)
        child.operator = getattr(self.toolbox.mutate, "__name__", "mutation")
        if not self.aging:
            self._samples[id(child)] = sample
        return child

    def _worst(self, sample: list[Individual]) -> Individual:
        """Of the sample that the child came from; of those alive, where none of it is left."""
        alive = {id(individual) for individual in self.population}
        left = [individual for individual in sample if id(individual) in alive] or list(self.population)
        return min(left, key=lambda individual: individual.fitness)
