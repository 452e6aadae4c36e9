"""GDAS as a system (Dong and Yang 2019, arXiv:1910.04465)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from deap import base

from evonas.errors import UserError
from evonas.recipe import RECIPES
from evonas.systems.gradients import PAPER_SIZE, GradientSettings, over_darts_cells

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@dataclass(frozen=True, kw_only=True)
class GDASSettings(GradientSettings):
    """And hot and cold: the temperature falls from one to the other."""

    hot: float = 10.0
    cold: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cold <= self.hot:
            raise UserError(f"hot is {self.hot} and cold {self.cold}; use positive numbers, the hot one not below")


def _strategy(toolbox: base.Toolbox, settings: GDASSettings, rng: Random) -> SupernetSearch:
    from evonas.supernets.gdas import GDAS
    from evonas.supernets.search import SupernetSearch

    space = settings.supernet(toolbox.space)
    return SupernetSearch(GDAS(space, rng=rng, hot=settings.hot, cold=settings.cold, **settings.alphas))


GDAS = over_darts_cells(
    name="gdas",
    about="cells searched by the gradient of one operation an edge, drawn by Gumbel noise",
    paper="Dong and Yang 2019, Searching for a Robust Neural Architecture in Four GPU Hours, arXiv:1910.04465",
    strategy=_strategy,
    settings=GDASSettings(**PAPER_SIZE),
    search=RECIPES["gdas-search"],
    final=replace(RECIPES["darts"], weight_decay=5e-4, clip_norm=0),
)
