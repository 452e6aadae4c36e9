"""Hierarchical cells as a system (Liu et al. 2018, arXiv:1711.00436)."""

from __future__ import annotations

from evonas.genomes.hierarchical import HierarchicalSpace
from evonas.operators.hierarchical import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

HIERARCHICAL = System(
    name="hierarchical",
    about="small motifs of operations, placed on the edges of a larger one; a population that only grows",
    paper="Liu et al. 2018, Hierarchical Representations for Efficient Architecture Search, arXiv:1711.00436",
    strategy="growing-tournament",
    toolbox=toolbox,
    presets={
        "small": Preset(
            HierarchicalSpace(channels=8),
            SMALL_RECIPE,
            SMALL_FINAL,
            {"population": 20, "share": 0.25, "evaluations": 60},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            HierarchicalSpace(channels=8, input_shape=(1, 8, 8)),
            DIGITS_RECIPE,
            DIGITS_FINAL,
            {"population": 10, "share": 0.3, "evaluations": 40},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            HierarchicalSpace(channels=16),
            RECIPES["hierarchical"],
            RECIPES["hierarchical-final"],
            about="the paper's search: 7,000 genotypes (its final networks have channels=64, cells=2)",
        ),
    },
)
