"""NAO as a system (Luo et al. 2018, arXiv:1808.07233), without shared weights. Torch is loaded with its networks."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.enas import ENASMicroSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.strategies.nao import PAPER
from evonas.systems.system import Preset, System

_QUICK = {"evaluations": 60, "initial": 20, "seeds": 10, "new": 10}
_FINAL = replace(RECIPES["darts"], batch_size=128, weight_decay=5e-4)

NAO = System(
    name="nao",
    about="cells by an encoder, a predictor and a decoder: uphill in a continuous space",
    paper="Luo et al. 2018, Neural Architecture Optimization, arXiv:1808.07233",
    strategy="nao",
    toolbox=uniform_toolbox,
    presets={
        "digits": Preset(
            ENASMicroSpace(layers=1, channels=8, nodes=3, input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, clip_norm=5),
            DIGITS_FINAL,
            _QUICK,
            about="three cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            ENASMicroSpace(layers=3, channels=12),
            replace(SMALL_RECIPE, clip_norm=5),
            SMALL_FINAL,
            _QUICK | {"evaluations": 100},
            about="five cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            ENASMicroSpace(layers=9, channels=32),
            replace(_FINAL, epochs=25, cutout=0, drop_path=0.0, auxiliary=0.0),
            _FINAL,
            PAPER,
            about="the paper's search: 1,000 trainings of 25 epochs, 600 of them of random cells",
        ),
    },
)
