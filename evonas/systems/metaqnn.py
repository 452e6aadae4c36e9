"""MetaQNN as a system (Baker et al. 2017, arXiv:1611.02167)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.operators import by_decision
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.q_learning import METAQNN as SCHEDULE
from evonas.strategies.q_learning import QLearning, scaled
from evonas.systems import Setup, System


@dataclass(frozen=True, kw_only=True)
class QLearningSettings:
    """evaluations in all, over which the paper's schedule of epsilon is stretched, rate alpha, discount gamma, initial
    values, and replays after each evaluation."""

    evaluations: int = 2700
    rate: float = 0.01
    discount: float = 1.0
    initial: float = 0.5
    replays: int = 100

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise UserError(f"evaluations is {self.evaluations}; use at least 1")


def _toolbox(space: MetaQNNSpace, settings: QLearningSettings, rng: Random) -> base.Toolbox:
    return by_decision.toolbox(space, rng=rng)


def _strategy(toolbox: base.Toolbox, settings: QLearningSettings, rng: Random) -> QLearning:
    schedule = scaled(SCHEDULE, settings.evaluations)
    return QLearning(
        toolbox.space, rng=rng, schedule=schedule, rate=settings.rate, discount=settings.discount,
        initial=settings.initial, replays=settings.replays,
    )  # fmt: skip


def _control(toolbox: base.Toolbox, settings: QLearningSettings, rng: Random) -> QLearning:
    """An epsilon of 1 throughout: each layer is drawn from the legal ones. Uniform over the genomes, nearly all chains
    would be of the greatest length."""
    return QLearning(toolbox.space, rng=rng, schedule=[(1.0, 1)], replays=0)


METAQNN = System(
    name="metaqnn",
    about="chains of layers, written one layer after the other by Q-learning",
    paper="Baker et al. 2017, Designing Neural Network Architectures using Reinforcement Learning, arXiv:1611.02167",
    presets={
        "digits": Setup(
            MetaQNNSpace(longest=6, filters=(8, 16, 32, 64), dense=(64, 32, 16), input_shape=(1, 8, 8)),
            QLearningSettings(evaluations=100, rate=0.1),
            replace(DIGITS, optimizer="adam", learning_rate=3e-3, weight_decay=0.0),
            replace(DIGITS, epochs=40, optimizer="adam", learning_rate=3e-3, weight_decay=0.0),
            about="8x8 pictures, in minutes",
        ),
        "small": Setup(
            MetaQNNSpace(longest=10, filters=(16, 32, 64, 128), dense=(128, 64, 32)),
            QLearningSettings(evaluations=200, rate=0.1),
            replace(SMALL, optimizer="adam", learning_rate=2e-3, weight_decay=0.0),
            replace(SMALL, epochs=20, optimizer="adam", learning_rate=2e-3, weight_decay=0.0),
            about="pictures of 16x16 and more on a small machine, in hours",
        ),
        "cifar10": Setup(
            MetaQNNSpace(),
            QLearningSettings(),
            RECIPES["metaqnn"],
            replace(RECIPES["metaqnn"], epochs=60, milestones=(15, 30, 45)),
            about="the paper's CIFAR-10 setting: 2,700 networks of at most 18 layers, 20 epochs each",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
    control=_control,
    draws=False,
)
