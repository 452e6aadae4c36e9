"""Large-scale Evolution as a system (Real et al. 2017, arXiv:1703.01041)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.large_scale import LargeScaleSpace
from evonas.operators.large_scale import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Baseline, Preset, System

LARGE_SCALE = System(
    name="large-scale",
    about="networks grow from a single layer by mutation, and keep what they have learnt",
    paper="Real et al. 2017, Large-Scale Evolution of Image Classifiers, arXiv:1703.01041",
    strategy="tournament",
    toolbox=toolbox,
    baseline=Baseline("no_selection", "tournament", {"selection": False}, toolbox),
    inherits=True,
    presets={
        "digits": Preset(
            LargeScaleSpace(input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, epochs=12, schedule="constant", weight_decay=1e-4),
            DIGITS_FINAL,
            {"population": 40, "evaluations": 1000, "mutations": 3, "resets": (400, 800)},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            LargeScaleSpace(least=16),
            replace(SMALL_RECIPE, epochs=2, warmup=0, weight_decay=1e-4),
            SMALL_FINAL,
            {"population": 16, "evaluations": 500, "mutations": 3},
            about="pictures of 16x16 and more on a small machine, in an hour",
            adapts=True,
        ),
        "cifar10": Preset(
            LargeScaleSpace(),
            RECIPES["large-scale"],
            RECIPES["resnet-cifar"],
            about="the paper's CIFAR-10 setting: a population of 1,000, 28 epochs for each child",
        ),
    },
)
