"""The operations of a graph: what each does to shapes, and what it costs. No tensors here: `network.py` makes modules.

A shape is that of one image, without the batch: (channels, height, width), or (features,) once flattened.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, ClassVar

Shape = tuple[int, ...]
Sides = int | tuple[int, int]  # of both sides, or (height, width)


@dataclass(frozen=True)
class Operation:
    """One step of a node. `name` is what its module is called below the node, and its kind in JSON."""

    name: ClassVar[str]
    keeps_zero: ClassVar[bool] = True  # a zero input gives a zero output, whatever the weights
    pure: ClassVar[bool] = False  # its output hangs on its input alone: no weights, no statistics, no chance

    def shape(self, shape: Shape) -> Shape:
        """The shape of the output. Raises ValueError, saying why, where the input does not fit."""
        return shape

    def parameters(self, shape: Shape) -> int:
        """The number of weights, for an input of this shape."""
        return 0

    def multiply_adds(self, shape: Shape) -> int:
        """Of convolutions and linear layers, for one image of this shape."""
        return 0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Convolution(Operation):
    """2-d convolution. Kernel, stride and padding are one number, or (height, width); padding None keeps the size at
    stride 1."""

    name = "conv"
    channels: int
    kernel: Sides = 3
    stride: Sides = 1
    padding: Sides | None = None
    dilation: int = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "padding"):
            if not isinstance(given := getattr(self, name), int | None):  # equal sides have one form, which JSON keeps
                object.__setattr__(self, name, given[0] if given[0] == given[1] else tuple(given))
        if min(self.channels, *sides(self.kernel), *sides(self.stride), self.dilation, self.groups) < 1:
            raise ValueError(f"{self!r}: channels, kernel, stride, dilation and groups are at least 1")
        if self.padding is None:
            if any(side % 2 == 0 for side in sides(self.kernel)):
                raise ValueError(f"kernel {self.kernel} is even; use an odd one such as 3 or 5, or say the padding")
            object.__setattr__(self, "padding", self._same)

    @property
    def _same(self) -> Sides:
        """The padding that keeps the size at stride 1."""
        high, wide = (self.dilation * (side - 1) // 2 for side in sides(self.kernel))
        return high if high == wide else (high, wide)

    @property
    def keeps_zero(self) -> bool:  # type: ignore[override]
        return not self.bias

    def shape(self, shape: Shape) -> Shape:
        channels, *size = _image(self, shape)
        if channels % self.groups or self.channels % self.groups:
            raise ValueError(f"{channels} -> {self.channels} channels do not divide into {self.groups} groups")
        reach = tuple(self.dilation * (side - 1) + 1 for side in sides(self.kernel))
        return (self.channels, *_slide(self, size, reach, self.stride, self.padding or 0))

    def parameters(self, shape: Shape) -> int:
        weights = shape[0] // self.groups * self.channels * prod(sides(self.kernel))
        return weights + self.channels * self.bias

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] // self.groups * prod(sides(self.kernel)) * prod(self.shape(shape))

    def __str__(self) -> str:
        stride = self.stride if isinstance(self.stride, int) else _text(self.stride)
        padding = self.padding if isinstance(self.padding, int) else _text(self.padding)
        extras = [f"stride {stride}"] * (self.stride != 1) + [f"dilation {self.dilation}"] * (self.dilation != 1)
        extras += [f"{self.groups} groups"] * (self.groups != 1) + ["bias"] * self.bias
        extras += [f"padding {padding}"] * (self.padding != self._same)
        return " ".join([f"conv {self.channels} {_text(sides(self.kernel))}", *extras])


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Batch normalisation over channels, with a learned scale and shift where `affine`."""

    name = "batch_norm"
    affine: bool = True

    @property
    def keeps_zero(self) -> bool:  # type: ignore[override]
        return not self.affine  # the shift is learned

    def parameters(self, shape: Shape) -> int:
        return 2 * shape[0] * self.affine


@dataclass(frozen=True)
class ReLU(Operation):
    name = "relu"
    pure = True


@dataclass(frozen=True)
class _Pool(Operation):
    pure = True
    kernel: int = 2
    stride: int = 2
    padding: int = 0

    def shape(self, shape: Shape) -> Shape:
        channels, *size = _image(self, shape)
        return (channels, *_slide(self, size, (self.kernel, self.kernel), self.stride, self.padding))

    def __str__(self) -> str:
        return f"{self.name} {self.kernel}x{self.kernel} stride {self.stride}"


@dataclass(frozen=True)
class MaxPool(_Pool):
    name = "max_pool"


@dataclass(frozen=True)
class AveragePool(_Pool):
    """Average pooling; padding does not count in the mean."""

    name = "avg_pool"


@dataclass(frozen=True)
class GlobalAveragePool(Operation):
    """The mean of each channel: (C, H, W) -> (C,)."""

    name = "global_avg_pool"

    def shape(self, shape: Shape) -> Shape:
        return (_image(self, shape)[0],)


@dataclass(frozen=True)
class Flatten(Operation):
    name = "flatten"

    def shape(self, shape: Shape) -> Shape:
        return (prod(shape),)


@dataclass(frozen=True)
class Linear(Operation):
    name = "linear"
    features: int
    bias: bool = True

    @property
    def keeps_zero(self) -> bool:  # type: ignore[override]
        return not self.bias

    def shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"linear takes features, not an image of shape {_text(shape)}; flatten or pool it first")
        return (self.features,)

    def parameters(self, shape: Shape) -> int:
        return (shape[0] + self.bias) * self.features

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.features

    def __str__(self) -> str:
        return f"linear {self.features}"


@dataclass(frozen=True)
class Dropout(Operation):
    name = "dropout"
    rate: float = 0.5

    def __str__(self) -> str:
        return f"dropout {self.rate}"


@dataclass(frozen=True)
class DropPath(Operation):
    """In training, the whole of an image's input to 0 with a probability that the recipe raises step by step, and the
    others scaled up (Larsson et al. 2017; Zoph et al. 2018, ScheduledDropPath). Otherwise nothing.

    share   of the recipe's rate that holds here
    """

    name = "drop_path"
    share: float = 1.0

    def __str__(self) -> str:
        return "drop path" if self.share == 1 else f"drop path {self.share:.2f}"


@dataclass(frozen=True)
class Identity(Operation):
    name = "identity"


@dataclass(frozen=True)
class Zero(Operation):
    """Nothing at all: zeros, of the size that a stride leaves (the `none` of cell spaces)."""

    name = "zero"
    stride: int = 1

    def shape(self, shape: Shape) -> Shape:
        if self.stride == 1:
            return shape
        channels, *size = _image(self, shape)
        return (channels, *(-(-side // self.stride) for side in size))


@dataclass(frozen=True)
class Crop(Operation):
    """Without the first rows and columns: the shifted half of a factorized reduction."""

    name = "crop"
    pure = True
    rows: int = 1
    columns: int = 1

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = _image(self, shape)
        if height <= self.rows or width <= self.columns:
            raise ValueError(f"{self} leaves nothing of {_text(shape[1:])}")
        return (channels, height - self.rows, width - self.columns)

    def __str__(self) -> str:
        return f"crop {self.rows},{self.columns}"


@dataclass(frozen=True)
class _SomeChannels(Operation):
    pure = True
    which: ClassVar[str]
    channels: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = _image(self, shape)
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
class ShuffleChannels(Operation):
    """Channels in another order: the first of each of so many equal groups, then the second of each, and so on."""

    name = "shuffle_channels"
    groups: int

    def shape(self, shape: Shape) -> Shape:
        channels = _image(self, shape)[0]
        if self.groups < 1 or channels % self.groups:
            raise ValueError(f"{channels} channels do not divide into {self.groups} groups")
        return shape

    def __str__(self) -> str:
        return f"shuffle channels of {self.groups} groups"


@dataclass(frozen=True)
class PadChannels(Operation):
    """More channels, of zeros, behind those of an image: as many in all as are asked for."""

    name = "pad_channels"
    pure = True
    channels: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = _image(self, shape)
        if self.channels < channels:
            raise ValueError(f"{self} cannot hold {channels}")
        return (self.channels, height, width)

    def __str__(self) -> str:
        return f"zeros up to {self.channels} channels"


@dataclass(frozen=True)
class PadSize(Operation):
    """Zeros around an image, up to this size; the odd row or column comes below or to the right."""

    name = "pad_size"
    pure = True
    height: int
    width: int

    def shape(self, shape: Shape) -> Shape:
        channels, height, width = _image(self, shape)
        if self.height < height or self.width < width:
            raise ValueError(f"{self} cannot hold {height}x{width}")
        return (channels, self.height, self.width)

    def __str__(self) -> str:
        return f"zeros up to {self.height}x{self.width}"


@dataclass(frozen=True)
class SqueezeExcite(Operation):
    """Each channel times a number between 0 and 1 that two linear layers, by way of so many units, make of the means of
    all channels (Hu et al. 2018, arXiv:1709.01507)."""

    name = "squeeze_excite"
    units: int

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"{self!r}: units is at least 1")

    def shape(self, shape: Shape) -> Shape:
        return _image(self, shape)

    def parameters(self, shape: Shape) -> int:
        return 2 * shape[0] * self.units + self.units + shape[0]

    def multiply_adds(self, shape: Shape) -> int:
        return 2 * shape[0] * self.units

    def __str__(self) -> str:
        return f"squeeze and excite by {self.units}"


@dataclass(frozen=True)
class Resize(Operation):
    """Another size by zeroth-order interpolation: each pixel is the nearest one above and to the left."""

    name = "resize"
    pure = True
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ValueError(f"resize to {self.height}x{self.width}: sides are at least 1")

    def shape(self, shape: Shape) -> Shape:
        return (_image(self, shape)[0], self.height, self.width)

    def __str__(self) -> str:
        return f"resize {self.height}x{self.width}"


OPERATIONS: dict[str, type[Operation]] = {
    kind.name: kind
    for kind in (
        Convolution, BatchNorm, ReLU, MaxPool, AveragePool, GlobalAveragePool, Flatten, Linear, Dropout, DropPath,
        Identity, Zero, Crop, FirstChannels, LastChannels, ShuffleChannels, PadChannels,
        PadSize, SqueezeExcite, Resize,
    )
}  # fmt: skip


def to_json(operation: Operation) -> dict[str, Any]:
    """An operation as plain JSON: its kind and its fields."""
    return {"kind": operation.name, **asdict(operation)}


def from_json(data: dict[str, Any]) -> Operation:
    """The inverse of `to_json`. Raises ValueError for an unknown kind or field."""
    kind = OPERATIONS.get(data.get("kind", ""))
    known = {"kind"} | {field.name for field in fields(kind)} if kind else {"kind"}
    if kind is None or set(data) - known:
        raise ValueError(f"{data} is no operation; kinds are {', '.join(OPERATIONS)}, fields those of the class")
    return kind(**{key: item for key, item in data.items() if key != "kind"})


def _image(operation: Operation, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"{operation.name} takes an image (channels, height, width), not the shape {_text(shape)}")
    return shape


def _slide(operation: Operation, size: list[int], reach: tuple[int, ...], stride: Sides, padding: Sides) -> Shape:
    room = [side + 2 * pad - span for side, pad, span in zip(size, sides(padding), reach, strict=True)]
    if min(room) < 0:
        raise ValueError(f"{operation} does not fit into {_text(size)}; use larger images or fewer strides before it")
    return tuple(left // step + 1 for left, step in zip(room, sides(stride), strict=True))


def sides(value: Sides) -> tuple[int, int]:
    """(height, width)."""
    return (value, value) if isinstance(value, int) else value


def _text(shape: Any) -> str:
    return "x".join(map(str, shape))
