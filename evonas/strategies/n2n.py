"""N2N (Ashok, Rhinehart, Beainy and Kitani 2018, "N2N Learning: Network to Network Compression via Policy Gradient
Reinforcement Learning", arXiv:1709.06030): one policy learns which layers of a network may go, then another by how much
those that are left may shrink."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import torch

from evonas.errors import UserError
from evonas.genomes.n2n import REMOVE, N2NSpace
from evonas.graph import GraphError
from evonas.individual import Individual
from evonas.space import Genome
from evonas.strategies.n2n_policies import Policy, Removal, Shrinkage
from evonas.strategies.rewards import DEGENERATE, accuracy, compression, constrained
from evonas.strategies.strategy import Strategy
from evonas.support.device import torch_threads
from evonas.training.optimizers import Adam

VARIANTS = ("textbook", "code")


class Baseline:
    """What rewards of a policy are held against: the mean of the means of earlier batches; of the first batch, its own.

    variant   code: as published, the sum of the earlier means is divided by one more than there are, and all rollouts
              of a batch have the same advantage, that of their mean
    """

    def __init__(self, variant: str = "textbook") -> None:
        self.variant = variant
        self.means: list[float] = []

    def advantages(self, rewards: list[float]) -> list[float]:
        mean, earlier = sum(rewards) / len(rewards), len(self.means)
        if self.variant == "code":
            found = [mean - sum(self.means) / (earlier + 1)] * len(rewards)
        else:
            baseline = sum(self.means) / earlier if earlier else mean
            found = [reward - baseline for reward in rewards]
        self.means.append(mean)
        return found


class N2N(Strategy):
    """REINFORCE in two stages, by the reward C (2 - C) R_a, of the compression C = 1 - parameters / the teacher's, and
    the relative accuracy R_a = accuracy / the teacher's; -1 for what cannot be trained. The second stage begins with
    the best network of the first. The last proposal is the best of all, once more, and is the result: those before it
    are provisional.

    evaluations       rollouts in all, the last included
    removal           share of the first stage
    batch             rollouts to an update
    removal_rate      learning rate of Adam, of the first policy
    shrinkage_rate    and of the second
    units             of each of the two layers of the LSTMs
    variant           of the baseline: textbook, or code
    max_parameters    constraint, which counts in full from the 15th update of a stage on; 0: none
    min_relative      likewise, on the relative accuracy; 0: none

    No worker waits but for the last proposal: until a batch is full, further rollouts are drawn with the present
    weights.

    Raises UserError for another space than N2N's, and for settings out of their range.
    """

    population = ()
    endless = False
    ended = "all rollouts have been made"

    def __init__(
        self,
        space: Any,
        *,
        rng: Random,
        evaluations: int = 100,
        removal: float = 0.5,
        batch: int = 5,
        removal_rate: float = 0.003,
        shrinkage_rate: float = 0.01,
        units: int = 30,
        variant: str = "textbook",
        max_parameters: int = 0,
        min_relative: float = 0.0,
    ) -> None:
        if not isinstance(space, N2NSpace):
            raise UserError(f"n2n removes and shrinks layers of a given network, by genomes of its own space, which "
                            f"{space.name} is not; use reinforce")  # fmt: skip
        if min(evaluations, batch, units) < 1 or min(removal_rate, shrinkage_rate) <= 0:
            raise UserError(f"evaluations is {evaluations}, batch {batch}, units {units}, removal_rate {removal_rate} "
                            f"and shrinkage_rate {shrinkage_rate}; use at least 1, and rates above 0")  # fmt: skip
        if not 0 <= removal <= 1 or not 0 <= min_relative <= 1 or max_parameters < 0:
            raise UserError(f"removal is {removal}, min_relative {min_relative} and max_parameters {max_parameters}; "
                            "use from 0 to 1 for the first two, and at least 0")  # fmt: skip
        if variant not in VARIANTS:
            raise UserError(f"variant is {variant!r}; use {' or '.join(VARIANTS)}")
        self.space, self.rng, self.evaluations, self.batch = space, rng, evaluations, batch
        self.rates, self.units, self.variant = (removal_rate, shrinkage_rate), units, variant
        self.max_parameters, self.min_relative = max_parameters, min_relative
        self.rollouts = max(evaluations - 1, 1)
        self.first = round(removal * self.rollouts)  # rollouts of the first stage
        self.teacher_parameters, self.teacher_accuracy = space.whole.parameters, 1.0
        self.best: tuple[float, Individual] | None = None
        self.proposed = self.told = 0
        self._in_flight: dict[int, tuple[int, Genome]] = {}  # by identity of the individual: stage and genome
        self._enter(0 if self.first else 1)

    def _enter(self, stage: int) -> None:
        """Begin a stage: a policy, a baseline, and nothing learnt."""
        self.stage, self.updates, self.baseline = stage, 0, Baseline(self.variant)
        self._drawn: list[Genome] = []
        self._rewarded: list[tuple[Genome, float]] = []
        if stage == 0:
            self.policy: Policy = Removal(self.space, rng=self.rng, units=self.units)
        else:
            gone = frozenset() if self.best is None else _gone(self.space, self.best[1])
            self.policy = Shrinkage(self.space, gone, rng=self.rng, units=self.units)
        self.optimizer = Adam(self.policy.parameters(), self.rates[stage])

    def check(self, problem: Any, *, inherit: bool = False) -> None:
        if problem.weights[0] < 0:
            raise UserError(f"n2n holds the accuracy of networks against their teacher's, but of {problem.first} less "
                            "is better; decide by another metric (--objectives)")  # fmt: skip

    def prepare(self, bench: Any, folder: Path | None = None) -> None:
        """What is compressed is what teaches, where candidates have a teacher."""
        if bench.teacher is not None:
            self.teacher_parameters, self.teacher_accuracy = bench.teacher.graph.parameters, bench.teacher.value

    def generate(self, n: int | None = None) -> list[Individual]:
        found: list[Individual] = []
        while len(found) < (n or self.batch) and (individual := self._next()) is not None:
            found.append(individual)
        return found

    def _next(self) -> Individual | None:
        if self.proposed < self.rollouts:
            return self._rollout()
        if self.proposed > self.rollouts or self._in_flight or self.best is None:
            return None
        self.proposed += 1
        chosen = Individual(self.best[1])
        chosen.parents, chosen.operator = self.best[1].sources, "chosen"
        chosen.proposal = {"reward": round(self.best[0], 4)}
        return chosen

    @torch_threads(1)  # the same numbers on every machine
    def _rollout(self) -> Individual:
        if not self._drawn:
            self._drawn = list(self.policy.sample(self.batch))
        individual = Individual(self._drawn.pop(0))
        individual.operator, individual.provisional = ("removal", "shrinkage")[self.stage], self.rollouts > 1
        self.proposed += 1
        self._in_flight[id(individual)] = self.stage, tuple(individual)
        return individual

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            if id(individual) not in self._in_flight:  # the last one, which is known
                continue
            stage, genome = self._in_flight.pop(id(individual))
            reward, breaks = self.reward(individual)
            self.told += 1
            if individual.fitness.valid:
                worth = DEGENERATE if breaks else reward
                if self.best is None or worth > self.best[0]:
                    self.best = worth, individual
            reward = constrained(reward, self.updates) if breaks else reward
            if stage == self.stage:
                self._rewarded.append((genome, reward))
                if len(self._rewarded) == self.batch:
                    self._learn()
            if self.stage == 0 and self.told >= self.first:
                self._enter(1)

    def reward(self, individual: Individual) -> tuple[float, bool]:
        """What a rollout is worth, and whether it breaks a constraint."""
        if not individual.fitness.valid:
            return DEGENERATE, False
        try:
            parameters = self.space.decode(individual).parameters
        except GraphError:  # a function of a user's own may judge what has no network
            return DEGENERATE, False
        relative = accuracy(individual) / self.teacher_accuracy
        reward = compression(parameters / self.teacher_parameters, relative)
        return reward, 0 < self.max_parameters < parameters or relative < self.min_relative

    @torch_threads(1)
    def _learn(self) -> None:
        """A step of the policy: up along grad log P(choices) times the advantage (Williams 1992)."""
        genomes, rewards = [genome for genome, _ in self._rewarded], [reward for _, reward in self._rewarded]
        advantages = torch.tensor(self.baseline.advantages(rewards))
        self.optimizer.zero_grad()
        (-(self.policy.log_probabilities(genomes) * advantages).mean()).backward()
        self.optimizer.step()
        self.updates += 1
        self._rewarded, self._drawn = [], []


def _gone(space: N2NSpace, genome: Genome) -> frozenset[str]:
    """The layers that a genome removes."""
    answers = space.answers(genome)
    return frozenset(name.removesuffix(".keep") for name, token in answers.items() if token == REMOVE)
