"""Hierarchical cells as a system (Liu et al. 2018, arXiv:1711.00436)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.genomes.hierarchical import HierarchicalSpace
from evonas.operators.hierarchical import MUTATIONS, toolbox
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.strategies.growing_tournament import GrowingTournament
from evonas.systems import Setup, System


@dataclass(frozen=True, kw_only=True)
class HierarchicalSettings:
    """population at the start, share of it that meets in a tournament, evaluations in all, and how many mutations of
    the trivial genome make one of the first individuals."""

    population: int = 200
    share: float = 0.05
    evaluations: int = 7000
    mutations: int = MUTATIONS

    def __post_init__(self) -> None:
        if min(self.population, self.evaluations) < 1 or self.mutations < 0 or not 0 < self.share <= 1:
            raise UserError(
                f"population is {self.population}, evaluations {self.evaluations}, mutations {self.mutations} and "
                f"share {self.share}; use at least 1, 1 and 0, and a share above 0 up to 1"
            )


def _toolbox(space: HierarchicalSpace, settings: HierarchicalSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng, mutations=settings.mutations)


def _strategy(toolbox: base.Toolbox, settings: HierarchicalSettings, rng: Random) -> GrowingTournament:
    return GrowingTournament(toolbox, rng=rng, population=settings.population, share=settings.share)


HIERARCHICAL = System(
    name="hierarchical",
    about="small motifs of operations, placed on the edges of a larger one; a population that only grows",
    paper="Liu et al. 2018, Hierarchical Representations for Efficient Architecture Search, arXiv:1711.00436",
    presets={
        "small": Setup(
            HierarchicalSpace(channels=8),
            HierarchicalSettings(population=20, share=0.25, evaluations=60),
            SMALL,
            replace(SMALL, epochs=20),
            about="pictures of 16x16 and more, on a small machine",
        ),
        "digits": Setup(
            HierarchicalSpace(channels=8, input_shape=(1, 8, 8)),
            HierarchicalSettings(population=10, share=0.3, evaluations=40),
            DIGITS,
            replace(DIGITS, epochs=40),
            about="8x8 pictures, in minutes",
        ),
        "cifar10": Setup(
            HierarchicalSpace(channels=16),
            HierarchicalSettings(),
            RECIPES["hierarchical"],
            RECIPES["hierarchical-final"],
            about="the paper's search: 7,000 genotypes (its final networks have channels=64, cells=2)",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=_toolbox,
    strategy=_strategy,
)
