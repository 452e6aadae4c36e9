"""NASNet as a system (Zoph et al. 2018, arXiv:1707.07012). Torch is loaded where its controller is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.nasnet import NASNET as OPERATIONS
from evonas.genomes.nasnet import NASNetSpace
from evonas.operators import by_decision
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies import Strategy
from evonas.systems import Setup, System


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """evaluations in all, batch of architectures to a step, controller_rate (the learning rate of Adam), decay of the
    baseline, entropy_weight, passes over each batch, clip of the ratio, units of the LSTM."""

    evaluations: int = 20_000
    batch: int = 20
    controller_rate: float = 3.5e-4
    decay: float = 0.95
    entropy_weight: float = 1e-5
    passes: int = 4
    clip: float = 0.2
    units: int = 100

    def __post_init__(self) -> None:
        if min(self.evaluations, self.batch, self.passes, self.units) < 1 or self.controller_rate <= 0:
            raise UserError(f"evaluations is {self.evaluations}, batch {self.batch}, passes {self.passes}, units "
                            f"{self.units} and controller_rate {self.controller_rate}; use at least 1 of the first "
                            "four, and a positive rate")  # fmt: skip
        if not 0 <= self.decay < 1 or not 0 < self.clip < 1 or self.entropy_weight < 0:
            raise UserError(f"decay is {self.decay}, clip {self.clip} and entropy_weight {self.entropy_weight}; use 0 "
                            "to below 1, between 0 and 1, and at least 0")  # fmt: skip


def _toolbox(space: NASNetSpace, settings: PPOSettings, rng: Random) -> base.Toolbox:
    return by_decision.toolbox(space, rng=rng)


def _strategy(toolbox: base.Toolbox, settings: PPOSettings, rng: Random) -> Strategy:
    from evonas.strategies.controllers import Recurrent
    from evonas.strategies.reinforce import PPO

    return PPO(
        Recurrent(toolbox.space, rng=rng, units=settings.units, initial=0.1),
        batch=settings.batch, learning_rate=settings.controller_rate, decay=settings.decay,
        entropy=settings.entropy_weight, passes=settings.passes, clip=settings.clip,
    )  # fmt: skip


_DIGITS, _SMALL = replace(DIGITS, clip_norm=5), replace(SMALL, clip_norm=5)
_FINAL = replace(RECIPES["amoebanet"], batch_size=32, learning_rate=0.025, clip_norm=5, drop_path=0.4, auxiliary=0.4)
_QUICK = PPOSettings(evaluations=100, batch=5, controller_rate=5e-3, decay=0.9, entropy_weight=2e-3, units=50)

NASNET = System(
    name="nasnet",
    about="normal and reduction cells, written by an LSTM that learns by PPO",
    paper="Zoph et al. 2018, Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012",
    presets={
        "digits": Setup(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS, input_shape=(1, 8, 8)),
            _QUICK,
            _DIGITS,
            replace(_DIGITS, epochs=40),
            about="five cells on 8x8 pictures, in minutes",
        ),
        "small": Setup(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS),
            _QUICK,
            _SMALL,
            replace(_SMALL, epochs=20),
            about="five cells on pictures of 16x16 and more, on a small machine",
        ),
        "cifar10": Setup(
            NASNetSpace(normals=2, channels=24, operations=OPERATIONS),
            PPOSettings(),
            RECIPES["nasnet"],
            _FINAL,
            about="the paper's search: 20,000 trainings of 20 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
)
