"""The shrinking pool of PC-NAS (Li et al. 2020, "Improving One-Shot NAS by Suppressing the Posterior Fading",
arXiv:1910.02543): the fewer networks share weights, the less each of them is blurred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from random import Random
from statistics import fmean
from typing import Any

from torch import Tensor

from evonas.errors import UserError
from evonas.recipe import Recipe
from evonas.space import Genome, Space, Token
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining
from evonas.supernets.uniform import Fixed

TRIES = 100  # completions that are drawn for one that keeps the limits


class Shrinking(Fixed):
    """After a warm-up of uniform paths, the first decision is made by the supernet itself, then the second, and so on:
    each time every partial genome of the pool is continued by each option, the pool keeps those whose random
    completions do best on held-out batches, and training goes on with genomes that begin as one of the pool
    (algorithm 1). What the pool holds in the end are complete genomes.

    pool          P, partial genomes that are kept
    completions   S, random completions of a partial genome, each judged on a held-out batch; the same batches for all
    interval      T_i, epochs after each decision; the epochs before the first one are the warm-up
    statistics    of batch norm by which genomes are judged later; potentials are judged by those of the batch
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        pool: int = 5,
        completions: int = 10,
        interval: int = 1,
        statistics: str = "recalibrated",
    ) -> None:
        super().__init__(space, rng=rng, statistics=statistics)
        if min(pool, completions, interval) < 1:
            raise UserError(f"pool is {pool}, completions {completions} and interval {interval}; use at least 1")
        self.size, self.completions, self.interval = pool, completions, interval
        self.pool: list[tuple[Token, ...]] = [()]
        self.length = len(space.open())

    def check(self, recipe: Recipe) -> None:
        needed = self.interval * self.length + 1
        if recipe.epochs < needed:
            raise UserError(f"{self.length} decisions with {self.interval} epochs after each, and a warm-up before "
                            f"them, need {needed} epochs at least, and the search recipe has {recipe.epochs}; set "
                            f"search.epochs={needed}, or more")  # fmt: skip

    def epoch(self, training: SupernetTraining) -> float:
        after = training.epochs - (training.recipe.epochs - self.interval * self.length)
        if after >= 0 and after % self.interval == 0:
            self.pool = self.shrunk(training)
        return super().epoch(training)

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        return training.descend(batch, self.space.route(self.completed(self.draws.choice(self.pool))))

    def completed(self, partial: Genome) -> tuple[Token, ...]:
        """A partial genome, and every further decision uniformly at random."""
        genome = tuple(partial)
        while (decision := self.space.next(genome)) is not None:
            genome += (self.draws.choice(decision.options),)
        return genome

    # ---- the pool -------------------------------------------------------------------------------------------------

    def shrunk(self, training: SupernetTraining) -> list[tuple[Token, ...]]:
        """Each partial genome continued by each option; of these the ones with the highest potential."""
        held_out = list(islice(training.held_out("pool"), self.completions))

        def accuracy(genome: Genome, nth: int) -> float:
            return training.reward_on(held_out[nth], self.space.route(genome))

        return self.best(self.extended(), accuracy)

    def extended(self) -> list[tuple[Token, ...]]:
        found = []
        for partial in self.pool:
            decision = self.space.next(partial)
            found += [partial] if decision is None else [(*partial, option) for option in decision.options]
        return found

    def best(
        self, candidates: Sequence[tuple[Token, ...]], accuracy: Callable[[Genome, int], float]
    ) -> list[tuple[Token, ...]]:
        """The candidates with the highest potentials: the mean accuracy of random completions. One of which no
        completion was found that keeps the limits is dropped. Raises UserError where this is all of them."""
        potentials = {}
        for candidate in candidates:
            judged = [accuracy(genome, nth) for nth in range(self.completions)
                      if (genome := self._feasible(candidate)) is not None]  # fmt: skip
            if judged:
                potentials[candidate] = fmean(judged)
        if not potentials:
            raise UserError(f"no network that begins as one of the {len(candidates)} in the pool keeps the limits; "
                            "raise them, or shrink the space")  # fmt: skip
        return sorted(potentials, key=lambda candidate: -potentials[candidate])[: self.size]

    def _feasible(self, partial: Genome) -> tuple[Token, ...] | None:
        for _ in range(TRIES):
            genome = self.completed(partial)
            if self.keeps is None or self.keeps(self.space.decode(genome)):
                return genome
        return None

    def found(self, training: SupernetTraining) -> Sequence[Genome]:
        return self.pool

    def state(self) -> dict[str, Any]:
        return {"pool": [list(partial) for partial in self.pool]}

    def load_state(self, state: dict[str, Any]) -> None:
        self.pool = [tuple(partial) for partial in state["pool"]]
