"""One-Shot as a system (Bender et al. 2018, ICML). Torch is loaded with its policy."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.one_shot import OneShotSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.path_dropout import PathDropout


def path_dropout(
    space: Space, *, rng: Random, dropped: float = 0.1, ghost: int = 32, statistics: str = "batch"
) -> PathDropout:
    """Path dropout: the whole supernet is trained, without paths that are dropped at random.

    dropped      probability that all paths into an operation are dropped, at the last step; 0 at the first
    ghost        images that have a draw, and batch norm statistics, of their own
    statistics   of batch norm by which routes are judged later: of the batch, recalibrated for each, or the running
                 ones of all routes
    """
    from evonas.supernets.path_dropout import PathDropout

    return PathDropout(space, rng=rng, dropped=dropped, ghost=ghost, statistics=statistics)


_SEARCH = replace(RECIPES["one-shot-search"], epochs=30, batch_size=64)

ONE_SHOT = System(
    name="one-shot",
    about="cells of choice blocks, drawn at random and judged by a supernet that was trained with path dropout",
    paper="Bender et al. 2018, Understanding and Simplifying One-Shot Architecture Search, ICML",
    presets={
        "small": Preset(
            OneShotSpace(cells=3, channels=16),
            _SEARCH,
            SMALL_FINAL,
            {"evaluations": 500},
            supernet={"supernet_channels": 8},
            about="three cells on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            OneShotSpace(cells=3, channels=8, input_shape=(1, 8, 8)),
            replace(_SEARCH, crop=1, flip=False),
            DIGITS_FINAL,
            {"evaluations": 200},
            about="three cells on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            OneShotSpace(cells=6, channels=64),
            RECIPES["one-shot-search"],
            RECIPES["one-shot"],
            about="as published: 20,000 genomes, judged on a tenth of the training images (--validation 0.1)",
            supernet={"dropped": 0.1, "ghost": 32, "supernet_channels": 16},
        ),
    },
    strategy="sampling",
    toolbox=uniform_toolbox,
    baseline=None,  # it is random search itself: what it has to beat is the network by hand
    supernet="path-dropout",
)
