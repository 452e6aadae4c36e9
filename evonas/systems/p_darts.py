"""P-DARTS as a system (Chen, Xie, Wu and Tian 2019, arXiv:1904.12760). Torch is loaded with its policy."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from evonas.recipe import RECIPES
from evonas.space import Space
from evonas.systems.gradients import over_darts_cells
from evonas.systems.setup import supernet_of

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


def p_darts(
    space: Space,
    *,
    rng: Random,
    depths: tuple[int, ...] = (5, 11, 17),
    dropped: tuple[int, ...] = (3, 2),
    skip_dropout: tuple[float, ...] = (0.0, 0.4, 0.7),
    skips: int = 2,
    beginning: int = 10,
    alpha_rate: float = 6e-4,
    alpha_decay: float = 1e-3,
    supernet_channels: int = 0,
) -> SupernetSearch:
    """P-DARTS: DARTS in stages, each with a supernet of more cells and fewer options. The search recipe's epochs are
    shared equally by the stages.

    depths              cells of the supernet of each stage
    dropped             options that each edge loses after each stage but the last
    skip_dropout        rate in each stage from which the dropout behind skip connections falls
    skips               skip connections that the normal cell has at most
    beginning           epochs of each stage in which the weights alone learn
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    supernet_channels   of the supernets; 0: as many as its networks have
    """
    from evonas.supernets.p_darts import PDARTS
    from evonas.supernets.search import SupernetSearch

    supernet = supernet_of(space, 0, supernet_channels)
    return SupernetSearch(
        PDARTS(
            supernet, rng=rng, depths=depths, dropped=dropped, dropout=skip_dropout, skips=skips, beginning=beginning,
            learning_rate=alpha_rate, weight_decay=alpha_decay,
        )
    )  # fmt: skip


P_DARTS = over_darts_cells(
    name="p-darts",
    about="cells searched as by DARTS in stages: more cells each time, and fewer operations on each edge",
    paper="Chen, Xie, Wu and Tian 2019, Progressive Differentiable Architecture Search, arXiv:1904.12760",
    search=RECIPES["p-darts-search"],
    final=RECIPES["p-darts"],
    size={"supernet_channels": 16},
    small={"depths": (3, 5, 7), "beginning": 2},
    digits={"depths": (3, 4, 5)},
    epochs=15,
)
