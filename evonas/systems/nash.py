"""NASH as a system (Elsken, Metzen and Hutter 2017, arXiv:1711.04528)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.edits import EditSpace
from evonas.operators.edits import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Baseline, Preset, System

PAPER = EditSpace(kinds=("deepen", "extend", "add", "concat"), kernels=(3, 5), factors=(2, 4))  # section 4.1

NASH = System(
    name="nash",
    about="hill climbing by network morphisms: a network grows and keeps what it has learnt",
    paper="Elsken, Metzen and Hutter 2017, Simple and Efficient Architecture Search for Convolutional Neural Networks, "
    "arXiv:1711.04528",
    strategy="hill-climbing",
    toolbox=toolbox,
    baseline=Baseline("no_choice", "hill-climbing", {"choosing": False}, toolbox),
    inherits=True,
    presets={
        "digits": Preset(
            replace(PAPER, start="conv8-pool-conv16-pool-conv16-fc32", edits=20, input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, learning_rate=0.05, warmup=0, epochs=5),
            DIGITS_FINAL,
            {"steps": 4, "neighbours": 6, "mutations": 2},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            replace(PAPER, start="conv16-pool-conv32-pool-conv64-fc64", edits=20),
            replace(SMALL_RECIPE, learning_rate=0.05, warmup=0, epochs=4),
            SMALL_FINAL,
            {"steps": 5, "neighbours": 6, "mutations": 2},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            replace(PAPER, start="conv64-pool-conv128-pool-conv256-fc256", edits=40, first_epochs=20),
            RECIPES["nash-search"],
            RECIPES["nash-final"],
            {"steps": 8, "neighbours": 8, "mutations": 5},
            about="the paper's search of a day (steps=5: of half a day); the widths of its first network are ours",
        ),
    },
)
