"""GeNet as a system: the paper's two settings (Xie and Yuille 2017, section 4), and two for small machines."""

from __future__ import annotations

from evonas.genomes import genet as space
from evonas.operators.genet import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

GENET = System(
    name="genet",
    about="binary strings say which layers of a stage are connected; a genetic algorithm evolves them",
    paper="Xie and Yuille 2017, Genetic CNN, arXiv:1703.01513",
    strategy="genet",
    toolbox=toolbox,
    presets={
        "digits": Preset(
            space.DIGITS,
            DIGITS_RECIPE,
            DIGITS_FINAL,
            {"generations": 4, "bit_flip_rate": 0.1},
            about="8x8 pictures in about a minute, baselines included",
            adapts=True,
        ),
        "small": Preset(
            space.SMALL,
            SMALL_RECIPE,
            SMALL_FINAL,
            {"population": 12, "generations": 5},
            about="pictures of 16x16 and more on a small machine, in tens of minutes",
            adapts=True,
        ),
        "mnist": Preset(
            space.MNIST,
            RECIPES["genet-mnist"],
            RECIPES["genet-mnist"],
            {"bit_flip_rate": 0.1, "stage_swap_rate": 0.3, "average_repeats": True},
            about="the paper's MNIST setting: 1,020 trainings of 25 epochs",
        ),
        "cifar10": Preset(
            space.CIFAR10,
            RECIPES["genet-cifar10"],
            RECIPES["genet-cifar10"],
            {"average_repeats": True},
            about="the paper's CIFAR-10 setting: 1,020 trainings of 240 epochs",
        ),
    },
)
