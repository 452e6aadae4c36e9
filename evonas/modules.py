"""The modules of evonas's own operations, and the one table that says which is whose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evonas.scheduled import LearnedGroupConv2d, Scheduled
from evonas.support.call import Call

if TYPE_CHECKING:
    from evonas.recipe import Recipe

# ---- what PyTorch has no module for: exported files have these classes word for word, so they need torch alone -------


class GlobalAverage(nn.Module):
    """The mean of each channel."""

    def forward(self, x):  # (B, C, H, W) -> (B, C)
        return x.mean((2, 3))


class Zeros(nn.Module):
    """Zeros of the size that a stride leaves."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x)


class Crop(nn.Module):
    """Without the first rows and columns."""

    def __init__(self, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x):
        return x[:, :, self.rows :, self.columns :]


class Scale(nn.Module):
    """Every value times a fixed number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Channels(nn.Module):
    """Some of the channels of an image."""

    def __init__(self, begin, end):
        super().__init__()
        self.begin, self.end = begin, end

    def forward(self, x):
        return x[:, self.begin : self.end]


class PadChannels(nn.Module):
    """Zeros behind the channels of an image."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class PadSize(nn.Module):
    """Zeros around an image, up to a size."""

    def __init__(self, height, width):
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x):
        rows, columns = self.height - x.shape[2], self.width - x.shape[3]
        return nn.functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class SqueezeExcite(nn.Module):
    """Each channel times a number between 0 and 1, made of the means of all channels."""

    def __init__(self, channels, units):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, units), nn.Linear(units, channels)

    def forward(self, x):
        shares = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * shares[:, :, None, None]


class Attention(nn.Module):
    """The mean of several images, weighted by what two linear layers make of the means of their channels."""

    def __init__(self, channels, units):
        super().__init__()
        self.project = nn.Linear(channels, units, bias=False)
        self.score = nn.Linear(units, 1, bias=False)

    def scores(self, images):  # n of (B, C, H, W) -> (B, n)
        return torch.cat([self.score(self.project(x.mean((2, 3))).tanh()) for x in images], 1)

    def forward(self, images):
        shares = self.scores(images).softmax(1)
        return sum(x * share[:, None, None, None] for x, share in zip(images, shares.unbind(1), strict=True))


class Blend(nn.Module):
    """The first of two inputs times a learned number, and the second times what that lacks to 1."""

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.ones(()))

    def forward(self, inputs):
        first, second = inputs
        return self.share * first + (1 - self.share) * second


# ---- what training has instead of a class: the same outputs, faster or safer -----------------------------------------


class Conv2d(nn.Conv2d):
    """Its weights are left to `network.initialise`: drawing them twice costs more than all else in building."""

    exported = nn.Conv2d

    def reset_parameters(self) -> None:
        pass


class Grouped(Conv2d):
    """A convolution in groups, depthwise ones among them: on a CPU in float32, whatever autocast wants. oneDNN has no
    fast kernels for their gradients in bfloat16, in which networks of them would take as long as in float32."""

    exported = nn.Conv2d

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class ThinPointwise(Conv2d):
    """A strided 1x1 convolution of fewer channels than a vector of the CPU holds.

    oneDNN writes past its memory when it computes the gradient of such weights in channels-last (fewer than 8 input
    channels with AVX2, 16 with AVX-512: github.com/uxlfoundation/oneDNN/issues/6035), which ends the process sooner or
    later. So on a CPU the pixels that count are taken first: the same numbers, by a convolution without stride.
    """

    exported = nn.Conv2d
    CHANNELS = 16

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        rows, columns = self.stride
        return F.conv2d(DenseGradient.apply(x)[:, :, ::rows, ::columns], self.weight, self.bias)


class Linear(nn.Linear):
    """Its weights are left to `network.initialise`."""

    exported = nn.Linear

    def reset_parameters(self) -> None:
        pass


class BatchNorm2d(nn.BatchNorm2d):
    """Made at identity; its statistics are there already when this is called."""

    exported = nn.BatchNorm2d

    def reset_parameters(self) -> None:
        if self.affine:
            self.weight.data.fill_(1.0)
            self.bias.data.zero_()


class DropPath(Scheduled):
    """An image's input becomes 0 with probability `rate`, which grows along a training to the recipe's; else it is
    times 1 / (1 - rate)."""

    exported = nn.Identity

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.rate = share, 0.0

    def keep(self, recipe: Recipe, now: float) -> None:
        self.rate = recipe.drop_path * self.share * recipe.moment(now) / recipe.epochs

    def pause(self) -> None:
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class FadingDropout(Scheduled):
    """Elements become 0 with probability `rate`, and the others are scaled up. In the first epochs, in which alpha
    rests, the rate falls linearly; then it falls from the same value exponentially (Chen et al. 2019, P-DARTS,
    published code)."""

    exported = nn.Identity
    FALL = 0.2  # of the exponent in an epoch

    def __init__(self, first: float, rests: int) -> None:
        super().__init__()
        self.first, self.rests, self.rate = first, rests, 0.0

    def keep(self, recipe: Recipe, now: float) -> None:
        epoch = int(now)
        if epoch < self.rests:
            self.rate = self.first * (recipe.epochs - epoch - 1) / recipe.epochs
        else:
            self.rate = self.first * exp(-self.FALL * (epoch - self.rests))

    def pause(self) -> None:
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate) if self.training and self.rate else x


class DenseGradient(torch.autograd.Function):
    """The same tensor, whose gradient is laid out as it is.

    What concatenations, crops and means give back are views into larger tensors, or one value stretched: batch norms
    and ReLUs before them would take the slow way through memory, several times as long as one copy.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        ctx.format = torch.channels_last if last else torch.contiguous_format
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=ctx.format)


class Dense(nn.Module):
    """Stands before a class whose gradient is such a view, and makes it dense."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(DenseGradient.apply(x))  # of the class behind this one


class DenseGlobalAverage(Dense, GlobalAverage):
    exported = GlobalAverage


class DenseCrop(Dense, Crop):
    exported = Crop


class DenseChannels(Dense, Channels):
    exported = Channels


class DensePadChannels(Dense, PadChannels):
    exported = PadChannels


class DensePadSize(Dense, PadSize):
    exported = PadSize


class UndrawnSqueezeExcite(SqueezeExcite):
    """Its weights are left to `network.initialise`."""

    exported = SqueezeExcite

    def __init__(self, channels: int, units: int) -> None:
        nn.Module.__init__(self)
        self.squeeze, self.excite = Linear(channels, units), Linear(units, channels)


class UndrawnAttention(Attention):
    """With the layers whose weights are drawn later. Of a supernet it takes pairs of a weight and an image: the shares
    of those whose weights are less than 1 are less by as much, before they are made to sum to 1."""

    exported = Attention

    def __init__(self, channels: int, units: int) -> None:
        nn.Module.__init__(self)
        self.project, self.score = Linear(channels, units, bias=False), Linear(units, 1, bias=False)

    def forward(self, images: Sequence[Tensor | tuple[Any, Tensor]]) -> Tensor:
        if not isinstance(images[0], tuple):
            return super().forward(images)
        weights, terms = zip(*images, strict=True)
        if all(isinstance(weight, int) for weight in weights):
            return super().forward(terms)
        scores = self.scores(terms)
        known = [torch.as_tensor(weight, dtype=scores.dtype, device=scores.device) for weight in weights]
        shares = (scores - scores.detach().amax(1, keepdim=True)).exp() * torch.stack(known)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(torch.finfo(shares.dtype).tiny)
        return sum(x * share[:, None, None, None] for x, share in zip(terms, shares.unbind(1), strict=True))


# ---- which is whose --------------------------------------------------------------------------------------------------

MODULES: dict[str, Callable[[Any, tuple[int, ...]], Call]] = {  # by the operation's name
    "conv": lambda op, shape: Call(
        _convolution(op, shape[0]), shape[0], op.channels, op.kernel,
        stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups, bias=op.bias,
    ),
    "learned_group_conv": lambda op, shape: Call(
        LearnedGroupConv2d, op.channels, op.groups, op.taken(shape), inputs=shape[0], lasso=op.lasso
    ),
    "batch_norm": lambda op, shape: Call(BatchNorm2d, shape[0], affine=op.affine),
    "relu": lambda op, shape: Call(nn.ReLU),
    "leaky_relu": lambda op, shape: Call(nn.LeakyReLU, op.slope),
    "elu": lambda op, shape: Call(nn.ELU),
    "gelu": lambda op, shape: Call(nn.GELU),
    "silu": lambda op, shape: Call(nn.SiLU),
    "hard_swish": lambda op, shape: Call(nn.Hardswish),
    "tanh": lambda op, shape: Call(nn.Tanh),
    "sigmoid": lambda op, shape: Call(nn.Sigmoid),
    "max_pool": lambda op, shape: Call(nn.MaxPool2d, op.kernel, op.stride, padding=op.padding),
    "avg_pool": lambda op, shape: Call(
        nn.AvgPool2d, op.kernel, op.stride, padding=op.padding, count_include_pad=not op.padding
    ),
    "global_avg_pool": lambda op, shape: Call(DenseGlobalAverage),
    "flatten": lambda op, shape: Call(nn.Flatten),
    "linear": lambda op, shape: Call(Linear, shape[0], op.features, bias=op.bias),
    "dropout": lambda op, shape: Call(nn.Dropout, op.rate),
    "drop_path": lambda op, shape: Call(DropPath, share=op.share),
    "fading_dropout": lambda op, shape: Call(FadingDropout, first=op.rate, rests=op.rests),
    "identity": lambda op, shape: Call(nn.Identity),
    "zero": lambda op, shape: Call(Zeros, op.stride),
    "scale": lambda op, shape: Call(Scale, op.factor),
    "crop": lambda op, shape: Call(DenseCrop, op.rows, op.columns),
    "first_channels": lambda op, shape: Call(DenseChannels, 0, op.channels),
    "last_channels": lambda op, shape: Call(DenseChannels, shape[0] - op.channels, shape[0]),
    "shuffle_channels": lambda op, shape: Call(nn.ChannelShuffle, op.groups),
    "pad_channels": lambda op, shape: Call(DensePadChannels, op.channels),
    "pad_size": lambda op, shape: Call(DensePadSize, op.height, op.width),
    "squeeze_excite": lambda op, shape: Call(UndrawnSqueezeExcite, shape[0], op.units),
    "resize": lambda op, shape: Call(nn.Upsample, (op.height, op.width), mode="nearest"),
}  # fmt: skip


def _convolution(op: Any, channels: int) -> type[Conv2d]:
    if op.groups > 1:
        return Grouped
    pointwise = op.kernel == 1 and not op.padding  # equal sides are one number
    return ThinPointwise if pointwise and op.stride != 1 and channels < ThinPointwise.CHANNELS else Conv2d


def seeded(call: Call, seed: int) -> nn.Module:
    """The module of a call, with the weights that it draws for itself: the same ones for a seed, whatever torch's own
    generator has drawn before, which is left as it was."""
    before = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        return call.make()
    finally:
        torch.set_rng_state(before)
