"""Reinforcement learning whose networks all begin with what a start network has learnt (Cai et al. 2018,
arXiv:1707.04873 and arXiv:1806.02639)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from math import pi, tan
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.space import Token
from evonas.strategies.rewards import accuracy
from evonas.strategies.strategy import Strategy
from evonas.support.device import torch_threads

if TYPE_CHECKING:  # torch is loaded with the controller
    from evonas.strategies.actors import Actors, Decided

LARGEST = 0.9999  # accuracy that is rewarded: the tangent of 1 has no end


def tangent(individual: Individual) -> float:
    """R = tan(accuracy * pi / 2), which makes much of small gains of what is good already (EAS, section 3.4)."""
    return tan(min(accuracy(individual), LARGEST) * pi / 2)


class FromStart(Strategy):
    """The start network is trained; then batches of networks that come from it, each an episode of a controller, by
    REINFORCE:

        grad J = 1/batch  sum over episodes  sum over decisions  grad log P(decision) (R - b)

    where the baseline b moves with each batch, before it is subtracted: b <- b + `decay` (mean R - b).

    start        its genome
    batch        networks for one step of Adam
    decay        of the baseline
    entropy      weight of the entropy of the decisions
    learning     False: uniform decisions
    evaluations  in all, the start network among them

    A subclass says what the `controller` is, what it makes of the start, and how an episode of it goes.

    Networks that failed have no part in a step. A result that comes late waits with its batch.

    Raises UserError for a setting out of its range.
    """

    ended = "all evaluations were made"
    operator: str  # by whose name its networks are recorded

    def __init__(
        self,
        start: Sequence[Token],
        controller: Actors,
        *,
        rng: Random,
        batch: int,
        decay: float,
        entropy: float,
        learning: bool,
        evaluations: int,
    ) -> None:
        if batch < 1 or evaluations < 1:
            raise UserError(f"batch is {batch} and evaluations {evaluations}; use at least 1")
        if not 0 < decay <= 1 or entropy < 0:
            raise UserError(f"decay is {decay} and entropy {entropy}; use more than 0 up to 1, and at least 0")
        self.controller, self.rng = controller, rng
        self.batch, self.decay, self.entropy, self.learning = batch, decay, entropy, learning
        self.evaluations: int = evaluations
        self.baseline = 0.0
        self.start_genome = tuple(start)
        self.start: Individual | None = None
        self.failed = False  # the start could not be trained
        self.proposed = 0
        self._in_flight: dict[int, list[Decided]] = {}  # by identity of the individual
        self._left = 0  # of this batch, to be proposed
        self._told: list[tuple[list[Decided], float]] = []

    @abstractmethod
    def proposal(self) -> tuple[Sequence[Token], list[Decided]]:
        """The genome of a network that comes from the start, and the decisions that led to it."""

    @property
    def population(self) -> list[Individual]:  # type: ignore[override]
        return [] if self.start is None else [self.start]

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        for _ in range(n or self.batch):
            if self.failed:
                break
            if self.start is None and not self._in_flight:
                given.append(self._first())
            elif self.start is not None and self._room():
                given.append(self._changed(self.start))
            else:
                break
        return given

    def _room(self) -> bool:
        """Whether this batch, or if it has been told the next one, wants another network."""
        if not self._left and not self._in_flight and self.proposed < self.evaluations:
            self._left = min(self.batch, self.evaluations - self.proposed)
        return self._left > 0

    def _first(self) -> Individual:
        individual = Individual(self.start_genome)
        individual.operator = "start"
        return self._proposes(individual, [])

    @torch_threads(1)  # the same numbers on every machine
    def _changed(self, start: Individual) -> Individual:
        self._left -= 1
        genome, decided = self.proposal()
        individual = Individual(genome)
        individual.parents, individual.operator = start.sources, self.operator
        if self.learning:
            individual.proposal = {"entropy": float(sum(each.entropy.item() for each in decided)),
                                   "reward_baseline": self.baseline}  # fmt: skip
        return self._proposes(individual, decided)

    def _proposes(self, individual: Individual, decided: list[Decided]) -> Individual:
        self.proposed += 1
        self._in_flight[id(individual)] = decided
        return individual

    # ---- learning -------------------------------------------------------------------------------------------------

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            decided = self._in_flight.pop(id(individual))
            if self.start is None:
                self.start, self.failed = individual, not individual.fitness.valid
                self.ended = "the start network could not be trained" if self.failed else self.ended
                if not self.failed:
                    self.baseline = self.first_baseline(individual)
            elif individual.fitness.valid:
                self._told.append((decided, tangent(individual)))
        if self._told and not self._left and not self._in_flight:
            if self.learning:
                self._learn(self._told)
            self._told = []

    def first_baseline(self, start: Individual) -> float:
        """With what the baseline begins."""
        return 0.0

    @torch_threads(1)
    def _learn(self, told: Sequence[tuple[list[Decided], float]]) -> None:
        mean = sum(reward for _, reward in told) / len(told)
        self.baseline += self.decay * (mean - self.baseline)
        self.controller.descend(
            -each.log_probability * (reward - self.baseline) / len(told) - self.entropy * each.entropy
            for decided, reward in told
            for each in decided
        )
