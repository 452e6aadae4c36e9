"""ENAS as a system (Pham et al. 2018, arXiv:1802.03268). Torch is loaded with its controller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from deap import base

from evonas.errors import UserError
from evonas.genomes.enas import ENASMicroSpace
from evonas.genomes.enas_macro import ENASMacroSpace
from evonas.recipe import RECIPES
from evonas.systems import Setup, System, toolboxes
from evonas.systems.gradients import SupernetSettings

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@dataclass(frozen=True, kw_only=True)
class ENASSettings(SupernetSettings):
    """And the controller makes `steps` of so many samples after each epoch. controller_rate is Adam's; decay of the
    baseline; entropy_weight in the reward; candidates that are drawn in the end; units of the LSTM; temperature, and
    tanh and operation_tanh, which bound its scores; skips that are wanted, with their weight."""

    steps: int = 30
    samples: int = 10
    controller_rate: float = 3.5e-3
    decay: float = 0.99
    entropy_weight: float = 1e-4
    candidates: int = 10
    units: int = 64
    temperature: float = 1.0
    tanh: float = 1.1
    operation_tanh: float = 0.44
    skips: float = 0.4
    skip_weight: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.entropy_weight, self.skip_weight) < 0:
            raise UserError("entropy_weight and skip_weight are at least 0")
        if min(self.steps, self.samples, self.candidates, self.units) < 1:
            raise UserError("steps, samples, candidates and units are at least 1")
        if min(self.controller_rate, self.temperature, self.tanh, self.operation_tanh) <= 0:
            raise UserError("controller_rate, temperature, tanh and operation_tanh are more than 0")
        if not 0 <= self.decay < 1 or not 0 < self.skips < 1:
            raise UserError(f"decay is {self.decay} and skips {self.skips}; use 0 to below 1, and between 0 and 1")


def _strategy(toolbox: base.Toolbox, settings: ENASSettings, rng: Random) -> SupernetSearch:
    from evonas.supernets.enas import ENAS
    from evonas.supernets.search import SupernetSearch

    space = settings.supernet(toolbox.space)
    policy = ENAS(
        space, rng=rng, steps=settings.steps, samples=settings.samples, learning_rate=settings.controller_rate,
        decay=settings.decay, entropy=settings.entropy_weight, candidates=settings.candidates, skips=settings.skips,
        skip_weight=settings.skip_weight,
        controller={
            "units": settings.units, "temperature": settings.temperature,
            "tanh": {"": settings.tanh, "operation": settings.operation_tanh},
        },
    )  # fmt: skip
    macro = isinstance(space, ENASMacroSpace)  # there the authors judge by running statistics
    return SupernetSearch(policy, statistics="running" if macro else "batch")


_QUICK = ENASSettings(steps=20, samples=5, controller_rate=5e-3, decay=0.95)
_MICRO = ENASSettings(supernet_layers=6, supernet_channels=20)
_MACRO = ENASSettings(
    steps=50, samples=20, controller_rate=1e-3, tanh=1.5, operation_tanh=1.5, supernet_channels=36
)  # the authors' search has 12 layers, their final network 24 by hand-made repetition
_SEARCH = replace(RECIPES["enas-search"], epochs=30, batch_size=64, cycle=10)
_SHORT = replace(RECIPES["enas-micro"], batch_size=64, cycle=0, drop_path=0.0, auxiliary=0.0)

ENAS = System(
    name="enas",
    about="cells, or whole networks with skips, written by an LSTM that learns on shared weights",
    paper="Pham et al. 2018, Efficient Neural Architecture Search via Parameter Sharing, arXiv:1802.03268",
    presets={
        "small": Setup(
            ENASMicroSpace(layers=3, channels=12),
            _QUICK,
            _SEARCH,
            replace(_SHORT, epochs=20),
            about="cells; five of them on pictures of 16x16 and more, on a small machine",
        ),
        "digits": Setup(
            ENASMicroSpace(layers=1, channels=8, nodes=3, input_shape=(1, 8, 8)),
            _QUICK,
            replace(_SEARCH, crop=1, flip=False),
            replace(_SHORT, epochs=40, crop=1, flip=False),
            about="cells; three of them on 8x8 pictures, in minutes",
        ),
        "digits-macro": Setup(
            ENASMacroSpace(layers=6, channels=12, input_shape=(1, 8, 8)),
            replace(_QUICK, tanh=1.5, operation_tanh=1.5),
            replace(_SEARCH, crop=1, flip=False),
            replace(_SHORT, epochs=40, crop=1, flip=False),
            about="whole networks of six layers on 8x8 pictures, in minutes",
        ),
        "cifar10": Setup(
            ENASMicroSpace(layers=15, channels=36),
            _MICRO,
            RECIPES["enas-search"],
            RECIPES["enas-micro"],
            about="cells, as published code has them; a tenth of the images for the controller (--validation 0.1)",
        ),
        "cifar10-macro": Setup(
            ENASMacroSpace(layers=12, channels=96),
            _MACRO,
            replace(RECIPES["enas-search"], epochs=310, batch_size=128, weight_decay=5e-4),
            RECIPES["enas-macro"],
            about="whole networks of twelve layers, as published code searches them (--validation 0.1)",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=toolboxes.uniform,
    strategy=_strategy,
    trains=True,
)
