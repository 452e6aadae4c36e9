"""The DARTS cells as a system: evolution over them, and the networks of the published ones."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from deap import base

from evonas.genomes.darts import DARTSSpace
from evonas.operators import by_decision
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.systems import Setup, System
from evonas.systems.aging import AgingSettings, aging


def _toolbox(space: DARTSSpace, settings: AgingSettings, rng: Random) -> base.Toolbox:
    box = by_decision.toolbox(space, rng=rng)
    box.register("mutate", by_decision.mut_one_decision, space=space, rng=rng)
    return box


_DIGITS, _SMALL = replace(DIGITS, clip_norm=5), replace(SMALL, clip_norm=5)

DARTS = System(
    name="darts",
    about="cells of two nodes' sums, normal and reduction; searched here by aging evolution",
    paper="Liu, Simonyan and Yang 2019, DARTS, arXiv:1806.09055 (the space and its published cells)",
    presets={
        "small": Setup(
            DARTSSpace(layers=5, channels=8),
            AgingSettings(),
            _SMALL,
            replace(_SMALL, epochs=20),
            about="five cells on pictures of 16x16 and more, on a small machine",
        ),
        "digits": Setup(
            DARTSSpace(layers=3, channels=8, input_shape=(1, 8, 8)),
            AgingSettings(population=10, evaluations=40),
            _DIGITS,
            replace(_DIGITS, epochs=40),
            about="three cells on 8x8 pictures, in minutes",
        ),
        "cifar10": Setup(
            DARTSSpace(layers=20, channels=36),
            AgingSettings(population=100, sample=25, evaluations=1000),
            RECIPES["darts"],
            RECIPES["darts"],
            about="the networks of the paper's table: 20 cells, 36 channels, 600 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=aging,
)
