"""NASNet as a system (Zoph et al. 2018, arXiv:1707.07012)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.nasnet import COMBINATIONS, NASNetSpace
from evonas.genomes.nasnet import NASNET as OPERATIONS
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

_DIGITS, _SMALL = replace(DIGITS_RECIPE, clip_norm=5), replace(SMALL_RECIPE, clip_norm=5)
_FINAL = replace(RECIPES["amoebanet"], batch_size=32, learning_rate=0.025, clip_norm=5, drop_path=0.4, auxiliary=0.4)
_QUICK = {"evaluations": 100, "learning_rate": 5e-3}

NASNET = System(
    name="nasnet",
    about="normal and reduction cells, written by an LSTM that learns by PPO",
    paper="Zoph et al. 2018, Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012",
    strategy="ppo",
    toolbox=uniform_toolbox,
    presets={
        "digits": Preset(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS, combinations=COMBINATIONS, input_shape=(1, 8, 8)),
            _DIGITS,
            DIGITS_FINAL,
            _QUICK,
            about="five cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS, combinations=COMBINATIONS),
            _SMALL,
            SMALL_FINAL,
            _QUICK,
            about="five cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            NASNetSpace(normals=2, channels=24, operations=OPERATIONS, combinations=COMBINATIONS),
            RECIPES["nasnet"],
            _FINAL,
            {"evaluations": 20_000, "units": 100, "batch": 20, "learning_rate": 3.5e-4, "decay": 0.95,
             "entropy": 1e-5},
            about="the paper's search: 20,000 trainings of 20 epochs",
        ),
    },
)  # fmt: skip
