"""What the systems that train a supernet of DARTS cells share: settings and presets. Torch is loaded with a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from deap import base

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.recipe import Recipe
from evonas.systems import Setup, System, toolboxes

if TYPE_CHECKING:
    from evonas.supernets.search import SupernetSearch


@dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """The search lasts for the epochs of the search recipe. supernet_layers and supernet_channels (0: those of the
    networks) are its size."""

    evaluations: ClassVar[None] = None  # one an epoch
    supernet_layers: int = 0
    supernet_channels: int = 0

    def __post_init__(self) -> None:
        if min(self.supernet_layers, self.supernet_channels) < 0:
            raise UserError("supernet_layers and supernet_channels are at least 0")

    def supernet(self, space: Any, **form: Any) -> Any:
        """The space in the form of a supernet, at the size that is to be searched."""
        layers, channels = self.supernet_layers or space.layers, self.supernet_channels or space.channels
        return replace(space.supernet, layers=layers, channels=channels, **form)


@dataclass(frozen=True, kw_only=True)
class GradientSettings(SupernetSettings):
    """And alpha_rate and alpha_decay, Adam's."""

    alpha_rate: float = 3e-4
    alpha_decay: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha_decay < 0 or self.alpha_rate <= 0:
            raise UserError("alpha_decay is at least 0, alpha_rate more than 0")

    @property
    def alphas(self) -> dict[str, float]:
        return {"learning_rate": self.alpha_rate, "weight_decay": self.alpha_decay}


def over_darts_cells(
    *,
    name: str,
    about: str,
    paper: str,
    strategy: Callable[[base.Toolbox, Any, Random], SupernetSearch],
    settings: GradientSettings,
    search: Recipe,
    final: Recipe,
    every: bool = False,
    small: Mapping[str, Any] | None = None,
) -> System:
    """A system of the DARTS family, with presets for digits, for a small machine, and as it was published.

    settings, search, final   as published
    every                     each edge is a choice of its own
    small                     settings that a search of a few epochs needs to be otherwise
    """
    short = replace(settings, supernet_layers=0, supernet_channels=0, **{"alpha_rate": 0.01} | dict(small or {}))
    shrunk = replace(
        search, epochs=search.epochs * 3 // 10, batch_size=64, learning_rate=min(search.learning_rate, 0.05)
    )  # DARTS 15 epochs; those that learn from one path, or sample, a step have more of them, as published
    trained = replace(final, batch_size=64, learning_rate=0.05, cutout=0, drop_path=0.0, auxiliary=0.0)
    return System(
        name=name,
        about=about,
        paper=paper,
        presets={
            "small": Setup(
                DARTSSpace(layers=5, channels=8, every=every),
                short,
                shrunk,
                replace(trained, epochs=20),
                about="five cells on pictures of 16x16 and more, on a small machine",
            ),
            "digits": Setup(
                DARTSSpace(layers=3, channels=8, every=every, input_shape=(1, 8, 8)),
                short,
                replace(shrunk, crop=1, flip=False),
                replace(trained, epochs=40, crop=1, flip=False),
                about="three cells on 8x8 pictures, in minutes",
            ),
            "cifar10": Setup(
                DARTSSpace(layers=20, channels=36, every=every),
                settings,
                search,
                final,
                about="as published; give half of the images to alpha (--validation 0.5)",
            ),
        },
        preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
        toolbox=toolboxes.uniform,
        strategy=strategy,
        trains=True,
    )


PAPER_SIZE = {"supernet_layers": 8, "supernet_channels": 16}
