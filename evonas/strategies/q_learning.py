"""Tabular Q-learning over the decisions of a space, as in MetaQNN (Baker, Gupta, Naik and Raskar 2017, "Designing
Neural Network Architectures using Reinforcement Learning", arXiv:1611.02167, section 4 and appendices A and D)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.space import Space, Token, require_sequence
from evonas.strategies.first import First
from evonas.strategies.rewards import Reward, accuracy
from evonas.strategies.strategy import Strategy

Schedule = Sequence[tuple[float, int]]  # pairs of epsilon and the number of genomes

METAQNN_SCHEDULE: Schedule = (
    (1.0, 1500), (0.9, 100), (0.8, 100), (0.7, 100), (0.6, 150), (0.5, 150), (0.4, 150), (0.3, 150), (0.2, 150),
    (0.1, 150),
)  # fmt: skip

BLOCK_QNN_SCHEDULE: Schedule = tuple(  # iterations of 64 blocks (arXiv:1708.05552, section 4.2)
    (epsilon, 64 * iterations)
    for epsilon, iterations in (
        (1.0, 95), (0.9, 7), (0.8, 7), (0.7, 7), (0.6, 10), (0.5, 10), (0.4, 10), (0.3, 10), (0.2, 10), (0.1, 12),
    )
)  # fmt: skip


def scaled(schedule: Schedule, genomes: int) -> Schedule:
    """The schedule scaled to another total number of genomes; each part keeps its share, to the nearest genome."""
    whole = sum(count for _, count in schedule)
    ends = [round(end * genomes / whole) for end in accumulate(count for _, count in schedule)]
    starts = [0, *ends]
    return [(epsilon, end - start) for (epsilon, _), start, end in zip(schedule, starts, ends, strict=False)]


@dataclass(frozen=True)
class Step:
    """A decision of a trajectory: the observed state, the chosen token, and all its options."""

    observed: Hashable
    token: Token
    options: tuple[Token, ...]


class QLearning(Strategy):
    """Learns the value of each token in each observed state: the accuracy to be expected from greedy choices after it.

    space       a space; its `observe` defines the states
    schedule    pairs of epsilon and a number of genomes; the last epsilon stays in force. With probability epsilon a
                token is drawn uniformly from all legal ones; otherwise the one of highest value is taken, ties broken
                at random
    distinct    the schedule counts repeated evaluations of a genome once, as in the paper; otherwise each time
    rate        alpha, the learning rate of an update
    discount    gamma, the factor on the value of the next state
    initial     value of a token that was never chosen; best slightly below the accuracy of an average network
    replays     number of evaluated genomes that are drawn and learnt again after each evaluation
    at_once     a new genome is learnt as it arrives, before the replays, among which it may be as well; otherwise only
                by replays, as in the papers
    shaping     each of T decisions but the last is rewarded with 1/T of the genome's reward (Block-QNN,
                arXiv:1708.05552, equation 6); otherwise with 0 (MetaQNN)
    reward      function from an individual with a valid fitness to its reward
    evaluations number of evaluations that it plans to make

    The decisions of a genome are learnt from the last to the first. A failed individual is learnt with the worst reward
    so far; before there is one, it is ignored. The schedule counts evaluations without failures.

    Raises UserError for a space whose genomes are not sequences of decisions, and for a setting out of its range.
    """

    population = ()  # there are no parents

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        schedule: Schedule = METAQNN_SCHEDULE,
        distinct: bool = True,
        rate: float = 0.01,
        discount: float = 1.0,
        initial: float = 0.5,
        replays: int = 100,
        at_once: bool = True,
        shaping: bool = False,
        reward: Reward = accuracy,
        evaluations: int | None = None,
    ) -> None:
        require_sequence(space, "Q-learning")
        if not schedule or any(not 0 <= epsilon <= 1 or count < 0 for epsilon, count in schedule):
            raise UserError(f"schedule is {schedule}; give pairs of an epsilon from 0 to 1 and a number of genomes")
        if not 0 < rate <= 1 or not 0 <= discount <= 1 or replays < 0:
            raise UserError(f"rate is {rate}, discount {discount} and replays {replays}; use more than 0 to 1, 0 to 1, "
                            "and at least 0")  # fmt: skip
        if not (replays or at_once):
            raise UserError(
                "replays is 0 and at_once False, so nothing would be learnt; use more replays, or at_once=True"
            )
        self.space, self.rng, self.schedule, self.distinct = space, rng, schedule, distinct
        self.rate, self.discount, self.initial, self.replays = rate, discount, initial, replays
        self.at_once, self.shaping, self.reward, self.evaluations = at_once, shaping, reward, evaluations
        self.values: dict[Hashable, dict[Token, float]] = {}  # state -> {token: value}
        self.known: set[tuple[Token, ...]] = set()  # genomes that were evaluated
        self.told = 0
        self.worst: float | None = None  # worst reward so far
        self.memory: list[tuple[list[Step], float | None]] = []  # trajectories with rewards; None: it failed

    @property
    def epsilon(self) -> float:
        """The present epsilon, by the number of genomes that were evaluated so far."""
        left = len(self.known) if self.distinct else self.told
        for epsilon, count in self.schedule:
            if left < count:
                return epsilon
            left -= count
        return self.schedule[-1][0]

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """It writes genomes itself: what a search begins with comes before it."""
        return First(first, then=self) if first else self

    def value(self, observed: Hashable, token: Token) -> float:
        return self.values.get(observed, {}).get(token, self.initial)

    def generate(self, n: int | None = None) -> list[Individual]:
        return [self._next() for _ in range(n or 1)]

    def _next(self) -> Individual:
        genome: tuple[Token, ...] = ()
        epsilon = self.epsilon
        while (decision := self.space.next(genome)) is not None:
            if self.rng.random() < epsilon:
                token = self.rng.choice(decision.options)
            else:
                token = self._greedy(self.space.observe(genome), decision.options)
            genome += (token,)
        individual = Individual(genome)
        individual.operator = "q_learning"
        individual.proposal = {"epsilon": epsilon}
        return individual

    def _greedy(self, observed: Hashable, options: Sequence[Token]) -> Token:
        values = [self.value(observed, option) for option in options]
        best = max(values)
        return self.rng.choice([option for option, value in zip(options, values, strict=True) if value == best])

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            trajectory, reward = self._trajectory(individual), None
            if individual.fitness.valid:
                self.known.add(tuple(individual))
                self.told += 1
                reward = self.reward(individual)
                self.worst = reward if self.worst is None else min(self.worst, reward)
            if self.at_once and self.worst is not None:
                self._recall(trajectory, reward)
            if self.replays:
                self.memory.append((trajectory, reward))
            for _ in range(self.replays if self.worst is not None else 0):
                self._recall(*self.rng.choice(self.memory))

    def _recall(self, trajectory: Sequence[Step], reward: float | None) -> None:
        """Learn a genome, possibly again; a failed one counts with the worst reward so far."""
        assert self.worst is not None
        self.learn(trajectory, self.worst if reward is None else reward)

    def learn(self, trajectory: Sequence[Step], reward: float) -> None:
        """Q(s, u) <- (1 - alpha) Q(s, u) + alpha (r + gamma max over u' of Q(s', u')), backwards in time."""
        passing = reward / len(trajectory) if self.shaping else 0.0
        target = reward
        for step in reversed(trajectory):
            values = self.values.setdefault(step.observed, {})
            values[step.token] = (1 - self.rate) * values.get(step.token, self.initial) + self.rate * target
            target = passing + self.discount * max([values.get(option, self.initial) for option in step.options])

    def _trajectory(self, individual: Individual) -> list[Step]:
        genome = tuple(individual)
        decisions = self.space.decisions(genome)
        return [
            Step(self.space.observe(genome[:place]), token, decision.options)
            for place, (decision, token) in enumerate(zip(decisions, genome, strict=True))
        ]
