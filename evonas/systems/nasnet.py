"""NASNet as a system (Zoph et al. 2018, arXiv:1707.07012)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.nasnet import COMBINATIONS, NASNetSpace
from evonas.genomes.nasnet import NASNET as OPERATIONS
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.systems import Setup, System, toolboxes
from evonas.systems.ppo import PPOSettings, ppo

_DIGITS, _SMALL = replace(DIGITS, clip_norm=5), replace(SMALL, clip_norm=5)
_FINAL = replace(RECIPES["amoebanet"], batch_size=32, learning_rate=0.025, clip_norm=5, drop_path=0.4, auxiliary=0.4)
_QUICK = PPOSettings(evaluations=100, batch=5, controller_rate=5e-3, decay=0.9, entropy_weight=2e-3, units=50)

NASNET = System(
    name="nasnet",
    about="normal and reduction cells, written by an LSTM that learns by PPO",
    paper="Zoph et al. 2018, Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012",
    presets={
        "digits": Setup(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS, combinations=COMBINATIONS, input_shape=(1, 8, 8)),
            _QUICK,
            _DIGITS,
            replace(_DIGITS, epochs=40),
            about="five cells on 8x8 pictures, in minutes",
        ),
        "small": Setup(
            NASNetSpace(normals=1, channels=8, operations=OPERATIONS, combinations=COMBINATIONS),
            _QUICK,
            _SMALL,
            replace(_SMALL, epochs=20),
            about="five cells on pictures of 16x16 and more, on a small machine",
        ),
        "cifar10": Setup(
            NASNetSpace(normals=2, channels=24, operations=OPERATIONS, combinations=COMBINATIONS),
            PPOSettings(),
            RECIPES["nasnet"],
            _FINAL,
            about="the paper's search: 20,000 trainings of 20 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=toolboxes.uniform,
    strategy=ppo,
)
