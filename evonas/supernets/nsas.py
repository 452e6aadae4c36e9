"""NSAS (Zhang et al. 2020, "Overcoming Multi-Model Forgetting in One-Shot NAS with Diversity Maximization", CVPR):
training one genome shall not raise the loss of those that share its weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean
from typing import Any

from torch import Tensor

from evonas.errors import UserError
from evonas.space import Genome, Space, Token
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining
from evonas.supernets.uniform import Fixed

NEIGHBOURS = 10  # of a genome, in its novelty (published code)
FIRST = 10  # random genomes, of which the most novel fills the set (published code)
NONE = "none"  # an operation that is no connection


class Constraints:
    """The genomes whose losses are kept low: few, and as different as they can be (section 3.3).

    size     M, at most
    recent   how many of the genomes drawn last may replace one
    """

    def __init__(self, space: Space, *, size: int, recent: int) -> None:
        self.space, self.size = space, size
        self.members: list[tuple[Token, ...]] = []
        self.recent: deque[tuple[Token, ...]] = deque(maxlen=recent)

    def distance(self, one: Genome, other: Genome) -> float:
        """The share of the connections of one genome that the other has not got: answers of the same decision, `none`
        left out."""
        there = {name: token for name, token in self.space.route(one).items() if token != NONE}
        also = self.space.route(other)
        return 1 - sum(also.get(name) == token for name, token in there.items()) / max(len(there), 1)

    def novelty(self, genome: Genome, among: Sequence[Genome]) -> float:
        """The mean distance from the nearest ones."""
        return fmean(sorted(self.distance(genome, each) for each in among)[:NEIGHBOURS]) if among else 1.0

    def update(self, genome: tuple[Token, ...], draw: Callable[[], tuple[Token, ...]]) -> None:
        """The next genome has been drawn (algorithm 1). While the set is not full, the most novel of a few random ones
        comes in; then the member nearest to the genome gives way to the most novel of the recent ones, if that is more
        novel than it."""
        self.recent.append(genome)
        if len(self.members) < self.size:
            self.members.append(max((draw() for _ in range(FIRST)), key=lambda each: self.novelty(each, self.members)))
            return
        nearest = min(range(self.size), key=lambda place: self.distance(genome, self.members[place]))
        rest = [*self.members[:nearest], *self.members[nearest + 1 :]]
        rival = max(self.recent, key=lambda each: self.novelty(each, rest))
        if rival not in self.members and self.novelty(rival, rest) > self.novelty(self.members[nearest], rest):
            self.members[nearest] = rival


class NSAS(Fixed):
    """Each batch trains one genome, drawn uniformly, and the genomes of a small and diverse set with it:

        loss = (1 - beta) * loss of the genome + beta / M * sum of the losses of the set          (equation 6)

    with the factors of the authors' code; the paper has 1 and beta. The gradient goes through all of them, and the
    weights of all of them move: in the authors' demonstration the second term is a number without a gradient.

    beta         weight of the set
    constraints  M, genomes in the set
    recent       how many of the genomes drawn last may come into it
    statistics   of batch norm by which genomes are judged later
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        beta: float = 0.5,
        constraints: int = 8,
        recent: int = 50,
        statistics: str = "recalibrated",
    ) -> None:
        super().__init__(space, rng=rng, statistics=statistics)
        if not 0 <= beta <= 1 or min(constraints, recent) < 1:
            raise UserError(f"beta is {beta}, constraints {constraints} and recent {recent}; use 0 to 1, and at least "
                            "1 of the others")  # fmt: skip
        self.beta = beta
        self.constraints = Constraints(space, size=constraints, recent=recent)

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        genome = self.space.random(self.draws)
        loss = self.descend(training, batch, genome, self.constraints.members)
        self.constraints.update(genome, lambda: self.space.random(self.draws))
        return loss

    def descend(self, training: SupernetTraining, batch: Batch, genome: Genome, others: Sequence[Genome]) -> Tensor:
        """One step of the weights; the loss of the genome. Where the set is empty yet, by that loss alone."""
        training.optimizer.zero_grad(set_to_none=True)
        beta = self.beta if others else 0.0
        loss = training.loss(batch, self.space.route(genome))
        ((1 - beta) * loss).backward()
        for each in others:
            if beta:  # one after another, so that the memory is that of one path
                (beta / len(others) * training.loss(batch, self.space.route(each))).backward()
        training.apply()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        return {
            "members": list(map(list, self.constraints.members)),
            "recent": list(map(list, self.constraints.recent)),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.constraints.members = [tuple(each) for each in state["members"]]
        self.constraints.recent.extend(tuple(each) for each in state["recent"])
