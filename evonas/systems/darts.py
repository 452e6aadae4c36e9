"""DARTS as a system (Liu, Simonyan and Yang 2019, arXiv:1806.09055)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from deap import base

from evonas.recipe import RECIPES
from evonas.systems.gradients import PAPER_SIZE, GradientSettings, over_darts_cells

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@dataclass(frozen=True, kw_only=True)
class DARTSSettings(GradientSettings):
    """And second_order: alpha sees what a step of the weights would make of it, at twice the time."""

    second_order: bool = False


def _strategy(toolbox: base.Toolbox, settings: DARTSSettings, rng: Random) -> SupernetSearch:
    from evonas.supernets.darts import DARTS
    from evonas.supernets.search import SupernetSearch

    space = settings.supernet(toolbox.space)
    return SupernetSearch(DARTS(space, rng=rng, second_order=settings.second_order, **settings.alphas))


DARTS = over_darts_cells(
    name="darts",
    about="cells of two nodes' sums, searched by the gradient of a softmax over the operations of each edge",
    paper="Liu, Simonyan and Yang 2019, DARTS: Differentiable Architecture Search, arXiv:1806.09055",
    strategy=_strategy,
    settings=DARTSSettings(**PAPER_SIZE, second_order=True),
    search=RECIPES["darts-search"],
    final=RECIPES["darts"],
    small={"second_order": False},
)
