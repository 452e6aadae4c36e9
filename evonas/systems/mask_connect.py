"""MaskConnect as a system (Ahmed and Torresani 2018, ECCV). Torch is loaded with its policy."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, SMALL_FINAL
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


def mask_connect(space: Space, *, rng: Random, rate: float = 0.1) -> SupernetSearch:
    """MaskConnect: the gradient of a binary mask, drawn from a real one, teaches that one which modules are read. It
    lasts for the search recipe's epochs.

    rate   learning rate of the real masks
    """
    from evonas.supernets.mask_connect import MaskConnect
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(MaskConnect(space.supernet, rng=rng, rate=rate))


MASK_CONNECT = System(
    name="mask-connect",
    about="which modules of a residual network read which, learned by the gradients of masks",
    paper="Ahmed and Torresani 2018, MaskConnect: Connectivity Learning by Gradient Descent, arXiv:1807.11473",
    presets={
        "small": Preset(
            MaskConnectSpace(modules=4, fan_in=4),
            SMALL_FINAL.lasting(20),
            SMALL_FINAL,
            about="twelve modules on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            MaskConnectSpace(modules=3, fan_in=3, input_shape=(1, 8, 8)),
            DIGITS_FINAL.lasting(20),
            DIGITS_FINAL,
            about="nine modules on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "resnet38": Preset(
            MaskConnectSpace(outputs=100),
            SMALL_FINAL.lasting(200),
            SMALL_FINAL.lasting(200),
            about="the paper's network for CIFAR-100, 18 modules that read ten each; the recipes are ours",
        ),
        "resnext29": Preset(
            MaskConnectSpace(widths=(64, 128, 256), modules=3, fan_in=4, cardinality=8, inner=8, outputs=100),
            SMALL_FINAL.lasting(200),
            SMALL_FINAL.lasting(200),
            about="the paper's network of 8 branches for CIFAR-100, which read four each; the recipes are ours",
        ),
    },
    strategy="mask-connect",
    front="mask-connect",  # which refuses several objectives: a supernet is trained for one
    toolbox=uniform_toolbox,
)
