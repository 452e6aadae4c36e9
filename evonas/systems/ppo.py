"""Policy gradients as the search of a system: their settings, and PPO as a strategy. Torch is loaded with its
controller."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from deap import base

from evonas.errors import UserError

if TYPE_CHECKING:
    from evonas.strategies.reinforce import PPO


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """evaluations in all, batch of architectures to a step, controller_rate (the learning rate of Adam), decay of the
    baseline, entropy_weight, units of each of the LSTM's layers."""

    evaluations: int = 20_000
    batch: int = 20
    controller_rate: float = 3.5e-4
    decay: float = 0.95
    entropy_weight: float = 1e-5
    units: int = 100

    def __post_init__(self) -> None:
        if min(self.evaluations, self.batch, self.units) < 1 or self.controller_rate <= 0:
            raise UserError(f"evaluations is {self.evaluations}, batch {self.batch}, units {self.units} and "
                            f"controller_rate {self.controller_rate}; use at least 1 of the first three, and a "
                            "positive rate")  # fmt: skip
        if not 0 <= self.decay < 1 or self.entropy_weight < 0:
            raise UserError(f"decay is {self.decay} and entropy_weight {self.entropy_weight}; use 0 to below 1, and at "
                            "least 0")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PPOSettings(PolicySettings):
    """And passes over each batch, clip of the ratio."""

    passes: int = 4
    clip: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.passes < 1 or not 0 < self.clip < 1:
            raise UserError(f"passes is {self.passes} and clip {self.clip}; use at least 1, and a number between 0 and "
                            "1")  # fmt: skip


def ppo(toolbox: base.Toolbox, settings: PPOSettings, rng: Random, **of_system: Any) -> PPO:
    """of_system: what is not for the user to set, such as the reward."""
    from evonas.strategies.controllers import Recurrent
    from evonas.strategies.reinforce import PPO

    return PPO(
        Recurrent(toolbox.space, rng=rng, units=settings.units, initial=0.1),
        batch=settings.batch, learning_rate=settings.controller_rate, decay=settings.decay,
        entropy=settings.entropy_weight, passes=settings.passes, clip=settings.clip, **of_system,
    )  # fmt: skip
