"""GeNet as a system: the paper's two settings (Xie and Yuille 2017, section 4), and two for small machines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.genomes import genet as space
from evonas.operators.genet import toolbox
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.genet import GeNet
from evonas.systems import Setup, System, check_generational


@dataclass(frozen=True, kw_only=True)
class GeNetSettings:
    """population N, generations T after the first, and the probabilities p_C, q_C, p_M and q_M of the paper."""

    population: int = 20
    generations: int = 50
    crossover_rate: float = 0.2
    stage_swap_rate: float = 0.2
    mutation_rate: float = 0.8
    bit_flip_rate: float = 0.05
    average_repeats: bool = False

    def __post_init__(self) -> None:
        check_generational(self, "crossover_rate", "stage_swap_rate", "mutation_rate", "bit_flip_rate")

    @property
    def evaluations(self) -> int:
        return self.population * (self.generations + 1)


def _toolbox(space: space.GeNetSpace, settings: GeNetSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng, stage_swap_rate=settings.stage_swap_rate, bit_flip_rate=settings.bit_flip_rate)


def _strategy(toolbox: base.Toolbox, settings: GeNetSettings, rng: Random) -> GeNet:
    return GeNet(
        toolbox,
        rng=rng,
        population=settings.population,
        crossover_rate=settings.crossover_rate,
        mutation_rate=settings.mutation_rate,
        average_repeats=settings.average_repeats,
    )


_MNIST, _CIFAR10 = RECIPES["genet-mnist"], RECIPES["genet-cifar10"]

GENET = System(
    name="genet",
    about="binary strings say which layers of a stage are connected; a genetic algorithm evolves them",
    paper="Xie and Yuille 2017, Genetic CNN, arXiv:1703.01513",
    presets={
        "digits": Setup(
            space.DIGITS,
            GeNetSettings(population=20, generations=4, bit_flip_rate=0.1),
            DIGITS,
            replace(DIGITS, epochs=40),
            about="8x8 pictures in about a minute, baselines included",
        ),
        "small": Setup(
            space.SMALL,
            GeNetSettings(population=12, generations=5),
            SMALL,
            replace(SMALL, epochs=20),
            about="pictures of 16x16 and more on a small machine, in tens of minutes",
        ),
        "mnist": Setup(
            space.MNIST,
            GeNetSettings(bit_flip_rate=0.1, stage_swap_rate=0.3, average_repeats=True),
            _MNIST,
            _MNIST,
            about="the paper's MNIST setting: 1,020 trainings of 25 epochs",
        ),
        "cifar10": Setup(
            space.CIFAR10,
            GeNetSettings(average_repeats=True),
            _CIFAR10,
            _CIFAR10,
            about="the paper's CIFAR-10 setting: 1,020 trainings of 240 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
)
