"""DPP-Net as a system (Dong et al. 2018, arXiv:1806.08198)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.dpp_net import DPPNetSpace
from evonas.individual import Toolbox
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.strategies.progressive import Progressive

REGRESSOR = {"kind": "rnn-norm", "width": 128, "bias": 2.0, "first_rate": 0.008, "learning_rate": 0.008}


def dpp_net(
    toolbox: Toolbox,
    *,
    rng: Random,
    members: int = 1,
    epochs: int = 60,
    beam: int = 128,
    smallest: int = 0,
    sizes: int = 0,
) -> Progressive:
    """A beam over cells that grow by a layer at a time, chosen by predicted accuracy and by what the networks cost.

    members    regressors, each of which learns from (members - 1) / members of the cells; 1: one on all
    epochs     of their training, at each size from scratch
    beam       K, cells of each size that are trained
    smallest   cells with two layers, drawn from all of them; 0: all
    sizes      layers of the last cells; 0: as many as the space has
    """
    from evonas.predictors.pnas import PNASEnsemble
    from evonas.strategies.choice import ParetoOptimal
    from evonas.strategies.progressive import Progressive

    seed = rng.getrandbits(62)

    def make() -> PNASEnsemble:
        return PNASEnsemble(toolbox.space, seed=seed, members=members, epochs=epochs, **REGRESSOR)  # type: ignore[arg-type]

    make()  # says what is wrong with a setting before anything is trained
    return Progressive(
        toolbox, make, rng=rng, beam=beam, smallest=smallest, sizes=sizes, choose=ParetoOptimal(toolbox.space)
    )


DPP_NET = System(
    name="dpp-net",
    about="cells that grow by a layer at a time; those of the front of predicted accuracy and cost are trained",
    paper="Dong et al. 2018, DPP-Net: Device-aware Progressive Search for Pareto-optimal Neural Architectures, "
    "arXiv:1806.08198",
    strategy="dpp-net",
    front="dpp-net",
    costs=("parameters", "multiply_adds", "latency"),
    toolbox=stepwise_toolbox,
    presets={
        "small": Preset(
            DPPNetSpace(cells=(2, 2, 2)),
            replace(SMALL_RECIPE, learning_rate=0.1, clip_norm=5),
            SMALL_FINAL,
            {"beam": 12},
            about="six cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            DPPNetSpace(cells=(2, 2), input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, learning_rate=0.2, clip_norm=5),  # 72 steps alone
            DIGITS_FINAL,
            {"beam": 12},
            about="four cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            DPPNetSpace(),
            RECIPES["dpp-net"],
            replace(RECIPES["dpp-net"], epochs=300),
            about="the paper's search: 128 cells of each size, 10 epochs each",
        ),
    },
)
