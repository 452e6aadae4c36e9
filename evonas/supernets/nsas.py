"""NSAS (Zhang et al. 2020, "Overcoming Multi-Model Forgetting in One-Shot NAS with Diversity Maximization", CVPR):
training one genome shall not raise the loss of those that share its weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.space import Genome, Space, Token
from evonas.supernets.gdas import GDAS
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
        there = {name: token for name, token in self.space.answers(one).items() if token != NONE}
        also = self.space.answers(other)
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


class Remembering:
    """What training one genome costs the others of a small and diverse set is a part of its loss:

        loss = (1 - beta) * loss of the genome + beta / M * sum of the losses of the set          (equation 6)

    with the factors of the authors' code; the paper has 1 and beta. The gradient goes through all of them, and the
    weights of all of them move: in the authors' demonstration the second term is a number without a gradient.

    beta    weight of the set, 0 to 1
    size    M, genomes in the set
    recent  how many of the genomes drawn last may come into it
    """

    def __init__(self, space: Space, *, beta: float, size: int, recent: int) -> None:
        if not 0 <= beta <= 1 or min(size, recent) < 1:
            raise UserError(f"beta is {beta}, constraints {size} and recent {recent}; use 0 to 1, and at least 1 of "
                            "the others")  # fmt: skip
        self.space, self.beta = space, beta
        self.set = Constraints(space, size=size, recent=recent)

    def descend(self, training: SupernetTraining, batch: Batch, route: Route) -> Tensor:
        """One step of the weights; the loss of the route. Where the set is empty yet, by that loss alone."""
        training.optimizer.zero_grad(set_to_none=True)
        others = self.set.members
        beta = self.beta if others else 0.0
        loss = training.loss(batch, route)
        ((1 - beta) * loss).backward()
        for each in others:
            if beta:  # one after another, so that the memory is that of one path
                (beta / len(others) * training.loss(batch, self.space.route(each))).backward()
        training.apply()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        known = {"members": self.set.members, "recent": self.set.recent}
        return {name: [list(genome) for genome in genomes] for name, genomes in known.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.set.members = [tuple(each) for each in state["members"]]
        self.set.recent.extend(tuple(each) for each in state["recent"])


class NSAS(Fixed):
    """RandomNAS-NSAS: each batch trains one genome, drawn uniformly, and remembers others.

    beta, constraints, recent
                 of what is remembered: see `Remembering`
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
        self.others = Remembering(space, beta=beta, size=constraints, recent=recent)

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        genome = self.space.random(self.draws)
        loss = self.others.descend(training, batch, self.space.route(genome))
        self.others.set.update(genome, lambda: self.space.random(self.draws))
        return loss

    def state(self) -> dict[str, Any]:
        return self.others.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.others.load_state(state)


class GDASNSAS(GDAS):
    """GDAS-NSAS: the weights learn on the genome that GDAS draws, and remember others; alpha learns as in GDAS.

    beta, constraints, recent   of what is remembered: see `Remembering`
    """

    def __init__(self, *args: Any, beta: float = 0.5, constraints: int = 8, recent: int = 50, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.others = Remembering(self.space, beta=beta, size=constraints, recent=recent)

    def descend(self, training: SupernetTraining, batch: Batch) -> Tensor:
        """What is remembered of a draw, which has an operation on every edge, is the genome that it derives."""
        with torch.no_grad():
            chosen, p = self.draw()
        loss = self.others.descend(training, batch, self.hard(chosen))
        genome = self.space.likeliest(self._with_closed(p))
        self.others.set.update(genome, lambda: self.space.random(self.draws))
        return loss

    def state(self) -> dict[str, Any]:
        return super().state() | {"others": self.others.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.others.load_state(state["others"])
