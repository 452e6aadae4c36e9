"""Strict fairness, as in FairNAS (Chu, Zhang and Xu 2021, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing
Neural Architecture Search", arXiv:1907.01845)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.space import Space, Token
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining
from evonas.supernets.uniform import Fixed


class Fair(Fixed):
    """Each step of the weights follows the gradients of m genomes, in which every option of every decision occurs once:
    for each decision its m options are shuffled, and the k-th genome takes the k-th of each (algorithm 1).

    mean         the gradients of a round are averaged; else they are summed, so that what all genomes share learns m
                 times as fast as what one has
    same_batch   all genomes of a round see the same batch; else each has one of its own

    Raises UserError for a space whose decisions have unequal numbers of options, or depend on one another.
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: Random,
        mean: bool = False,
        same_batch: bool = True,
        statistics: str = "recalibrated",
    ) -> None:
        super().__init__(space, rng=rng, statistics=statistics)
        self.mean = mean
        self.batches = 1 if same_batch else len(self.options[0])
        self.m = len(self.options[0])
        unequal = [d.name for d, options in zip(self.asked, self.options, strict=True) if len(options) != self.m]
        if unequal or space.count() != self.m ** len(self.asked):
            why = f"{unequal[0]} has not {self.m} options as {self.asked[0].name} has" if unequal else (
                "what may be decided depends on what was decided before")  # fmt: skip
            raise UserError(f"strict fairness needs decisions with equally many options, whatever the others say; in "
                            f"{space.name} {why}: train by another policy, such as uniform")  # fmt: skip

    def epoch(self, training: SupernetTraining) -> float:
        """A round is one step of the weights; batches that are too few for one more are left out."""
        training.network.train()
        losses = [self.descend(training, batches, self.round()) for batches in self._batches(training)]
        if not losses:
            raise UserError(f"an epoch has {training.steps} batches, too few for a round of {self.m}; choose a smaller "
                            "batch_size, or same_batch=true")  # fmt: skip
        return torch.stack(losses).mean().item()

    def _batches(self, training: SupernetTraining) -> Iterator[list[Batch]]:
        """Those of each round."""
        waiting: list[Batch] = []
        for batch, _ in training.batches():
            waiting.append(batch)
            if len(waiting) == self.batches:
                yield waiting
                waiting = []

    def round(self) -> list[dict[str, Token]]:
        """m routes on which every option of every decision occurs once."""
        shuffled = {
            decision.name: self.draws.sample(options, self.m)
            for decision, options in zip(self.asked, self.options, strict=True)
        }
        return [{name: options[place] for name, options in shuffled.items()} for place in range(self.m)]

    def descend(self, training: SupernetTraining, batches: Sequence[Batch], routes: Sequence[Route]) -> Tensor:
        """One step of the weights by all routes of a round; the mean of their losses."""
        training.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, route in enumerate(routes):
            loss = training.loss(batches[number % len(batches)], route)
            (loss / self.m if self.mean else loss).backward()
            losses.append(loss.detach())
        training.apply()
        return torch.stack(losses).mean()
