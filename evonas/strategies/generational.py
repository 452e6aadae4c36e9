"""The base of generational algorithms: the next generation begins when all of the present one has been evaluated."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.strategy import Strategy


class Generational(Strategy):
    """A strategy by generations. Subclasses define how a generation is bred and what happens after its evaluation.

    toolbox     a DEAP toolbox with individual, clone and the roles that the subclass needs
    population  number of individuals in a generation
    generations number of generations after the first one, where the budget of a search does not say otherwise
    """

    def __init__(self, toolbox: Any, *, population: int, generations: int, rates: dict[str, float]) -> None:
        if population < 2 or generations < 0:
            raise UserError(f"population is {population} and generations {generations}; use at least 2 and 0")
        for name, rate in rates.items():
            if not 0 <= rate <= 1:
                raise UserError(f"{name} is {rate}; use a probability between 0 and 1")
        self.toolbox, self.size = toolbox, population
        self.evaluations = population * (generations + 1)
        self.generation = -1
        self.in_hand: list[Individual] = []  # the generation that is being evaluated
        self._given = self._told = 0

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        """The individuals that are alive: the parents of further children, and those in evaluation."""
        return self.in_hand

    def generate(self, n: int | None = None) -> list[Individual]:
        """The next individuals of the present generation; [] until the last of it has been evaluated."""
        if self._given == len(self.in_hand):
            if self._told < len(self.in_hand):
                return []
            self._begin(self.breed() if self.in_hand else [self.toolbox.individual() for _ in range(self.size)])
        end = len(self.in_hand) if n is None else min(self._given + n, len(self.in_hand))
        given, self._given = self.in_hand[self._given : end], end
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            self._told += 1
            self.hear(individual)
        if self._told == len(self.in_hand):
            self.end()

    @abstractmethod
    def breed(self) -> list[Individual]:
        """The next generation, made from the present one, which has been evaluated completely."""

    def hear(self, individual: Individual) -> None:
        """Called when an individual has its fitness."""

    def end(self) -> None:
        """Called when the whole present generation has its fitness."""

    def copy(self, parent: Individual) -> Individual:
        """A child that still equals its parent, to be varied."""
        child = self.toolbox.clone(parent)
        del child.fitness.values
        return child

    def _begin(self, generation: list[Individual]) -> None:
        self.in_hand, self.generation = generation, self.generation + 1
        self._given = self._told = 0
        for individual in generation:
            individual.generation = self.generation
