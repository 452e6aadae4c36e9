"""Path-level EAS as a system (Cai et al. 2018, arXiv:1806.02639)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.path_level import PathLevelSpace
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Baseline, Preset, System

NOISE, IMITATION = 6e-3, 30  # published code


PATH_LEVEL_EAS = System(
    name="path-level-eas",
    about="a tree grows in place of each convolution of a trained network",
    paper="Cai et al. 2018, Path-Level Network Transformation for Efficient Architecture Search, arXiv:1806.02639",
    strategy="path-level",
    baseline=Baseline("random_cells", "path-level", {"learning": False}),
    inherits=True,
    presets={
        "digits": Preset(
            PathLevelSpace(
                start="conv8-conv8-pool-conv16-mean-fc16",
                noise=NOISE,
                imitation=10,
                first_epochs=20,
                first_rate=0.1,
                input_shape=(1, 8, 8),
            ),
            replace(DIGITS_RECIPE, epochs=6, learning_rate=0.05, warmup=0),
            DIGITS_FINAL,
            {"evaluations": 41},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            PathLevelSpace(
                start="conv16-conv16-pool-conv32-pool-conv32-mean-fc32",
                noise=NOISE,
                imitation=IMITATION,
                first_epochs=10,
                first_rate=0.1,
            ),
            replace(SMALL_RECIPE, epochs=4, learning_rate=0.05, warmup=0),
            SMALL_FINAL,
            {"evaluations": 41},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            PathLevelSpace(start="dense2x48g4", noise=NOISE, imitation=IMITATION, first_epochs=300, first_rate=0.1),
            RECIPES["path-level-search"],
            RECIPES["path-level-final"],
            about="the paper's search of 500 cells in a DenseNet with 16 layers",
        ),
    },
)
