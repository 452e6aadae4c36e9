"""SNAS as a system (Xie, Zheng, Liu and Lin 2019, arXiv:1812.09926)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from deap import base

from evonas.errors import UserError
from evonas.recipe import RECIPES
from evonas.systems.gradients import PAPER_SIZE, GradientSettings, over_darts_cells

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@dataclass(frozen=True, kw_only=True)
class SNASSettings(GradientSettings):
    """And resource, the weight of what the operations cost; cold, towards which the temperature falls from 1."""

    resource: float = 0.0
    cold: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resource < 0 or not 0 < self.cold <= 1:
            raise UserError(f"resource is {self.resource} and cold {self.cold}; use at least 0, and above 0 to 1")


def _strategy(toolbox: base.Toolbox, settings: SNASSettings, rng: Random) -> SupernetSearch:
    from evonas.supernets.search import SupernetSearch
    from evonas.supernets.snas import SNAS

    space = settings.supernet(toolbox.space)
    policy = SNAS(space, rng=rng, resource=settings.resource, cold=settings.cold, **settings.alphas)
    return SupernetSearch(policy)


SNAS = over_darts_cells(
    name="snas",
    about="cells with an operation or none on every edge, searched by the gradient of samples that become one-hot",
    paper="Xie, Zheng, Liu and Lin 2019, SNAS: Stochastic Neural Architecture Search, arXiv:1812.09926",
    strategy=_strategy,
    settings=SNASSettings(**PAPER_SIZE),
    search=RECIPES["snas-search"],
    final=RECIPES["darts"],
    every=True,
)
