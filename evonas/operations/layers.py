"""evonas's own operations. No tensors here: `evonas.modules` has the module of each."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from evonas.operations.operation import Kept, Operation, Shape
from evonas.support.call import Call

Sides = int | tuple[int, int]  # of both sides, or (height, width)


class Own(Operation):
    """Without weights, where a class does not say otherwise; zeros stay zeros, and no gradient needs anything."""

    keeps: ClassVar[Kept] = "nothing"
    keeps_zero = True

    def module(self, shape: Shape) -> Call:
        from evonas.modules import MODULES  # torch is loaded only where a module is wanted

        kinds = (vars(kind).get("name", "") for kind in type(self).__mro__)
        return next(MODULES[name] for name in kinds if name in MODULES)(self, shape)

    def parameters(self, shape: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Convolution(Own):
    """2-d convolution. Kernel, stride and padding are one number, or (height, width); padding None keeps the size at
    stride 1."""

    name = "conv"
    keeps = "input"
    overwritable = True
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
        channels, *size = of_image(self, shape)
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
        stride = self.stride if isinstance(self.stride, int) else as_text(self.stride)
        padding = self.padding if isinstance(self.padding, int) else as_text(self.padding)
        extras = [f"stride {stride}"] * (self.stride != 1) + [f"dilation {self.dilation}"] * (self.dilation != 1)
        extras += [f"{self.groups} groups"] * (self.groups != 1) + ["bias"] * self.bias
        extras += [f"padding {padding}"] * (self.padding != self._same)
        return " ".join([f"conv {self.channels} {as_text(sides(self.kernel))}", *extras])


@dataclass(frozen=True)
class BatchNorm(Own):
    """Batch normalisation over channels, with a learned scale and shift where `affine`."""

    name = "batch_norm"
    keeps = "input"
    overwritable = True
    affine: bool = True

    @property
    def keeps_zero(self) -> bool:  # type: ignore[override]
        return not self.affine  # the shift is learned

    def parameters(self, shape: Shape) -> int:
        return 2 * shape[0] * self.affine


@dataclass(frozen=True)
class ReLU(Own):
    name = "relu"
    keeps = "output"
    overwrites = True
    pure = True


@dataclass(frozen=True)
class _Pool(Own):
    pure = True
    keeps = "input"
    kernel: int = 2
    stride: int = 2
    padding: int = 0

    def shape(self, shape: Shape) -> Shape:
        channels, *size = of_image(self, shape)
        return (channels, *_slide(self, size, (self.kernel, self.kernel), self.stride, self.padding))

    def __str__(self) -> str:
        return f"{self.name} {self.kernel}x{self.kernel} stride {self.stride}"


@dataclass(frozen=True)
class MaxPool(_Pool):
    name = "max_pool"
    keeps_besides = 8  # the place of each maximum


@dataclass(frozen=True)
class AveragePool(_Pool):
    """Average pooling; padding does not count in the mean."""

    name = "avg_pool"


@dataclass(frozen=True)
class GlobalAveragePool(Own):
    """The mean of each channel: (C, H, W) -> (C,)."""

    name = "global_avg_pool"

    def shape(self, shape: Shape) -> Shape:
        return (of_image(self, shape)[0],)


@dataclass(frozen=True)
class Flatten(Own):
    name = "flatten"
    view = True

    def shape(self, shape: Shape) -> Shape:
        return (prod(shape),)


@dataclass(frozen=True)
class Linear(Own):
    name = "linear"
    keeps = "input"
    features: int
    bias: bool = True

    @property
    def keeps_zero(self) -> bool:  # type: ignore[override]
        return not self.bias

    def shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"linear takes features, not an image of shape {as_text(shape)}; flatten or pool it first")
        return (self.features,)

    def parameters(self, shape: Shape) -> int:
        return (shape[0] + self.bias) * self.features

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.features

    def __str__(self) -> str:
        return f"linear {self.features}"


@dataclass(frozen=True)
class Dropout(Own):
    name = "dropout"
    rate: float = 0.5

    def __str__(self) -> str:
        return f"dropout {self.rate}"


@dataclass(frozen=True)
class DropPath(Own):
    """In training, the whole of an image's input to 0 with a probability that the recipe raises step by step, and the
    others scaled up (Larsson et al. 2017; Zoph et al. 2018, ScheduledDropPath). Otherwise nothing.

    share   of the recipe's rate that holds here
    """

    name = "drop_path"
    share: float = 1.0

    def __str__(self) -> str:
        return "drop path" if self.share == 1 else f"drop path {self.share:.2f}"


@dataclass(frozen=True)
class FadingDropout(Own):
    """Dropout of a supernet whose rate falls along its training (Chen et al. 2019, P-DARTS). Otherwise nothing.

    rate    from which it falls, twice: linearly while alpha rests, then exponentially
    rests   epochs in which alpha rests
    """

    name = "fading_dropout"
    keeps_besides = 1  # what was dropped
    rate: float = 0.4
    rests: int = 0

    def __str__(self) -> str:
        return f"dropout from {self.rate} on"


@dataclass(frozen=True)
class Identity(Own):
    name = "identity"
    view = True


@dataclass(frozen=True)
class Zero(Own):
    """Nothing at all: zeros, of the size that a stride leaves (the `none` of cell spaces)."""

    name = "zero"
    stride: int = 1

    def shape(self, shape: Shape) -> Shape:
        if self.stride == 1:
            return shape
        channels, *size = of_image(self, shape)
        return (channels, *(-(-side // self.stride) for side in size))


@dataclass(frozen=True)
class Scale(Own):
    """Every value times a fixed number."""

    name = "scale"
    pure = True
    factor: float

    def __str__(self) -> str:
        return f"scale {self.factor:.3g}"


@dataclass(frozen=True)
class SqueezeExcite(Own):
    """Each channel times a number between 0 and 1 that two linear layers, by way of so many units, make of the means of
    all channels (Hu et al. 2018, arXiv:1709.01507)."""

    name = "squeeze_excite"
    keeps = "input"
    units: int

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"{self!r}: units is at least 1")

    def shape(self, shape: Shape) -> Shape:
        return of_image(self, shape)

    def parameters(self, shape: Shape) -> int:
        return 2 * shape[0] * self.units + self.units + shape[0]

    def multiply_adds(self, shape: Shape) -> int:
        return 2 * shape[0] * self.units

    def __str__(self) -> str:
        return f"squeeze and excite by {self.units}"


def of_image(operation: Operation, shape: Shape) -> Shape:
    """The shape, which has to be that of an image. Raises ValueError where it is not."""
    if len(shape) != 3:
        raise ValueError(f"{operation.name} takes an image (channels, height, width), not the shape {as_text(shape)}")
    return shape


def _slide(operation: Operation, size: list[int], reach: tuple[int, ...], stride: Sides, padding: Sides) -> Shape:
    room = [side + 2 * pad - span for side, pad, span in zip(size, sides(padding), reach, strict=True)]
    if min(room) < 0:
        raise ValueError(f"{operation} does not fit into {as_text(size)}; use larger images or fewer strides before it")
    return tuple(left // step + 1 for left, step in zip(room, sides(stride), strict=True))


def sides(value: Sides) -> tuple[int, int]:
    """(height, width)."""
    return (value, value) if isinstance(value, int) else value


def as_text(shape: Any) -> str:
    return "x".join(map(str, shape))
