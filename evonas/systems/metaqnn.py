"""MetaQNN as a system (Baker et al. 2017, arXiv:1611.02167)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Baseline, Preset, System

UNIFORM = Baseline(
    strategy="q-learning", values={"schedule": "uniform", "replays": 0, "at_once": True}, toolbox=stepwise_toolbox
)
_PAPER = {"schedule": "metaqnn", "shaping": False}

METAQNN = System(
    name="metaqnn",
    about="chains of layers, written one layer after the other by Q-learning",
    paper="Baker et al. 2017, Designing Neural Network Architectures using Reinforcement Learning, arXiv:1611.02167",
    strategy="q-learning",
    toolbox=stepwise_toolbox,
    baseline=UNIFORM,
    presets={
        "digits": Preset(
            MetaQNNSpace(longest=6, filters=(8, 16, 32, 64), dense=(64, 32, 16), input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, optimizer="adam", learning_rate=3e-3, weight_decay=0.0, restarts=5),
            replace(DIGITS_FINAL, optimizer="adam", learning_rate=3e-3, weight_decay=0.0),
            _PAPER | {"evaluations": 100},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            MetaQNNSpace(longest=10, filters=(16, 32, 64, 128), dense=(128, 64, 32)),
            replace(SMALL_RECIPE, optimizer="adam", learning_rate=2e-3, weight_decay=0.0, restarts=5),
            replace(SMALL_FINAL, optimizer="adam", learning_rate=2e-3, weight_decay=0.0),
            _PAPER | {"evaluations": 200},
            about="pictures of 16x16 and more on a small machine, in hours",
            adapts=True,
        ),
        "cifar10": Preset(
            MetaQNNSpace(),
            RECIPES["metaqnn"],
            replace(RECIPES["metaqnn"], epochs=60, milestones=(15, 30, 45), restarts=0),
            _PAPER | {"rate": 0.01, "at_once": False, "evaluations": 2700},
            about="the paper's CIFAR-10 setting: 2,700 networks of at most 18 layers, 20 epochs each",
        ),
    },
)
