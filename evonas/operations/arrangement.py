"""Operations that move the values of an image about: they take some, put zeros beside them, or repeat them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evonas.operations.layers import Own, as_text, of_image
from evonas.operations.operation import Shape


@dataclass(frozen=True)
class Crop(Own):
    """Without the first rows and columns: the shifted half of a factorized reduction."""

    name = "crop"
    view = True
    pure = True
    rows: int = 1
    columns: int = 1

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = of_image(self, shape)
        if height <= self.rows or width <= self.columns:
            raise ValueError(f"{self} leaves nothing of {as_text(shape[1:])}")
        return (channels, height - self.rows, width - self.columns)

    def __str__(self) -> str:
        return f"crop {self.rows},{self.columns}"


@dataclass(frozen=True)
class _SomeChannels(Own):
    pure = True
    view = True
    which: ClassVar[str]
    channels: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = of_image(self, shape)
        if not 1 <= self.channels <= channels:
            raise ValueError(f"{self} cannot be taken from {channels}")
        return (self.channels, height, width)

    def __str__(self) -> str:
        return f"{self.which} {self.channels} channels"


@dataclass(frozen=True)
class FirstChannels(_SomeChannels):
    """The first channels of an image, as many as are asked for."""

    name = "first_channels"
    which = "first"


@dataclass(frozen=True)
class LastChannels(_SomeChannels):
    """The last channels of an image, as many as are asked for."""

    name = "last_channels"
    which = "last"


@dataclass(frozen=True)
class ShuffleChannels(Own):
    """Channels in another order: the first of each of so many equal groups, then the second of each, and so on."""

    name = "shuffle_channels"
    groups: int

    def shape(self, shape: Shape) -> Shape:
        channels = of_image(self, shape)[0]
        if self.groups < 1 or channels % self.groups:
            raise ValueError(f"{channels} channels do not divide into {self.groups} groups")
        return shape

    def __str__(self) -> str:
        return f"shuffle channels of {self.groups} groups"


@dataclass(frozen=True)
class PadChannels(Own):
    """More channels, of zeros, behind those of an image: as many in all as are asked for."""

    name = "pad_channels"
    pure = True
    channels: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = of_image(self, shape)
        if self.channels < channels:
            raise ValueError(f"{self} cannot hold {channels}")
        return (self.channels, height, width)

    def __str__(self) -> str:
        return f"zeros up to {self.channels} channels"


@dataclass(frozen=True)
class PadSize(Own):
    """Zeros around an image, up to this size; the odd row or column comes below or to the right."""

    name = "pad_size"
    pure = True
    height: int
    width: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = of_image(self, shape)
        if self.height < height or self.width < width:
            raise ValueError(f"{self} cannot hold {height}x{width}")
        return (channels, self.height, self.width)

    def __str__(self) -> str:
        return f"zeros up to {self.height}x{self.width}"


@dataclass(frozen=True)
class Resize(Own):
    """Another size by zeroth-order interpolation: each pixel is the nearest one above and to the left."""

    name = "resize"
    pure = True
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"resize to {self.height}x{self.width}: sides are at least 1")

    def shape(self, shape: Shape) -> Shape:
        return (of_image(self, shape)[0], self.height, self.width)

    def __str__(self) -> str:
        return f"resize {self.height}x{self.width}"
