"""Local search by first improvement (White, Nolen and Savani 2021, "Exploring the Loss Landscape in NAS",
arXiv:2005.02960): hill climbing that moves to the first better neighbour and restarts at a local optimum."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from deap import base

from evonas.individual import Individual
from evonas.strategies.strategy import Strategy


class LocalSearch(Strategy):
    """Beginning at a random genome, evaluate its neighbours in random order and move to the first better one.

    toolbox   a DEAP toolbox with individual and neighbours, which lists the genomes one change away

    If no neighbour is better, the search restarts from a random genome. With several workers, the neighbours of a
    genome are evaluated in parallel.
    """

    roles = ("individual", "neighbours")

    def __init__(self, toolbox: base.Toolbox, *, rng: Random) -> None:
        self.toolbox, self.rng = toolbox, rng
        self.place: Individual | None = None
        self.waiting: list[Individual] = []  # neighbours of the place that have not been proposed
        self.in_flight: set[int] = set()  # proposed neighbours of this place, by identity

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        for _ in range(n or 1):
            if not self.waiting:
                if self.in_flight:
                    break
                self.place = None
                self.waiting = [self.toolbox.individual()]
            given.append(self.waiting.pop())
            self.in_flight.add(id(given[-1]))
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            expected = id(individual) in self.in_flight
            self.in_flight.discard(id(individual))
            if not individual.fitness.valid or not expected:  # failed, or a neighbour of an earlier place
                continue
            if self.place is None or individual.fitness > self.place.fitness:
                self._move(individual)

    def _move(self, individual: Individual) -> None:
        self.place = individual
        self.in_flight.clear()
        self.waiting = self.toolbox.neighbours(individual)
        self.rng.shuffle(self.waiting)
