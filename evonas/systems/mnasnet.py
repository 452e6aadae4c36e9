"""MnasNet as a system (Tan et al. 2019, arXiv:1807.11626)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.mnasnet import MnasNetSpace
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies import Strategy
from evonas.systems import Setup, System, toolboxes
from evonas.systems.ppo import PPOSettings, ppo


@dataclass(frozen=True, kw_only=True)
class MnasNetSettings(PPOSettings):
    """And of the reward: the target of the second objective in its unit (of latency: ms), and the exponents below and
    above it: -0.07 and -0.07 are the paper's soft constraint, 0 and -1 the hard one."""

    evaluations: int = 8000
    target: float = 75.0
    below: float = -0.07
    above: float = -0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target <= 0 or max(self.below, self.above) > 0:
            raise UserError(f"target is {self.target}, below {self.below} and above {self.above}; use a positive "
                            "target, and exponents of at most 0")  # fmt: skip


def _front(toolbox: base.Toolbox, settings: MnasNetSettings, rng: Random) -> Strategy:
    """One search for both objectives: their product is the reward."""
    from evonas.strategies.rewards import product

    return ppo(toolbox, settings, rng, reward=product(settings.target, settings.below, settings.above))


_QUICK = MnasNetSettings(
    evaluations=100, batch=5, controller_rate=5e-3, decay=0.9, entropy_weight=2e-3, units=50, target=1.0
)
_SMALL = replace(SMALL, weight_decay=1e-5)

MNASNET = System(
    name="mnasnet",
    about="mobile blocks, accurate and quick at once: an LSTM learns the product of both by PPO",
    paper="Tan et al. 2019, MnasNet: Platform-Aware Neural Architecture Search for Mobile, arXiv:1807.11626",
    presets={
        "digits": Setup(
            MnasNetSpace(
                widths=(8, 12, 16), depths=(1, 2, 2), strides=(1, 2, 1), stem=8, stem_stride=1, head=64, dropout=0.0,
                input_shape=(1, 8, 8), classes=10,
            ),
            _QUICK,
            DIGITS,
            replace(DIGITS, epochs=40),
            about="three blocks on 8x8 pictures, in minutes",
        ),
        "small": Setup(
            MnasNetSpace(
                widths=(16, 24, 32, 64), depths=(1, 2, 2, 2), strides=(1, 2, 2, 2), stem=16, stem_stride=1, head=256,
                input_shape=(3, 32, 32), classes=10,
            ),
            replace(_QUICK, target=4.0),
            _SMALL,
            replace(_SMALL, epochs=20),
            about="four blocks on pictures of 16x16 and more, on a small machine",
        ),
        "imagenet": Setup(
            MnasNetSpace(),
            MnasNetSettings(),
            RECIPES["mnasnet"],
            replace(RECIPES["mnasnet"], epochs=350, warmup=5),
            about="the paper's search: 8,000 trainings of 5 epochs on pictures of 224x224",
        ),
    },
    preset_for=lambda input_shape: (
        "digits" if min(input_shape[1:]) < 16 else "small" if min(input_shape[1:]) < 128 else "imagenet"
    ),
    toolbox=toolboxes.uniform,
    strategy=ppo,
    front=_front,
    front_signs=(1, -1),
    objectives="accuracy,latency",
)  # fmt: skip
