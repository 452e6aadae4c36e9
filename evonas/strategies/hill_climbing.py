"""Hill climbing by network morphisms (Elsken, Metzen and Hutter 2017, "Simple and Efficient Architecture Search for
Convolutional Neural Networks", arXiv:1711.04528, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.steady_state import best, mutated
from evonas.strategies.strategy import Strategy


class HillClimbing(Strategy):
    """From the best network so far, some changed ones and it itself are trained further; the best of these is the next.

    toolbox      a DEAP toolbox with individual, clone and mutate
    steps        n_steps
    neighbours   n_neigh: the networks of a step, the unchanged one among them
    choosing     False: each step has one changed network, which is the next whatever it is worth (the paper's control,
                 "random networks")

    Raises UserError for fewer than 1 step or 2 neighbours.
    """

    roles = ("individual", "mutate")
    endless = False
    ended = "all steps were made"

    def __init__(
        self, toolbox: base.Toolbox, *, rng: Random, steps: int = 5, neighbours: int = 8, choosing: bool = True
    ) -> None:
        if steps < 1 or neighbours < 2:
            raise UserError(f"steps is {steps} and neighbours {neighbours}; use at least 1 and 2")
        self.toolbox, self.steps, self.choosing = toolbox, steps, choosing
        self.neighbours = neighbours if choosing else 1
        self.evaluations = 1 + steps * self.neighbours
        self.place: Individual | None = None  # model_best
        self.made = 0  # steps
        self.waiting: list[Individual] = []  # to be proposed
        self.told: list[Individual] = []  # of this step
        self.in_flight = 0

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        return [*filter(None, [self.place]), *self.waiting, *self.told]

    def generate(self, n: int | None = None) -> list[Individual]:
        if not self.waiting and not self.in_flight:
            self.waiting = self._step()
        given, self.waiting = self.waiting[: n or None], self.waiting[n or len(self.waiting) :]
        self.in_flight += len(given)
        return given

    def _step(self) -> list[Individual]:
        """The networks of the next step."""
        if self.place is None:  # the first one, or another where that could not be trained
            return [self.toolbox.individual()]
        if self.made == self.steps:
            return []
        self.made += 1
        if not self.choosing:
            return [mutated(self.toolbox, self.place)]
        return [*(mutated(self.toolbox, self.place) for _ in range(self.neighbours - 1)), self._further(self.place)]

    def _further(self, place: Individual) -> Individual:
        """The network as it is, to be trained as much longer as its children are."""
        same = self.toolbox.clone(place)
        del same.fitness.values
        same.operator = "unchanged"
        return same

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            self.in_flight -= 1
            self.told += [individual] * individual.fitness.valid
        if not self.waiting and not self.in_flight and self.told:
            self.place, self.told = best(self.told), []
