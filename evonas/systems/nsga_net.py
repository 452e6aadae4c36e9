"""NSGA-Net as a system: phases of binary strings under several objectives (Lu et al. 2019, arXiv:1810.03522)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.genomes.nsga_net import NSGANetSpace
from evonas.operators.nsga_net import toolbox
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.nsga2 import NSGA2
from evonas.systems import Setup, System, check_generational


@dataclass(frozen=True, kw_only=True)
class NSGANetSettings:
    """population N of parents and of each generation of offspring, generations after the first, and the share of pairs
    that are crossed; every child is mutated."""

    population: int = 40
    generations: int = 29
    crossover_rate: float = 0.9

    def __post_init__(self) -> None:
        check_generational(self, "crossover_rate")

    @property
    def evaluations(self) -> int:
        return self.population * (self.generations + 1)


def _toolbox(space: NSGANetSpace, settings: NSGANetSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng)


def _strategy(toolbox: base.Toolbox, settings: NSGANetSettings, rng: Random) -> NSGA2:
    return NSGA2(
        toolbox, rng=rng, population=settings.population, crossover_rate=settings.crossover_rate, mutates_crossed=True
    )


NSGA_NET = System(
    name="nsga-net",
    about="binary strings with a skip bit for each phase; for --objectives accuracy,multiply_adds",
    paper="Lu et al. 2019, NSGA-Net, arXiv:1810.03522",
    presets={
        "small": Setup(
            NSGANetSpace(channels=16),
            NSGANetSettings(population=12, generations=5, crossover_rate=0.5),
            SMALL,
            replace(SMALL, epochs=20),
            about="pictures of 16x16 and more, on a small machine",
        ),
        "digits": Setup(
            NSGANetSpace(phases=(4, 4), channels=8, input_shape=(1, 8, 8)),
            NSGANetSettings(population=12, generations=4, crossover_rate=0.5),
            DIGITS,
            replace(DIGITS, epochs=40),
            about="8x8 pictures, in minutes",
        ),
        "cifar10": Setup(
            NSGANetSpace(phases=(6, 6, 6), channels=32),
            NSGANetSettings(),
            RECIPES["nsga-net"],
            replace(RECIPES["nsga-net"], epochs=600),
            about="the published code's search: 30 generations of 40, each trained for 25 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
    front=_strategy,
)
