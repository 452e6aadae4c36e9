"""The systems that train a supernet of DARTS cells: their strategies, and their presets. Torch is loaded with a policy.

DARTS      Liu, Simonyan and Yang 2019, arXiv:1806.09055
SNAS       Xie, Zheng, Liu and Lin 2019, arXiv:1812.09926
GDAS       Dong and Yang 2019, arXiv:1910.04465
PC-DARTS   Xu et al. 2020, arXiv:1907.05737
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL, Recipe
from evonas.space import Space
from evonas.systems.setup import at_its_size, supernet_of
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@at_its_size
def darts(
    supernet: Space,
    *,
    rng: Random,
    second_order: bool = False,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """DARTS: the gradient of a softmax over the options of each decision. It lasts for the search recipe's epochs.

    second_order        alpha sees what a step of the weights would make of it, at twice the time
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.darts import DARTS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        DARTS(supernet, rng=rng, second_order=second_order, learning_rate=alpha_rate, weight_decay=alpha_decay)
    )


@at_its_size
def snas(
    supernet: Space,
    *,
    rng: Random,
    resource: float = 0.0,
    cold: float = 0.03,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """SNAS: the gradient of concrete samples, which become one-hot. It lasts for the search recipe's epochs.

    resource            weight of what the operations cost
    cold                temperature, to which it falls from 1
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.search import SupernetSearch
    from evonas.supernets.snas import SNAS

    return SupernetSearch(
        SNAS(supernet, rng=rng, resource=resource, cold=cold, learning_rate=alpha_rate, weight_decay=alpha_decay)
    )


@at_its_size
def gdas(
    supernet: Space,
    *,
    rng: Random,
    hot: float = 10.0,
    cold: float = 0.1,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """GDAS: the gradient of one option a decision, drawn by Gumbel noise. It lasts for the search recipe's epochs.

    hot                 temperature at the beginning
    cold                temperature at the end
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.gdas import GDAS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        GDAS(supernet, rng=rng, hot=hot, cold=cold, learning_rate=alpha_rate, weight_decay=alpha_decay)
    )


@at_its_size
def gdas_nsas(
    supernet: Space,
    *,
    rng: Random,
    beta: float = 0.5,
    constraints: int = 8,
    recent: int = 50,
    hot: float = 10.0,
    cold: float = 0.1,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """GDAS-NSAS: GDAS, whose weights also keep the losses of a few other genomes low. It lasts for the search recipe's
    epochs.

    beta                weight of their losses
    constraints         how many they are
    recent              how many of the genomes drawn last may come to be one of them
    hot                 temperature at the beginning
    cold                temperature at the end
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.nsas import GDASNSAS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(
        GDASNSAS(
            supernet, rng=rng, beta=beta, constraints=constraints, recent=recent, hot=hot, cold=cold,
            learning_rate=alpha_rate, weight_decay=alpha_decay,
        )
    )  # fmt: skip


@at_its_size
def pc_darts(
    supernet: Space,
    *,
    rng: Random,
    supernet_partial: int = 4,
    beginning: int = 15,
    alpha_rate: float = 3e-4,
    alpha_decay: float = 1e-3,
) -> SupernetSearch:
    """PC-DARTS: DARTS on a part of the channels, with a weight for each edge. It lasts for the search recipe's epochs.

    supernet_partial    K: operations see 1/K of the channels
    beginning           epochs in which the weights alone learn
    alpha_rate          learning rate of the architecture parameters, by Adam
    alpha_decay         their weight decay
    """
    from evonas.supernets.pc_darts import PCDARTS
    from evonas.supernets.search import SupernetSearch

    if supernet_partial < 1:
        raise UserError(f"supernet_partial is {supernet_partial}; use at least 1")
    supernet = supernet_of(supernet, 0, 0, partial=supernet_partial)
    return SupernetSearch(
        PCDARTS(supernet, rng=rng, beginning=beginning, learning_rate=alpha_rate, weight_decay=alpha_decay)
    )


def over_darts_cells(
    *,
    name: str,
    about: str,
    paper: str,
    search: Recipe,
    final: Recipe,
    space: Callable[..., Space] = DARTSSpace,
    size: Mapping[str, int] | None = None,
    published: Mapping[str, Any] | None = None,
    small: Mapping[str, Any] | None = None,
    digits: Mapping[str, Any] | None = None,
    epochs: int = 0,
    as_published: str = "as published; give half of the images to alpha (--validation 0.5)",
) -> System:
    """A system of the DARTS family, with presets for digits, for a small machine, and as it was published.

    search, final   as published
    space           (layers=, channels=, input_shape=) -> the space of its networks
    size            the supernet's as published; by default 8 cells of 16 channels
    published       further settings of the strategy as published
    small, digits   those that a search of a few epochs needs to be otherwise, and on digits again
    epochs          of such a search; 0: three tenths of the published ones
    as_published    what the published preset is
    """
    paper_size = {"supernet_layers": 8, "supernet_channels": 16} if size is None else size
    short = {"alpha_rate": 0.01} | dict(small or {})
    # DARTS 15 epochs; those that learn from one path, or sample, a step have more of them, as published
    shrunk = replace(
        search, epochs=epochs or search.epochs * 3 // 10, batch_size=64, learning_rate=min(search.learning_rate, 0.05),
        by_epoch=False,
    )  # fmt: skip
    return System(
        name=name,
        about=about,
        paper=paper,
        strategy=name,
        front=name,  # which refuses several objectives: a supernet is trained for one
        toolbox=uniform_toolbox,
        presets={
            "small": Preset(
                space(layers=5, channels=8),
                shrunk,
                SMALL_FINAL,
                short,
                about="five cells on pictures of 16x16 and more, on a small machine",
                adapts=True,
            ),
            "digits": Preset(
                space(layers=3, channels=8, input_shape=(1, 8, 8)),
                replace(shrunk, crop=1, flip=False),
                DIGITS_FINAL,
                short | dict(digits or {}),
                about="three cells on 8x8 pictures, in minutes",
                adapts=True,
            ),
            "cifar10": Preset(
                space(layers=20, channels=36),
                search,
                final,
                {**paper_size, **(published or {})},
                about=as_published,
            ),
        },
    )


DARTS = over_darts_cells(
    name="darts",
    about="cells of two nodes' sums, searched by the gradient of a softmax over the operations of each edge",
    paper="Liu, Simonyan and Yang 2019, DARTS: Differentiable Architecture Search, arXiv:1806.09055",
    search=RECIPES["darts-search"],
    final=RECIPES["darts"],
    published={"second_order": True},
)
SNAS = over_darts_cells(
    name="snas",
    about="cells with an operation or none on every edge, searched by the gradient of samples that become one-hot",
    paper="Xie, Zheng, Liu and Lin 2019, SNAS: Stochastic Neural Architecture Search, arXiv:1812.09926",
    search=RECIPES["snas-search"],
    final=RECIPES["darts"],
    space=partial(DARTSSpace, every=True),
)
GDAS = over_darts_cells(
    name="gdas",
    about="cells searched by the gradient of one operation an edge, drawn by Gumbel noise",
    paper="Dong and Yang 2019, Searching for a Robust Neural Architecture in Four GPU Hours, arXiv:1910.04465",
    search=RECIPES["gdas-search"],
    final=replace(RECIPES["darts"], weight_decay=5e-4, nesterov=True, by_epoch=False, clip_norm=0),
)
GDAS_NSAS = over_darts_cells(
    name="gdas-nsas",
    about="GDAS, whose weights also keep the losses of a few other cells low, so that they are not forgotten",
    paper="Zhang et al. 2020, Overcoming Multi-Model Forgetting in One-Shot NAS with Diversity Maximization, CVPR",
    search=RECIPES["nsas-search"],
    final=RECIPES["darts"],
    small={"constraints": 2},
)
PC_DARTS = over_darts_cells(
    name="pc-darts",
    about="cells searched as by DARTS on a part of the channels, with a weight for each edge",
    paper="Xu et al. 2020, PC-DARTS: Partial Channel Connections, arXiv:1907.05737",
    search=RECIPES["pc-darts-search"],
    final=RECIPES["pc-darts"],
    published={"alpha_rate": 6e-4},
    small={"beginning": 4},
)
