"""Uniform sampling of single paths, as in SPOS (Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with
Uniform Sampling", arXiv:1904.00420)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from torch import Tensor

from evonas.errors import UserError
from evonas.space import Genome, Space, Weights
from evonas.supernets.policy import Policy
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining

TRIES = 500  # draws for a genome of a bin (published code)
SEEN = 100  # random genomes that say between which multiply-adds the bins lie


class Fixed(Policy):
    """A policy that learns nothing of genomes: its preference is uniform.

    statistics   of batch norm by which routes are judged later: recalibrated for each, of the batch, or the running
                 ones of all routes
    """

    one_path = True

    def __init__(self, space: Space, *, rng: Random, statistics: str = "recalibrated") -> None:
        super().__init__(space, rng=rng)
        self.statistics = statistics

    def weights(self) -> Weights:
        return {
            decision.name: dict.fromkeys(options, 1 / len(options))
            for decision, options in zip(self.asked, self.options, strict=True)
        }

    def state(self) -> dict[str, Any]:
        """Nothing but what each epoch begins with is known of it."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None: ...


class Uniform(Fixed):
    """Each batch trains one genome, drawn uniformly (section 3.1).

    bins   of equal width between the fewest and the most multiply-adds: a bin is drawn first, then a genome in it, as
           the paper does by default; 0: none
    """

    def __init__(self, space: Space, *, rng: Random, bins: int = 0, statistics: str = "recalibrated") -> None:
        super().__init__(space, rng=rng, statistics=statistics)
        if bins < 0:
            raise UserError(f"bins is {bins}; use at least 0")
        self.bins = bins
        seen = sorted(self._cost(space.random(rng)) for _ in range(SEEN if bins else 0))
        self.least, self.most = (seen[0], seen[-1]) if seen else (0, 0)

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        return training.descend(batch, self.space.route(self.draw()))

    def draw(self) -> Genome:
        if not self.bins:
            return self.space.random(self.draws)
        width = (self.most - self.least) / self.bins
        low = self.least + width * self.draws.randrange(self.bins)
        for _ in range(TRIES):
            genome = self.space.random(self.draws)
            if low <= self._cost(genome) <= low + width:
                break
        return genome  # of another bin, where this one is next to empty

    def _cost(self, genome: Genome) -> int:
        return self.space.decode(genome).multiply_adds
