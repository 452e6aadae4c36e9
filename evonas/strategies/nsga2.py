"""NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002, IEEE Trans. Evolutionary Computation 6(2))."""

from __future__ import annotations

from random import Random

from deap import base, tools

from evonas.individual import Individual
from evonas.strategies.generational import Generational
from evonas.strategies.survival import sel_nsga2

NEW = 20  # tries for a child that has not occurred before


class NSGA2(Generational):
    """Parents and offspring compete for the N places of the next population, by front and then by crowding distance.

    toolbox          a DEAP toolbox with individual, clone, mutate and, where genomes can be crossed, mate
    population       N, the number of parents and of children in each generation
    generations      number of generations of children, after the first population
    crossover_rate   probability for each pair of parents
    mutation_rate    probability for each child that was not crossed (all of them where there is no mate)
    mutates_crossed  crossed children may be mutated too, as in the paper's section III-C; otherwise a child is made by
                     one operator, as in DEAP's varOr

    In a space of discrete genomes, copies would fill the population. Therefore a genome competes once, and children
    that occurred before are varied again, up to 20 times. With a single objective, the N best of parents and offspring
    survive.
    """

    roles = ("individual", "mutate")  # and mate, where genomes can be crossed

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 20,
        generations: int = 4,
        crossover_rate: float = 0.5,
        mutation_rate: float = 1.0,
        mutates_crossed: bool = False,
    ) -> None:
        rates = {"crossover_rate": crossover_rate, "mutation_rate": mutation_rate}
        super().__init__(toolbox, population=population, generations=generations, rates=rates)
        self.rng, self.p_c, self.p_m, self.mutates_crossed = rng, crossover_rate, mutation_rate, mutates_crossed
        self.parents: list[Individual] = []  # P_t
        self.met: set[tuple] = set()

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        return [*self.parents, *self.in_hand]

    def end(self) -> None:
        """Environmental selection (section III-C): P_{t+1} from the union of P_t and Q_t."""
        self.met.update(map(tuple, self.in_hand))
        union = {tuple(individual): individual for individual in [*self.in_hand, *self.parents]}
        valid = [individual for individual in union.values() if individual.fitness.valid]
        several = valid and len(valid[0].fitness.weights) > 1
        self.parents = sel_nsga2(valid, self.size) if several else tools.selBest(valid, self.size)

    def breed(self) -> list[Individual]:
        offspring: list[Individual] = []
        while len(offspring) < self.size:
            children = self._children()
            for _ in range(NEW):
                if not all(tuple(child) in self.met for child in children):
                    break
                children = self._children()
            self.met.update(map(tuple, children))
            offspring += children
        return offspring[: self.size]

    def _children(self) -> list[Individual]:
        if not self.parents:  # all individuals have failed so far
            return [self.toolbox.individual()]
        if hasattr(self.toolbox, "mate") and self.rng.random() < self.p_c:
            pair = [self.copy(self._tournament()) for _ in range(2)]
            pair = list(self.toolbox.mate(*pair))
            return [self._mutated(child) for child in pair] if self.mutates_crossed else pair
        return [self._mutated(self.copy(self._tournament()))]

    def _mutated(self, child: Individual) -> Individual:
        if self.rng.random() < self.p_m:
            (child,) = self.toolbox.mutate(child)
        return child

    def _tournament(self) -> Individual:
        """A binary tournament: the parent that dominates the other or, if neither does, the less crowded one (section
        III-B)."""
        one, other = (self.rng.choice(self.parents) for _ in range(2))
        if one.fitness.dominates(other.fitness):
            return one
        if other.fitness.dominates(one.fitness):
            return other
        return max(one, other, key=lambda parent: getattr(parent.fitness, "crowding_dist", 0.0))
