"""Large-scale Evolution as a system (Real et al. 2017, arXiv:1703.01041)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.operators.large_scale import toolbox
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.tournament import Tournament
from evonas.systems import Setup, System


@dataclass(frozen=True, kw_only=True)
class LargeScaleSettings:
    """population, evaluations in all, mutations of a child, and after how many evaluations all weights are drawn anew
    (the paper's two ways out of a local optimum)."""

    population: int = 1000
    evaluations: int = 10_000
    mutations: int = 1
    resets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.population < 2 or min(self.evaluations, self.mutations, *self.resets) < 1:
            raise UserError(
                f"population is {self.population}, evaluations {self.evaluations}, mutations {self.mutations} and "
                f"resets {self.resets}; use at least 2, and 1 of the others"
            )


def _toolbox(space: LargeScaleSpace, settings: LargeScaleSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng, mutations=settings.mutations)


def _strategy(toolbox: base.Toolbox, settings: LargeScaleSettings, rng: Random) -> Tournament:
    return Tournament(toolbox, rng=rng, population=settings.population, resets=settings.resets)


def _control(toolbox: base.Toolbox, settings: LargeScaleSettings, rng: Random) -> Tournament:
    return Tournament(toolbox, rng=rng, population=settings.population, resets=settings.resets, selection=False)


LARGE_SCALE = System(
    name="large-scale",
    about="networks grow from a single layer by mutation, and keep what they have learnt",
    paper="Real et al. 2017, Large-Scale Evolution of Image Classifiers, arXiv:1703.01041",
    presets={
        "digits": Setup(
            LargeScaleSpace(input_shape=(1, 8, 8)),
            LargeScaleSettings(population=40, evaluations=1000, mutations=3, resets=(400, 800)),
            replace(DIGITS, epochs=12, schedule="constant", weight_decay=1e-4),
            replace(DIGITS, epochs=40),
            about="8x8 pictures, in minutes",
        ),
        "small": Setup(
            LargeScaleSpace(least=16),
            LargeScaleSettings(population=16, evaluations=500, mutations=3),
            replace(SMALL, epochs=2, warmup=0, weight_decay=1e-4),
            replace(SMALL, epochs=20),
            about="pictures of 16x16 and more on a small machine, in an hour",
        ),
        "cifar10": Setup(
            LargeScaleSpace(),
            LargeScaleSettings(),
            RECIPES["large-scale"],
            RECIPES["resnet-cifar"],
            about="the paper's CIFAR-10 setting: a population of 1,000, 28 epochs for each child",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
    control=_control,
    rival="no_selection",
    inherits=True,
)
