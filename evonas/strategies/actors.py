"""Controllers of several actors: networks that make decisions of more than one kind, and learn by all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.training.optimizers import Adam


@dataclass(frozen=True, eq=False)
class Decided:
    """What an actor has decided, its log-probability and the entropy of the decisions, in nats."""

    chosen: tuple
    log_probability: Tensor
    entropy: Tensor


class Actors(nn.Module):
    """A subclass has its layers, and says with `learns` that they are all there."""

    def learns(self, learning_rate: float, largest_norm: float | None = None) -> None:
        """Learn by Adam, with gradients of no larger norm. Raises UserError for a rate that is none."""
        if learning_rate <= 0:
            raise UserError(f"learning_rate is {learning_rate}; use more than 0")
        self.optimizer, self.largest_norm = Adam(self.parameters(), learning_rate), largest_norm

    def descend(self, losses: Iterable[Tensor]) -> None:
        """A step of Adam on the sum of these."""
        self.optimizer.zero_grad()
        torch.stack(list(losses)).sum().backward()
        if self.largest_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters(), self.largest_norm)
        self.optimizer.step()
