"""AmoebaNet as a system: NASNet cells by aging evolution (Real et al. 2019, arXiv:1802.01548), and published cells."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from deap import base

from evonas.genomes.nasnet import NASNetSpace
from evonas.operators.amoebanet import toolbox
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.systems import Setup, System
from evonas.systems.aging import AgingSettings, aging


def _toolbox(space: NASNetSpace, settings: AgingSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng)


_DIGITS, _SMALL = replace(DIGITS, clip_norm=5), replace(SMALL, clip_norm=5)
_PAPER = RECIPES["amoebanet"]

AMOEBANET = System(
    name="amoebanet",
    about="NASNet cells, normal and reduction; the oldest of a population dies",
    paper="Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search, arXiv:1802.01548",
    presets={
        "small": Setup(
            NASNetSpace(normals=1, channels=8),
            AgingSettings(population=20, sample=5, evaluations=60),
            _SMALL,
            replace(_SMALL, epochs=20),
            about="five cells on pictures of 16x16 and more, on a small machine",
        ),
        "digits": Setup(
            NASNetSpace(normals=1, channels=8, input_shape=(1, 8, 8)),
            AgingSettings(population=10, sample=5, evaluations=40),
            _DIGITS,
            replace(_DIGITS, epochs=40),
            about="five cells on 8x8 pictures, in minutes",
        ),
        "cifar10": Setup(
            NASNetSpace(normals=3, channels=24),
            AgingSettings(population=100, sample=25, evaluations=20_000),
            replace(_PAPER, epochs=25, drop_path=0.0, auxiliary=0.0),
            _PAPER,
            about="the paper's search: 20,000 trainings of 25 epochs (its final networks have normals=6, channels=32)",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=aging,
)
