"""MetaQNN as a system (Baker et al. 2017, arXiv:1611.02167)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.systems import Setup, System, toolboxes
from evonas.systems.q_learning import QLearningSettings, q_learning, uniform

METAQNN = System(
    name="metaqnn",
    about="chains of layers, written one layer after the other by Q-learning",
    paper="Baker et al. 2017, Designing Neural Network Architectures using Reinforcement Learning, arXiv:1611.02167",
    presets={
        "digits": Setup(
            MetaQNNSpace(longest=6, filters=(8, 16, 32, 64), dense=(64, 32, 16), input_shape=(1, 8, 8)),
            QLearningSettings(evaluations=100, rate=0.1),
            replace(DIGITS, optimizer="adam", learning_rate=3e-3, weight_decay=0.0, restarts=5),
            replace(DIGITS, epochs=40, optimizer="adam", learning_rate=3e-3, weight_decay=0.0),
            about="8x8 pictures, in minutes",
        ),
        "small": Setup(
            MetaQNNSpace(longest=10, filters=(16, 32, 64, 128), dense=(128, 64, 32)),
            QLearningSettings(evaluations=200, rate=0.1),
            replace(SMALL, optimizer="adam", learning_rate=2e-3, weight_decay=0.0, restarts=5),
            replace(SMALL, epochs=20, optimizer="adam", learning_rate=2e-3, weight_decay=0.0),
            about="pictures of 16x16 and more on a small machine, in hours",
        ),
        "cifar10": Setup(
            MetaQNNSpace(),
            QLearningSettings(),
            RECIPES["metaqnn"],
            replace(RECIPES["metaqnn"], epochs=60, milestones=(15, 30, 45), restarts=0),
            about="the paper's CIFAR-10 setting: 2,700 networks of at most 18 layers, 20 epochs each",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=toolboxes.decision_by_decision,
    strategy=q_learning,
    control=uniform,
    scheduled=True,
)
