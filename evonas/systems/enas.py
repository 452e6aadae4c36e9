"""ENAS as a system (Pham et al. 2018, arXiv:1802.03268). Torch is loaded with its controller."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.enas import ENASMicroSpace
from evonas.genomes.enas_macro import ENASMacroSpace
from evonas.operators.by_decision import uniform_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL
from evonas.space import Space
from evonas.systems.setup import at_its_size
from evonas.systems.system import Preset, System

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@at_its_size
def enas(
    supernet: Space,
    *,
    rng: Random,
    steps: int = 30,
    samples: int = 10,
    controller_rate: float = 3.5e-3,
    decay: float = 0.99,
    entropy: float = 1e-4,
    candidates: int = 10,
    units: int = 64,
    temperature: float = 1.0,
    tanh: float = 1.1,
    operation_tanh: float = 0.44,
    skips: float = 0.4,
    skip_weight: float = 0.8,
) -> SupernetSearch:
    """ENAS: an LSTM learns by REINFORCE on the shared weights of a supernet. It lasts for the search recipe's epochs.

    steps               of the controller after each epoch
    samples             architectures to each of its steps
    controller_rate     its learning rate, by Adam
    decay               of the baseline
    entropy             its weight in the reward
    candidates          architectures that are drawn in the end
    units               of the LSTM
    temperature         of its scores
    tanh                bounds them
    operation_tanh      bounds those of operations
    skips               share of skip connections that is wanted
    skip_weight         weight of the distance from it
    """
    from evonas.supernets.enas import ENAS
    from evonas.supernets.search import SupernetSearch

    macro = isinstance(supernet, ENASMacroSpace)  # where the authors' code has another entropy and other statistics
    policy = ENAS(
        supernet, rng=rng, steps=steps, samples=samples, learning_rate=controller_rate, decay=decay, entropy=entropy,
        chosen_entropy=macro, candidates=candidates, skips=skips, skip_weight=skip_weight,
        controller={"units": units, "temperature": temperature, "tanh": {"": tanh, "operation": operation_tanh}},
    )  # fmt: skip
    return SupernetSearch(policy, statistics="running" if macro else "batch")


_QUICK = {"steps": 20, "samples": 5, "controller_rate": 5e-3, "decay": 0.95}
_MICRO = {"supernet_layers": 6, "supernet_channels": 20}
_MACRO = {"steps": 50, "samples": 20, "controller_rate": 1e-3, "tanh": 1.5, "operation_tanh": 1.5,
          "supernet_channels": 36}  # fmt: skip
# the authors' search has 12 layers, their final network 24 by hand-made repetition
_SEARCH = replace(RECIPES["enas-search"], epochs=30, batch_size=64, by_epoch=False)

ENAS = System(
    name="enas",
    about="cells, or whole networks with skips, written by an LSTM that learns on shared weights",
    paper="Pham et al. 2018, Efficient Neural Architecture Search via Parameter Sharing, arXiv:1802.03268",
    presets={
        "small": Preset(
            ENASMicroSpace(layers=3, channels=12),
            _SEARCH,
            SMALL_FINAL,
            _QUICK,
            about="cells; five of them on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "digits": Preset(
            ENASMicroSpace(layers=1, channels=8, nodes=3, input_shape=(1, 8, 8)),
            replace(_SEARCH, crop=1, flip=False),
            DIGITS_FINAL,
            _QUICK,
            about="cells; three of them on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "digits-macro": Preset(
            ENASMacroSpace(layers=6, channels=12, input_shape=(1, 8, 8)),
            replace(_SEARCH, crop=1, flip=False),
            DIGITS_FINAL,
            _QUICK | {"tanh": 1.5, "operation_tanh": 1.5},
            about="whole networks of six layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "cifar10": Preset(
            ENASMicroSpace(layers=15, channels=36),
            RECIPES["enas-search"],
            RECIPES["enas-micro"],
            _MICRO,
            about="cells, as published code has them; a tenth of the images for the controller (--validation 0.1)",
        ),
        "cifar10-macro": Preset(
            ENASMacroSpace(layers=12, channels=96),
            replace(RECIPES["enas-search"], epochs=310, batch_size=128, weight_decay=5e-4),
            RECIPES["enas-macro"],
            _MACRO,
            about="whole networks of twelve layers, as published code searches them (--validation 0.1)",
        ),
    },
    strategy="enas",
    front="enas",  # which refuses several objectives: a supernet is trained for one
    toolbox=uniform_toolbox,
)
