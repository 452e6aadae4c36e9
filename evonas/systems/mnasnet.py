"""MnasNet as a system (Tan et al. 2019, arXiv:1807.11626)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.mnasnet import MnasNetSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.strategies.reinforce import PPO


def mnasnet(
    space: Space,
    *,
    rng: Random,
    target: float = 75.0,
    below: float = -0.07,
    above: float = -0.07,
    units: int = 100,
    batch: int = 20,
    learning_rate: float = 3.5e-4,
    decay: float = 0.95,
    entropy: float = 1e-5,
    passes: int = 4,
    clip: float = 0.2,
    evaluations: int = 8000,
) -> PPO:
    """PPO of the product of accuracy and a power of the latency.

    target          of the second objective, in its unit (of latency: ms)
    below           exponent up to the target: -0.07 is the paper's soft constraint, 0 the hard one
    above           exponent beyond the target: -0.07, or -1
    units           of the LSTM
    batch           genomes to a generation
    learning_rate   of Adam
    decay           of the baseline, for each reward
    entropy         weight of the entropy in what is maximised
    passes          steps over each batch
    clip            of the ratio of probabilities
    evaluations     in all
    """
    from evonas.strategies.controllers import Recurrent
    from evonas.strategies.reinforce import PPO
    from evonas.strategies.rewards import product

    if target <= 0 or max(below, above) > 0:
        raise UserError(f"target is {target}, below {below} and above {above}; use a positive target, and exponents of "
                        "at most 0")  # fmt: skip
    return PPO(
        Recurrent(space, rng=rng, units=units, initial=0.1), batch=batch, learning_rate=learning_rate, decay=decay,
        entropy=entropy, passes=passes, clip=clip, evaluations=evaluations, reward=product(target, below, above),
    )  # fmt: skip


_QUICK = {"evaluations": 100, "batch": 5, "learning_rate": 5e-3, "decay": 0.9, "entropy": 2e-3, "units": 50}
_SMALL = replace(SMALL_RECIPE, weight_decay=1e-5)

MNASNET = System(
    name="mnasnet",
    about="mobile blocks, accurate and quick at once: an LSTM learns the product of both by PPO",
    paper="Tan et al. 2019, MnasNet: Platform-Aware Neural Architecture Search for Mobile, arXiv:1807.11626",
    strategy="mnasnet",
    front="mnasnet",
    front_signs=(1, -1),
    costs=("latency",),
    toolbox=uniform_toolbox,
    presets={
        "digits": Preset(
            MnasNetSpace(
                widths=(8, 12, 16), depths=(1, 2, 2), strides=(1, 2, 1), stem=8, stem_stride=1, head=64, dropout=0.0,
                input_shape=(1, 8, 8), outputs=10,
            ),
            DIGITS_RECIPE,
            DIGITS_FINAL,
            _QUICK | {"target": 1.0},
            about="three blocks on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            MnasNetSpace(
                widths=(16, 24, 32, 64), depths=(1, 2, 2, 2), strides=(1, 2, 2, 2), stem=16, stem_stride=1, head=256,
                input_shape=(3, 32, 32), outputs=10,
            ),
            _SMALL,
            SMALL_FINAL,
            _QUICK | {"target": 4.0},
            about="four blocks on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "imagenet": Preset(
            MnasNetSpace(),
            RECIPES["mnasnet"],
            replace(RECIPES["mnasnet"], epochs=350, warmup=5),
            about="the paper's search: 8,000 trainings of 5 epochs on pictures of 224x224",
        ),
    },
    preset_for=lambda input_shape: (
        "digits" if min(input_shape[1:]) < 16 else "small" if min(input_shape[1:]) < 128 else "imagenet"
    ),
)  # fmt: skip
