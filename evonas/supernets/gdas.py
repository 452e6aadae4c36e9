"""GDAS (Dong and Yang 2019, "Searching for a Robust Neural Architecture in Four GPU Hours", arXiv:1910.04465)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Route
from evonas.supernets.policy import Relaxation, gradients
from evonas.supernets.training import SupernetTraining


class GDAS(Relaxation):
    """One option of each decision is computed, the one with the largest alpha plus Gumbel noise. The gradient is that
    of the softmax at a temperature that falls from `hot` to `cold`, linearly over the epochs (section 3.2).

    A draw is shared by a whole batch and all cells of a kind, as in the authors' code.
    """

    one_path = True

    def __init__(self, *args: Any, hot: float = 10.0, cold: float = 0.1, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if not 0 < cold <= hot:
            raise UserError(f"hot is {hot} and cold {cold}; use positive numbers, the hot one not below the cold one")
        self.hot, self.cold, self.temperature = hot, cold, hot

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.temperature = self.hot - (self.hot - self.cold) * epoch / max(epochs - 1, 1)

    def step(self, training: SupernetTraining, batch: Any, held_out: Any) -> Tensor:
        """A step of algorithm 1: the weights on one draw, then alpha on another."""
        loss = self.descend(training, batch)
        with training.probing():
            judged = training.loss(held_out(), self.route())
            self.learn(gradients(judged, list(self.parameters())))
        return loss

    def descend(self, training: SupernetTraining, batch: Any) -> Tensor:
        """A step of the weights on one draw."""
        with torch.no_grad():
            chosen, _ = self.draw()
        return training.descend(batch, self.hard(chosen))

    def draw(self) -> tuple[list[int], Tensor]:
        """The places of the chosen options, and p, [decisions, options] (equations 3 and 4)."""
        noisy = self.logits.log_softmax(1) + self.gumbel()
        return noisy.argmax(1).tolist(), (noisy / self.temperature).softmax(1)

    def route(self) -> Route:
        """The route {option: h} of the chosen options, where h has the value 1 and the gradient of p (equation 5)."""
        chosen, p = self.draw()
        drawn = p.gather(1, torch.tensor(chosen, device=p.device)[:, None])[:, 0]
        ones = 1 + (drawn - drawn.detach())
        return {
            decision.name: {options[place]: h}
            for decision, options, place, h in zip(self.asked, self.options, chosen, ones.unbind(), strict=True)
        }
