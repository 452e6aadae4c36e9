"""Monte Carlo tree search over the decisions of a space: UCT (Kocsis and Szepesvari 2006, "Bandit Based Monte-Carlo
Planning"), as Negrinho and Gordon 2017 (DeepArchitect, arXiv:1704.08792) and Wistuba 2017 (arXiv:1712.07420) search
networks with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from random import Random

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.space import Space, Token, require_sequence
from evonas.strategies.first import First
from evonas.strategies.rewards import accuracy
from evonas.strategies.strategy import Strategy

Prefix = tuple[Token, ...]


@dataclass
class Node:
    """What is known of the genomes that begin with a prefix.

    visits   proposals that went through it, those in flight included
    told     those of them whose results are known
    failed   those of these that failed
    total    sum of the rewards of the others
    """

    visits: int = 0
    told: int = 0
    failed: int = 0
    total: float = 0.0


class MCTS(Strategy):
    """A tree of prefixes. A proposal goes down by UCB1 until a prefix with an option that was never tried, tries it,
    and draws the rest at random; its reward counts for all prefixes on the way.

    space        whose genomes are sequences of decisions
    exploration  c, the weight of what is seldom visited
    evaluations  number of evaluations that it plans to make

    The rest is drawn uniformly from all genomes that were not proposed, or, where these cannot be counted, each token
    from the options; an option without any is not taken: no genome is proposed twice, and the search ends with the
    space. Rewards, the first objective, are scaled to [0, 1]
    over all so far; a failure counts as 0.

    A proposal counts as a visit at once, so that the next one goes elsewhere, and as a value when its result is known
    (Liu et al. 2020, arXiv:1810.11755, equation 4). Before any is known, an option has the value of its prefix, and
    the first prefix 1/2.

    Raises UserError for a space whose genomes are not sequences of decisions, and for a setting out of its range.
    """

    population = ()  # there are no parents
    ended = "every genome of the space has been proposed"

    def __init__(self, space: Space, *, rng: Random, exploration: float = 0.2, evaluations: int | None = None) -> None:
        require_sequence(space, "a tree search")
        if exploration < 0 or (evaluations is not None and evaluations < 1):
            raise UserError(f"exploration is {exploration} and evaluations {evaluations}; use at least 0 and 1")
        self.space, self.rng, self.exploration, self.evaluations = space, rng, exploration, evaluations
        self.nodes: dict[Prefix, Node] = {(): Node()}
        self.worst, self.best = inf, -inf  # rewards so far
        self._proposed: dict[Prefix, int] = {}  # how many genomes that begin with a prefix
        self._exhausted: set[Prefix] = set()  # where they cannot be counted: prefixes of which all were proposed
        self._in_flight: dict[int, list[Prefix]] = {}  # the way of a proposal, by identity of the individual

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        while len(given) < (n or 1) and self.left(()):
            given.append(self._next())
        return given

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """It writes genomes itself: what a search begins with comes before it."""
        return First(first, then=self) if first else self

    def left(self, prefix: Prefix) -> int:
        """How many genomes that begin with a prefix have not been proposed; where they cannot be counted, whether there
        are any."""
        if not self.space.countable:
            return int(prefix not in self._exhausted)
        return self.space.count(prefix) - self._proposed.get(prefix, 0)

    def value(self, prefix: Prefix) -> float:
        """The mean reward of a prefix between 0 and 1, or that of the nearest prefix of it with a known one."""
        while (node := self.nodes[prefix]).told == 0:
            if not prefix:
                return 0.5
            prefix = prefix[:-1]
        valid, span = node.told - node.failed, self.best - self.worst
        scaled = (node.total - valid * self.worst) / span if valid and span > 0 else 0.5 * valid
        return scaled / node.told

    def bound(self, prefix: Prefix) -> float:
        """UCB1: mean + c sqrt(ln(visits of the prefix before) / visits)."""
        before, node = self.nodes[prefix[:-1]], self.nodes[prefix]
        return self.value(prefix) + self.exploration * sqrt(log(before.visits) / node.visits)

    def _next(self) -> Individual:
        way = self._selected()
        genome = self._completed(way[-1])
        for prefix in way:
            self.nodes[prefix].visits += 1
        self._note(genome)
        individual = Individual(genome)
        individual.operator = "mcts"
        individual.proposal = {"depth": len(way) - 1}
        self._in_flight[id(individual)] = way
        return individual

    def _note(self, genome: Prefix) -> None:
        """It is proposed, and will not be again."""
        for length in range(len(genome), -1, -1):
            prefix = genome[:length]
            self._proposed[prefix] = self._proposed.get(prefix, 0) + 1
            if self.space.countable or (length < len(genome) and genome[: length + 1] not in self._exhausted):
                continue
            decision = self.space.next(prefix)
            if decision is None or not any(self.left((*prefix, option)) for option in decision.options):
                self._exhausted.add(prefix)

    def _selected(self) -> list[Prefix]:
        """The prefixes from the root to a new one, or to a complete genome."""
        way: list[Prefix] = [()]
        while (decision := self.space.next(way[-1])) is not None:
            open_ = [each for option in decision.options if self.left(each := (*way[-1], option))]
            untried = [each for each in open_ if each not in self.nodes]
            if untried:
                way.append(self.rng.choice(untried))
                self.nodes[way[-1]] = Node()
                break
            way.append(max(open_, key=self.bound))
        return way

    def _completed(self, genome: Prefix) -> Prefix:
        """A genome that begins with this one, uniformly from those that were not proposed; where these cannot be
        counted, token by token."""
        while (decision := self.space.next(genome)) is not None:
            if not self.space.countable:
                genome = self.rng.choice([each for option in decision.options if self.left(each := (*genome, option))])
                continue
            ticket = self.rng.randrange(self.left(genome))
            for option in decision.options:
                longer = (*genome, option)
                if (left := self.left(longer)) > ticket:
                    break
                ticket -= left
            genome = longer
        return genome

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            way = self._in_flight.pop(id(individual))
            reward = accuracy(individual) if individual.fitness.valid else None
            if reward is not None:
                self.worst, self.best = min(self.worst, reward), max(self.best, reward)
            for prefix in way:
                node = self.nodes[prefix]
                node.told += 1
                if reward is None:
                    node.failed += 1
                else:
                    node.total += reward
