"""The base of steady-state evolution: one child at a time, from the present population, without waiting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from operator import attrgetter
from random import Random
from typing import ClassVar

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.strategy import Strategy


class SteadyState(Strategy):
    """Proposes `size` initial individuals, then one child after the other. A subclass defines how a child is made and
    which individuals stay.

    With several workers none waits, except for the very first fitness. Age is the order in which evaluations completed;
    failed individuals never enter the population.
    """

    roles = ("individual", "mutate")
    parents: ClassVar[int] = 1  # individuals that are needed for a child

    def __init__(self, toolbox: base.Toolbox, *, rng: Random, population: int, evaluations: int | None) -> None:
        if population < self.parents or (evaluations is not None and evaluations < 1):
            raise UserError(
                f"population is {population} and evaluations {evaluations}; use at least {self.parents} and 1"
            )
        self.toolbox, self.rng, self.size, self.evaluations = toolbox, rng, population, evaluations
        self.population: list[Individual] = []  # from the oldest to the youngest
        self.drawn = self.in_flight = 0

    @abstractmethod
    def child(self) -> Individual:
        """A new individual from the population, which is large enough for it."""

    @abstractmethod
    def insert(self, individual: Individual) -> None:
        """Add an evaluated individual to the population."""

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        while len(given) < (n or 1) and (individual := self.next()) is not None:
            given.append(individual)
            self.in_flight += 1
        return given

    def next(self) -> Individual | None:
        """An initial individual or a child; None if an individual in flight must be evaluated first."""
        enough = len(self.population) >= self.parents
        if self.drawn < self.size or not (enough or self.in_flight):
            self.drawn += 1
            return self.toolbox.individual()
        return self.child() if enough else None

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            self.in_flight -= 1
            if individual.fitness.valid:
                self.insert(individual)


def mutated(toolbox: base.Toolbox, parent: Individual) -> Individual:
    """A mutated copy, not yet evaluated."""
    child = toolbox.clone(parent)
    del child.fitness.values
    (child,) = toolbox.mutate(child)
    return child


_WVALUES = attrgetter("fitness.wvalues")  # these compare as fitnesses do, several times as fast


def best(individuals: Iterable[Individual]) -> Individual:
    """The first of the fittest."""
    return max(individuals, key=_WVALUES)
