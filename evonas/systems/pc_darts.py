"""PC-DARTS as a system (Xu et al. 2020, arXiv:1907.05737)."""

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
class PCDARTSSettings(GradientSettings):
    """And supernet_partial, K: operations see 1/K of the channels; beginning, the epochs in which the weights alone
    learn."""

    supernet_partial: int = 4
    beginning: int = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.supernet_partial < 1 or self.beginning < 0:
            raise UserError(f"supernet_partial is {self.supernet_partial} and beginning {self.beginning}; use at least "
                            "1 and 0")  # fmt: skip


def _strategy(toolbox: base.Toolbox, settings: PCDARTSSettings, rng: Random) -> SupernetSearch:
    from evonas.supernets.pc_darts import PCDARTS
    from evonas.supernets.search import SupernetSearch

    space = settings.supernet(toolbox.space, partial=settings.supernet_partial)
    return SupernetSearch(PCDARTS(space, rng=rng, beginning=settings.beginning, **settings.alphas))


PC_DARTS = over_darts_cells(
    name="pc-darts",
    about="cells searched as by DARTS on a part of the channels, with a weight for each edge",
    paper="Xu et al. 2020, PC-DARTS: Partial Channel Connections, arXiv:1907.05737",
    strategy=_strategy,
    settings=PCDARTSSettings(**PAPER_SIZE, alpha_rate=6e-4),
    search=RECIPES["pc-darts-search"],
    final=RECIPES["pc-darts"],
    small={"beginning": 4},
)
