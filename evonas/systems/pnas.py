"""PNAS as a system (Liu et al. 2018, arXiv:1712.00559)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.pnas import PNASSpace
from evonas.individual import Toolbox
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.strategies.progressive import Progressive

PREDICTORS = ("mlp", "rnn")


def pnas(
    toolbox: Toolbox,
    *,
    rng: Random,
    predictor: str = "mlp",
    members: int = 5,
    epochs: int = 60,
    beam: int = 256,
    smallest: int = 0,
    sizes: int = 0,
) -> Progressive:
    """A beam over cells that grow by a block at a time, chosen by an ensemble that learns from all cells so far.

    predictor  mlp or rnn
    members    of the ensemble, each of which learns from (members - 1) / members of the cells
    epochs     of its training, at each size from scratch
    beam       K, cells of each size that are trained
    smallest   cells with one block, drawn from all of them; 0: all
    sizes      blocks of the last cells; 0: as many as the space has
    """
    from evonas.predictors.pnas import PNASEnsemble
    from evonas.strategies.progressive import Progressive

    if predictor not in PREDICTORS:
        raise UserError(f"predictor is {predictor!r}; use {', '.join(PREDICTORS)}")
    seed = rng.getrandbits(62)

    def make() -> PNASEnsemble:
        return PNASEnsemble(toolbox.space, seed=seed, kind=predictor, members=members, epochs=epochs)

    make()  # says what is wrong with a setting before anything is trained
    return Progressive(toolbox, make, rng=rng, beam=beam, smallest=smallest, sizes=sizes)


_DIGITS, _SMALL = replace(DIGITS_RECIPE, clip_norm=5), replace(SMALL_RECIPE, clip_norm=5)

PNAS = System(
    name="pnas",
    about="cells that grow by a block at a time; a predictor chooses those that are trained",
    paper="Liu et al. 2018, Progressive Neural Architecture Search, arXiv:1712.00559",
    strategy="pnas",
    toolbox=stepwise_toolbox,
    presets={
        "small": Preset(
            PNASSpace(normals=1, channels=8, blocks=4),
            _SMALL,
            SMALL_FINAL,
            {"smallest": 24, "beam": 12},
            about="cells of up to four blocks on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            PNASSpace(normals=1, channels=8, blocks=4, input_shape=(1, 8, 8)),
            _DIGITS,
            DIGITS_FINAL,
            {"smallest": 24, "beam": 8},
            about="cells of up to four blocks on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            PNASSpace(normals=2, channels=24),
            replace(RECIPES["nasnet"], learning_rate=0.01),
            replace(RECIPES["amoebanet"], batch_size=32, learning_rate=0.025, drop_path=0.4, auxiliary=0.4),
            about="the paper's search: 136 cells of one block and 256 of each larger size, 20 epochs each",
        ),
    },
)
