"""NSGA-Net as a system: phases of binary strings under several objectives (Lu et al. 2019, arXiv:1810.03522)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from deap import base

from evonas.genomes.nsga_net import NSGANetSpace
from evonas.operators.nsga_net import toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.strategies.nsga2 import NSGA2
from evonas.systems.system import Preset, System


def nsga_net(
    box: base.Toolbox, *, rng: Random, population: int = 40, generations: int = 29, crossover_rate: float = 0.9
) -> NSGA2:
    """NSGA-II as NSGA-Net uses it: every child is mutated, crossed or not.

    population       N, of the parents and of each generation of offspring
    generations      of offspring, after the first population
    crossover_rate   share of the pairs that are crossed
    """
    return NSGA2(
        box, rng=rng, population=population, generations=generations, crossover_rate=crossover_rate,
        mutates_crossed=True,
    )  # fmt: skip


NSGA_NET = System(
    name="nsga-net",
    about="binary strings with a skip bit for each phase; for --objectives accuracy,multiply_adds",
    paper="Lu et al. 2019, NSGA-Net, arXiv:1810.03522",
    strategy="nsga-net",
    front="nsga-net",
    toolbox=toolbox,
    presets={
        "small": Preset(
            NSGANetSpace(channels=16),
            SMALL_RECIPE,
            SMALL_FINAL,
            {"population": 12, "generations": 5, "crossover_rate": 0.5},
            about="pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            NSGANetSpace(phases=(4, 4), channels=8, input_shape=(1, 8, 8)),
            DIGITS_RECIPE,
            DIGITS_FINAL,
            {"population": 12, "generations": 4, "crossover_rate": 0.5},
            about="8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            NSGANetSpace(phases=(6, 6, 6), channels=32),
            RECIPES["nsga-net"],
            replace(RECIPES["nsga-net"], epochs=600),
            about="the published code's search: 30 generations of 40, each trained for 25 epochs",
        ),
    },
)
