"""The systems that search DARTS cells whose edges carry sets of operations. Torch is loaded with a policy.

I-DARTS   Jiang et al. 2019, ACL D19-1367
DATA      Chang et al. 2019, NeurIPS
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.darts_sets import DARTSSetsSpace
from evonas.recipe import RECIPES
from evonas.space import Space
from evonas.systems.gradients import over_darts_cells
from evonas.systems.setup import at_its_size

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@at_its_size
def i_darts(
    supernet: Space,
    *,
    rng: Random,
    second_order: bool = False,
    alpha_rate: float = 3e-3,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """I-DARTS: DARTS with one softmax over all edges into a node. It lasts for the search recipe's epochs.

    second_order        alpha sees what a step of the weights would make of it, at twice the time
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.i_darts import IDARTS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        IDARTS(supernet, rng=rng, second_order=second_order, learning_rate=alpha_rate, weight_decay=alpha_decay)
    )


@at_its_size
def data(
    supernet: Space,
    *,
    rng: Random,
    hot: float = 5.0,
    cold: float = 1.0,
    distance: float = 0.1,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 0.0,
) -> SupernetSearch:
    """DATA: the gradient of a set of operations at each node, drawn by Gumbel noise. It lasts for the search recipe's
    epochs.

    hot                 temperature at the beginning
    cold                temperature at the end
    distance            weight of the distance between the probabilities and what was drawn
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.data import DATA
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        DATA(
            supernet, rng=rng, hot=hot, cold=cold, distance=distance, learning_rate=alpha_rate,
            weight_decay=alpha_decay,
        )
    )  # fmt: skip


I_DARTS = over_darts_cells(
    name="i-darts",
    about="cells whose edges have any number of operations, by the gradient of one softmax over all edges into a node",
    paper="Jiang et al. 2019, Improved Differentiable Architecture Search for Language Modeling and NER, ACL D19-1367",
    search=RECIPES["darts-search"],
    final=RECIPES["darts"],
    space=partial(DARTSSetsSpace, pairs=2, exact=True),
    as_published="the search that DARTS published for images; give half of them to alpha (--validation 0.5)",
)
DATA = over_darts_cells(
    name="data",
    about="cells whose edges have sets of operations, by the gradient of several samples at once",
    paper="Chang et al. 2019, DATA: Differentiable ArchiTecture Approximation, NeurIPS",
    search=RECIPES["data-search"],
    final=RECIPES["darts"],
    space=DARTSSetsSpace,
    as_published="as published; alpha learns from training images",
)
