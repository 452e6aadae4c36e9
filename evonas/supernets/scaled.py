"""Weights that are scaled by architecture parameters (Shin, Packer and Song 2018, "Differentiable Neural Network
Architecture Search", ICLR workshop, section 2): filter sizes, input channels and groups of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from evonas.genomes.das import window

LEAST = 1e-12  # under the root of a norm, whose slope at 0 is infinite


def sparsemax(values: Tensor) -> Tensor:
    """The point of the probability simplex that is nearest to the values, [n]: some of it are 0 (Martins and Astudillo
    2016, "From Softmax to Sparsemax", arXiv:1602.02068, algorithm 1)."""
    ordered = values.sort(descending=True).values
    totals = ordered.cumsum(0)
    counts = torch.arange(1, len(values) + 1, device=values.device)
    support = int((1 + counts * ordered > totals).sum())
    return (values - (totals[support - 1] - 1) / support).clamp_min(0)


def group_lasso(groups: Tensor) -> Tensor:
    """L1,2: the sum over rows of their L2 norms, by which whole rows become 0."""
    return groups.square().sum(1).clamp_min(LEAST).sqrt().sum()


def exclusive_lasso(groups: Tensor) -> Tensor:
    """L2,1: the sum over rows of their squared L1 norms, by which the entries of a row compete."""
    return groups.abs().sum(1).square().sum()


class Scales(NamedTuple):
    """What the weights of a layer are multiplied by: positions of the kernel, [height, width]; input channels, [c]; and
    pairs of an input and an output channel, [c, d], where there are groups."""

    kernel: Tensor
    channels: Tensor
    groups: Tensor | None

    @property
    def strength(self) -> Tensor:
        """How much of each input channel is taken at most, [c]."""
        taken = 1.0 if self.groups is None else self.groups.abs().amax(1)
        return self.channels.abs() * taken

    def applied(self, weight: Tensor) -> Tensor:
        """W_eff, for W [d, c, height, width]: times the sum of alpha over the sizes that cover a position, the sum of
        beta over the choices that contain an input channel, and P S."""
        scaled = weight * self.kernel * self.channels[:, None, None]
        return scaled if self.groups is None else scaled * self.groups.T[:, :, None, None]


class Scaled(nn.Module):
    """The architecture parameters of a layer: alpha of filter sizes, beta of choices of input channels, and P and S of
    patterns of connectivity.

    sizes      (height, width) of each filter; the last one is the largest
    inputs     number of input channels, c
    individual a choice is one channel; otherwise choices are the first one, the first two, and so on
    simplex    beta is sparsemax of what is learnt, in place of that itself
    filters    number of output channels, d
    patterns   p: columns of P, [c, p], and rows of S, [p, d]; 0: there are neither
    generator  of the first P and S; patterns that begin equal would stay so

    All alphas begin equal, with the sum 1, and so do betas of choices that overlap or lie on the simplex; those of
    single channels begin at 1. The text does not say.
    """

    alpha: Tensor  # [sizes]
    raw_beta: Tensor  # [choices]
    covered: Tensor  # [sizes, height, width]: the positions of the largest kernel that each size covers
    contained: Tensor  # [choices, channels]: the channels that each choice contains

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        inputs: int,
        *,
        individual: bool = True,
        simplex: bool = False,
        filters: int = 0,
        patterns: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.sizes, self.simplex = list(sizes), simplex
        covered = torch.zeros(len(sizes), *sizes[-1])
        for mask, (height, width) in zip(covered, sizes, strict=True):
            mask[window(height, sizes[-1][0]), window(width, sizes[-1][1])] = 1.0
        contained = torch.eye(inputs)
        self.register_buffer("covered", covered, persistent=False)
        self.register_buffer("contained", contained if individual else contained.cumsum(1).T.clone(), persistent=False)
        self._learn("alpha", torch.full((len(sizes),), 1 / len(sizes)))
        self._learn("raw_beta", torch.full((inputs,), 1 / inputs if simplex or not individual else 1.0))
        self.P: nn.Parameter | None = None
        self.S: nn.Parameter | None = None
        if patterns:
            spread = patterns**-0.5
            self.P = nn.Parameter(spread * (0.5 + torch.rand(inputs, patterns, generator=generator)))
            self.S = nn.Parameter(spread * (0.5 + torch.rand(patterns, filters, generator=generator)))

    def _learn(self, name: str, values: Tensor) -> None:
        """Parameters, or where there is but one of them, which could only scale the whole layer, a constant."""
        if len(values) > 1:
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values, persistent=False)

    @property
    def beta(self) -> Tensor:
        return sparsemax(self.raw_beta) if self.simplex else self.raw_beta

    def scales(self) -> Scales:
        """As they are in training."""
        return self._scales(self.alpha, self.beta, self.P, self.S)

    def _scales(self, alpha: Tensor, beta: Tensor, P: Tensor | None, S: Tensor | None) -> Scales:
        groups = None if P is None or S is None else P @ S
        return Scales(torch.tensordot(alpha, self.covered, 1), beta @ self.contained, groups)

    def penalty(self, gamma: float, eta: float) -> Tensor:
        """gamma L1(alpha, beta) + eta (mixed norms of P and S). Which norm stands on what is ours: channels compete for
        patterns, so that columns of P are sparse and differ in their support; patterns compete for output channels, so
        that each uses one; and whole patterns go."""
        total = gamma * (self.alpha.abs().sum() + self.beta.abs().sum())
        if self.P is not None and self.S is not None:
            apart = exclusive_lasso(self.P) + exclusive_lasso(self.S.T)
            total = total + eta * (apart + group_lasso(self.P.T) + group_lasso(self.S))
        return total

    # ---- the end of a training ------------------------------------------------------------------------------------

    @torch.no_grad()
    def clamped(self, threshold: float) -> Scales:
        """Every parameter below the threshold is 0; where nothing would be left of sizes, of channels or of groups, the
        largest one stays as it is."""
        P, S = (None if each is None else clamp(each, threshold) for each in (self.P, self.S))
        scales = self._scales(clamp(self.alpha, threshold), clamp(self.beta, threshold), P, S)
        if not scales.strength.any():
            whole = self.scales()
            kept = whole.strength == whole.strength.max()
            groups = None if whole.groups is None else whole.groups * kept[:, None]
            scales = Scales(scales.kernel, whole.channels * kept, groups)
        return scales

    def size(self, threshold: float) -> tuple[int, int]:
        """Height and width of the smallest kernel that holds all sizes left after clamping."""
        left = stays(self.alpha, threshold).nonzero()[:, 0].tolist()
        heights, widths = zip(*(self.sizes[place] for place in left), strict=True)
        return max(heights), max(widths)

    def channels(self, threshold: float) -> tuple[int, ...]:
        """The input channels left after clamping."""
        return tuple(self.clamped(threshold).strength.nonzero()[:, 0].tolist()) or (0,)


def clamp(values: Tensor, threshold: float) -> Tensor:
    """The values that stay, and 0 in place of the others."""
    return values.detach() * stays(values, threshold)


def stays(values: Tensor, threshold: float) -> Tensor:
    """Where values are not clamped: their magnitude is at least the threshold, or none is and they are the largest."""
    magnitudes = values.detach().abs()
    return ~(magnitudes < magnitudes.max().clamp(max=threshold))
