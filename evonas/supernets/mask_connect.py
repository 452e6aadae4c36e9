"""MaskConnect (Ahmed and Torresani 2018, "MaskConnect: Connectivity Learning by Gradient Descent", ECCV,
arXiv:1807.11473)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.space import Space, Weights
from evonas.supernets.policy import Policy
from evonas.supernets.supernet import Batch
from evonas.supernets.training import SupernetTraining

INITIAL = 0.5  # of a real mask; the paper's main text does not say (ours)
LEAST = 1e-3  # of a real mask: something must be drawn where all of a reader's would be 0 (ours)


class MaskConnect(Policy):
    """Each step draws a binary mask from the real ones; their gradients are those of the binary one (section 3.2).

    rate   eta: learning rate of the real masks, [bits], which lie between LEAST and 1

    Raises UserError for another space than its own.
    """

    def __init__(self, space: Space, *, rate: float = 0.1, **settings: Any) -> None:
        super().__init__(space, **settings)
        if not isinstance(space, MaskConnectSpace) or len(self.asked) < sum(r.sources for r in space.readers):
            raise UserError("MaskConnect learns masks, all of them at once; use its own space, `mask-connect`, with "
                            "every bit open")  # fmt: skip
        if rate <= 0:
            raise UserError(f"rate is {rate}; use more than 0")
        self.readers, self.rate = space.readers, rate
        self.real = nn.Parameter(torch.full((len(self.asked),), INITIAL), requires_grad=False)

    def step(self, training: SupernetTraining, batch: Batch, held_out: Callable[[], Batch]) -> Tensor:
        mask = self.draw().to(training.device).requires_grad_()
        route = {decision.name: {True: bit} for decision, bit in zip(self.asked, mask.unbind(), strict=True)}
        loss = training.descend(batch, route)  # weights and masks learn from one loss
        assert mask.grad is not None, "every bit stands before some output"
        self.learn(mask.grad)
        return loss

    def draw(self) -> Tensor:
        """A binary mask: each reader draws K different sources from the multinomial of its real mask."""
        mask = torch.zeros_like(self.real)
        for reader, real, bits in zip(self.readers, self._apart(self.real), self._apart(mask), strict=True):
            drawn = torch.multinomial(real.cpu() / real.cpu().sum(), reader.fan_in, generator=self.generator)
            bits[drawn] = 1.0
        return mask

    def learn(self, gradient: Tensor) -> None:
        """r <- clip(r - eta dL/dm), where m is the binary mask that was drawn."""
        self.real.sub_(self.rate * gradient.to(self.real.device)).clamp_(LEAST, 1.0)

    def _apart(self, bits: Tensor) -> list[Tensor]:
        return list(bits.split([reader.sources for reader in self.readers]))

    def weights(self) -> Weights:
        """How probably each bit is drawn, about: by the rule for draws with replacement. Within a reader the order is
        that of the real masks."""
        drawn = torch.cat([
            torch.ones_like(real) if reader.fan_in == reader.sources else 1 - (1 - real / real.sum()) ** reader.fan_in
            for reader, real in zip(self.readers, self._apart(self.real.double()), strict=True)
        ])  # fmt: skip
        return {
            decision.name: {True: on, False: 1 - on} for decision, on in zip(self.asked, drawn.tolist(), strict=True)
        }

    def state(self) -> dict[str, Any]:
        return {"policy": self.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state["policy"])
