"""The evolution of SPOS (Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
arXiv:1904.00420, algorithm 1, and the authors' code)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from deap import base, tools

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.generational import Generational

TRIES = 10  # for each child of an operator (published code)


class SPOS(Generational):
    """Parents are the k best ever met. Half of a generation are mutants of one of them, half are crossed from two, and
    what is missing, since children that occurred before do not count, is drawn at random.

    toolbox      a DEAP toolbox with individual, clone, mutate and mate
    population   of a generation
    generations  number of generations after the first one
    parents      k
    """

    roles = ("individual", "mutate", "mate")

    def __init__(
        self, toolbox: base.Toolbox, *, rng: Random, population: int = 50, generations: int = 20, parents: int = 10
    ) -> None:
        super().__init__(toolbox, population=population, generations=generations, rates={})
        if not 1 <= parents <= population:
            raise UserError(f"parents is {parents}; use 1 to {population}, the size of the population")
        self.rng, self.k = rng, parents
        self.best: list[Individual] = []
        self.met: set[tuple] = set()

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        return [*self.best, *self.in_hand]

    def end(self) -> None:
        self.met.update(map(tuple, self.in_hand))
        valid = [individual for individual in self.in_hand if individual.fitness.valid]
        self.best = tools.selBest([*self.best, *valid], self.k)

    def breed(self) -> list[Individual]:
        children = self._new(self.size // 2, self._mutant) if self.best else []
        children += self._new(self.size // 2, self._crossed) if self.best else []
        missing = self.size - len(children)
        children += self._new(missing, self.toolbox.individual)
        while len(children) < self.size:  # next to all of the space has been met
            children.append(self.toolbox.individual())
        return children

    def _new(self, wanted: int, make: Callable[[], Individual]) -> list[Individual]:
        """Children that have not occurred before: as many as are found in ten times as many tries."""
        found: list[Individual] = []
        for _ in range(TRIES * wanted):
            if len(found) == wanted:
                break
            child = make()
            if tuple(child) not in self.met:
                self.met.add(tuple(child))
                found.append(child)
        return found

    def _mutant(self) -> Individual:
        (child,) = self.toolbox.mutate(self.copy(self.rng.choice(self.best)))
        return child

    def _crossed(self) -> Individual:
        child, _ = self.toolbox.mate(*(self.copy(self.rng.choice(self.best)) for _ in range(2)))
        return child
