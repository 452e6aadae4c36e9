"""The evolutionary algorithm of Large-scale Evolution (Real et al. 2017, arXiv:1703.01041, section 3.1 and the worker's
loop in supplement S1)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.steady_state import SteadyState, best, mutated


class Tournament(SteadyState):
    """Two random individuals meet: the worse is killed, the better has a mutated child and stays alive.

    toolbox      a DEAP toolbox with individual, clone and mutate
    population   the set-point P, around which the number of living individuals (including children in training) varies:
                 at or above it the loser of a meeting is killed, below it the winner has a child; thus a failed
                 individual leaves a place that the next child takes without a death
    selection    False: a random choice decides who dies and who has a child (the paper's control)
    resets       after so many evaluations, the weights of all living individuals are reinitialised and trained once
                 more (those in training, once they are evaluated): the paper's way out of a local optimum
    evaluations  number of evaluations in all

    Raises UserError for a population of less than 2.
    """

    parents = 2

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        population: int = 1000,
        selection: bool = True,
        resets: tuple[int, ...] = (),
        evaluations: int = 10_000,
    ) -> None:
        super().__init__(toolbox, rng=rng, population=population, evaluations=evaluations)
        if any(reset < 1 for reset in resets):
            raise UserError(f"resets is {resets}; give numbers of evaluations, each at least 1")
        self.selection, self.resets = selection, sorted(resets)
        self.told = 0
        self._to_reset: list[Individual] = []
        self._in_training: set[int] = set()  # identities of individuals in flight
        self._outdated: set[int] = set()  # identities of those among them that were in flight at a reset

    @property
    def alive(self) -> int:
        return len(self.population) + self.in_flight + len(self._to_reset)

    def next(self) -> Individual | None:
        individual = self._reset(self._to_reset.pop(0)) if self._to_reset else super().next()
        if individual is not None:
            self._in_training.add(id(individual))
        return individual

    def child(self) -> Individual:
        while True:
            winner, loser = self._meeting()
            if self.alive >= self.size:
                self.population = [other for other in self.population if other is not loser]
            if self.alive < self.size:
                return mutated(self.toolbox, winner)

    def _meeting(self) -> tuple[Individual, Individual]:
        pair = self.rng.sample(self.population, 2)
        winner = best(pair) if self.selection else pair[0]
        return winner, pair[1] if winner is pair[0] else pair[0]

    def _reset(self, old: Individual) -> Individual:
        new = self.toolbox.clone(old)
        del new.fitness.values
        new.operator, new.reset = "reset_weights", True
        return new

    def insert(self, individual: Individual) -> None:
        (self._to_reset if id(individual) in self._outdated else self.population).append(individual)

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            super().update([individual])
            self._in_training.discard(id(individual))
            self._outdated.discard(id(individual))
            self.told += 1
            if self.resets and self.told >= self.resets[0]:
                del self.resets[0]
                self._to_reset, self.population = self._to_reset + self.population, []
                self._outdated |= self._in_training
