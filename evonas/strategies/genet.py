"""The genetic algorithm of GeNet (Xie and Yuille 2017, "Genetic CNN", arXiv:1703.01513, algorithm 1)."""

from __future__ import annotations

from collections import defaultdict
from random import Random

from deap import base

from evonas.individual import Individual
from evonas.strategies.generational import Generational


class GeNet(Generational):
    """Generations of N networks: roulette above the worst, stage-wise crossover of pairs, mutation of the others.

    toolbox           a DEAP toolbox with individual, clone, select, mate and mutate
    population        N, the size of a generation
    generations       T, the number of generations after the first one
    crossover_rate    p_C, for each pair
    mutation_rate     p_M, for each individual that was not crossed
    average_repeats   the paper's measure against training noise: a genome that occurs again is trained again, and its
                      fitness becomes the mean over all its occurrences (section 3.2.4)

    There is no elitism: the best may be lost. Raises UserError for sizes or rates out of range.
    """

    roles = ("individual", "select", "mate", "mutate")

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 20,
        generations: int = 50,
        crossover_rate: float = 0.2,
        mutation_rate: float = 0.8,
        average_repeats: bool = False,
    ) -> None:
        rates = {"crossover_rate": crossover_rate, "mutation_rate": mutation_rate}
        super().__init__(toolbox, population=population, generations=generations, rates=rates)
        self.rng, self.p_c, self.p_m = rng, crossover_rate, mutation_rate
        self.retrains_repeats = average_repeats
        self.occurrences: dict[tuple, list[float]] = defaultdict(list)  # genome -> values from all its trainings

    def breed(self) -> list[Individual]:
        """The next generation by steps 4 to 6 of algorithm 1: selection, crossover, mutation."""
        offspring = [self.copy(parent) for parent in self.toolbox.select(self.in_hand, self.size)]
        for i in range(0, self.size, 2):
            pair = offspring[i : i + 2]
            if len(pair) == 2 and self.rng.random() < self.p_c:
                offspring[i : i + 2] = self.toolbox.mate(*pair)
                continue
            for j in range(i, i + len(pair)):  # only those that were not crossed
                if self.rng.random() < self.p_m:
                    (offspring[j],) = self.toolbox.mutate(offspring[j])
        return offspring

    def hear(self, individual: Individual) -> None:
        if individual.fitness.valid:
            self.occurrences[tuple(individual)].append(individual.fitness.values[0])

    def end(self) -> None:
        if not self.retrains_repeats:
            return
        for individual in self.in_hand:
            if individual.fitness.valid:
                values = self.occurrences[tuple(individual)]
                individual.fitness.values = (sum(values) / len(values),)
