"""The genetic algorithm of GeNet (Xie and Yuille 2017, "Genetic CNN", arXiv:1703.01513, algorithm 1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual


class GeNet:
    """Generations of N networks: roulette above the worst, stage-wise crossover of pairs, mutation of the others.

    toolbox           a DEAP toolbox with individual, clone, select, mate and mutate
    population        N
    crossover_rate    p_C, for each pair
    mutation_rate     p_M, for each individual that was not crossed
    average_repeats   the paper's device against training noise: a genome that is met again is trained again, and its
                      fitness becomes the mean over all its occurrences (section 3.2.4)

    There is no elitism: the best may be lost. Raises UserError for sizes or rates out of range.
    """

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 20,
        crossover_rate: float = 0.2,
        mutation_rate: float = 0.8,
        average_repeats: bool = False,
    ) -> None:
        if population < 2:
            raise UserError(f"population is {population}; use at least 2")
        for name, rate in (("crossover_rate", crossover_rate), ("mutation_rate", mutation_rate)):
            if not 0 <= rate <= 1:
                raise UserError(f"{name} is {rate}; a probability lies between 0 and 1")
        self.toolbox, self.rng = toolbox, rng
        self.size, self.p_c, self.p_m = population, crossover_rate, mutation_rate
        self.retrains_repeats = average_repeats
        self.occurrences: dict[tuple, list[float]] = defaultdict(list)  # genome -> values of all its trainings
        self.population: list[Individual] = []  # the generation in hand
        self.generation = -1
        self._given = self._told = 0

    def generate(self, n: int | None = None) -> list[Individual]:
        """The next individuals of the generation in hand; [] until the last of it has been told."""
        if self._given == len(self.population):
            if self._told < len(self.population):
                return []
            self._begin(self._breed() if self.population else [self.toolbox.individual() for _ in range(self.size)])
        end = len(self.population) if n is None else min(self._given + n, len(self.population))
        given, self._given = self.population[self._given : end], end
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            self._told += 1
            if individual.fitness.valid:
                self.occurrences[tuple(individual)].append(individual.fitness.values[0])
        if self._told == len(self.population) and self.retrains_repeats:
            for individual in self.population:
                if individual.fitness.valid:
                    values = self.occurrences[tuple(individual)]
                    individual.fitness.values = (sum(values) / len(values),)

    def _begin(self, population: list[Individual]) -> None:
        self.population, self.generation = population, self.generation + 1
        self._given = self._told = 0
        for individual in population:
            individual.generation = self.generation

    def _breed(self) -> list[Individual]:
        """Steps 4 to 6 of algorithm 1: selection, crossover, mutation."""
        offspring = [self._copy(parent) for parent in self.toolbox.select(self.population, self.size)]
        for i in range(0, self.size, 2):
            pair = offspring[i : i + 2]
            if len(pair) == 2 and self.rng.random() < self.p_c:
                parents = pair[0].parents + pair[1].parents
                offspring[i : i + 2] = self.toolbox.mate(*pair)
                for child in offspring[i : i + 2]:
                    child.parents, child.operator = parents, "cx_stages"
                continue
            for j in range(i, i + len(pair)):  # only those that were not crossed
                if self.rng.random() < self.p_m:
                    (offspring[j],) = self.toolbox.mutate(offspring[j])
                    offspring[j].operator = "mut_bits"
        return offspring

    def _copy(self, parent: Individual) -> Individual:
        child = self.toolbox.clone(parent)
        del child.fitness.values
        child.parents = () if parent.id is None else (parent.id,)
        child.id, child.operator = None, "copy"
        return child
