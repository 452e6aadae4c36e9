"""Q-learning as the search of a system: its settings, and the strategies that they make."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from deap import base

from evonas.errors import UserError
from evonas.strategies.q_learning import METAQNN, QLearning, check_settings, scaled


@dataclass(frozen=True, kw_only=True)
class QLearningSettings:
    """evaluations in all, over which the paper's schedule of epsilon is stretched (the budget's, where it has a number
    of them), rate alpha, discount gamma, initial values, and replays after each evaluation."""

    evaluations: int = 2700
    rate: float = 0.01
    discount: float = 1.0
    initial: float = 0.5
    replays: int = 100

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise UserError(f"evaluations is {self.evaluations}; use at least 1")
        check_settings(self.rate, self.discount, self.replays)


def q_learning(toolbox: base.Toolbox, settings: QLearningSettings, rng: Random, **of_system: Any) -> QLearning:
    """of_system: its schedule, which is stretched, and what else is not for the user to set."""
    schedule = scaled(of_system.pop("schedule", METAQNN), settings.evaluations)
    return QLearning(
        toolbox.space, rng=rng, schedule=schedule, rate=settings.rate, discount=settings.discount,
        initial=settings.initial, replays=settings.replays, distinct=False, **of_system,
    )  # fmt: skip


def uniform(toolbox: base.Toolbox, settings: QLearningSettings, rng: Random) -> QLearning:
    """What a search is held against: an epsilon of 1 throughout, so that each token is drawn from the legal ones."""
    return QLearning(toolbox.space, rng=rng, schedule=[(1.0, 1)], replays=0)
