"""DAS as a system (Shin, Packer and Song 2018, ICLR workshop). Torch is loaded with its policy."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.das import DASSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, SMALL_FINAL
from evonas.space import Space
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch

RATE = 0.05  # of presets: their networks have no batch norm


def das(
    space: Space,
    *,
    rng: Random,
    rate: float = 0.2,
    sparsity: float = 0.01,
    simplex: bool = False,
    patterns: int = 0,
    eta: float = 0.0,
    threshold: float = 0.01,
) -> SupernetSearch:
    """DAS: filter sizes and input channels of a network are scaled by parameters, which learn with the weights and are
    drawn to 0. It lasts for the search recipe's epochs.

    rate       learning rate of the architecture parameters, as a share of that of the weights
    sparsity   weight of the L1 norm of alpha and beta in the loss, gamma
    simplex    beta is sparsemax of what is learnt
    patterns   of connectivity in each convolution, p; 0: no groups
    eta        weight of the mixed norms of P and S, which are those patterns, in the loss
    threshold  below which parameters are 0 in the end
    """
    from evonas.supernets.das import DAS
    from evonas.supernets.search import SupernetSearch

    return SupernetSearch(DAS(
        space.supernet, rng=rng, rate=rate, sparsity=sparsity, simplex=simplex, patterns=patterns, eta=eta,
        threshold=threshold,
    ))  # fmt: skip


DAS = System(
    name="das",
    about="filter sizes and input channels of a chain of convolutions, drawn to 0 by an L1 norm",
    paper="Shin, Packer and Song 2018, Differentiable Neural Network Architecture Search, ICLR workshop",
    presets={
        "small": Preset(
            DASSpace((32, 48, 64, 64, 64), strides=(1, 2, 2, 1, 1), hidden=(64,), input_shape=(3, 32, 32), outputs=10),
            replace(SMALL_FINAL, learning_rate=RATE),
            replace(SMALL_FINAL, learning_rate=RATE),
            about="five convolutions on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            DASSpace((16, 32, 32), (5, 5, 3), (1, 2, 1), (32,), input_shape=(1, 8, 8), outputs=10),
            replace(DIGITS_FINAL, learning_rate=RATE).lasting(20),
            replace(DIGITS_FINAL, learning_rate=RATE),
            strategy={"rate": 2.0, "sparsity": 0.015},  # its steps are few, and so are its layers
            about="three convolutions on 8x8 pictures, in seconds",
            adapts=True,
        ),
        "pilotnet": Preset(
            DASSpace(),
            replace(SMALL_FINAL, learning_rate=RATE, flip=False),
            replace(SMALL_FINAL, learning_rate=RATE, flip=False),
            about="the paper's base network, PilotNet, for frames of 66x200; the recipes are ours",
        ),
    },
    strategy="das",
    front="das",  # which refuses several objectives: a supernet is trained for one
    toolbox=uniform_toolbox,
)
