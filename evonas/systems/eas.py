"""EAS as a system (Cai et al. 2018, arXiv:1707.04873)."""

from __future__ import annotations

from dataclasses import replace

from evonas.genomes.edits import EditSpace
from evonas.operators.edits import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Baseline, Preset, System

NOISE = 0.01  # published code
SPACE = EditSpace(kinds=("widen", "deepen"), kernels=(1, 3, 5), noise=NOISE, edits=100)


EAS = System(
    name="eas",
    about="a controller reads a trained network and makes it wider and deeper",
    paper="Cai et al. 2018, Efficient Architecture Search by Network Transformation, arXiv:1707.04873",
    strategy="eas",
    toolbox=toolbox,
    baseline=Baseline("random_edits", "eas", {"learning": False}, toolbox),
    inherits=True,
    presets={
        "digits": Preset(
            replace(
                SPACE,
                start="conv4-pool-conv4-pool-conv4-mean-fc8",
                first_epochs=20,
                first_rate=0.1,
                widths=tuple(range(4, 41, 4)),
                sizes=tuple(range(8, 81, 8)),
                input_shape=(1, 8, 8),
            ),
            replace(DIGITS_RECIPE, epochs=6, learning_rate=0.05, warmup=0),
            DIGITS_FINAL,
            {"evaluations": 41},
            about="8x8 pictures, in minutes; widths of the authors' small setting",
            adapts=True,
        ),
        "small": Preset(
            replace(
                SPACE,
                start="conv8-pool-conv16-pool-conv16-mean-fc32",
                first_epochs=10,
                first_rate=0.1,
                widths=(8, 16, 24, 32, 48, 64),
                sizes=(32, 64, 96, 128),
            ),
            replace(SMALL_RECIPE, epochs=4, learning_rate=0.05, warmup=0),
            SMALL_FINAL,
            {"evaluations": 41, "wider": 2, "deeper": 3},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            replace(
                SPACE,
                start="conv16-pool-conv32-pool-conv64-pool-conv128-mean-fc256",
                first_epochs=300,
                first_rate=0.1,
                widths=(16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512),
                sizes=(64, 128, 256, 384, 512, 640, 768, 896, 1024),
            ),
            RECIPES["eas-search"],
            RECIPES["eas-final"],
            {"evaluations": 301},
            about="the first stage of the paper's search of plain networks",
        ),
    },
)
