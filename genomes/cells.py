"""The operations of cells as named nodes of a draft, and the preparation of the inputs of stacked cells (Liu, Simonyan
and Yang 2019, "DARTS", arXiv:1806.09055, section 3 and its published code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evonas.gates import Gate, Is
from evonas.graph import Draft
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Crop,
    FirstChannels,
    Identity,
    LastChannels,
    MaxPool,
    Operation,
    ReLU,
    ShuffleChannels,
    Zero,
)


@dataclass(frozen=True)
class Placement:
    """Where an operation is placed: its name, its source, its width and its stride.

    affine   batch norms learn a scale and a shift, as in a final network; those of a supernet do not
    search   pooling is followed by batch norm, as in a supernet
    """

    draft: Draft
    name: str
    source: str | None
    channels: int
    stride: int
    affine: bool = True
    search: bool = False

    def node(self, *operations: Operation) -> str | None:
        return self.draft.node(self.name, [self.source], *operations)

    @property
    def width(self) -> int:
        """The number of channels of the source."""
        return self.channels if self.source is None else self.draft.shape(self.source)[0]

    @property
    def fits(self) -> bool:
        """Whether the source already has the width and the size of the result."""
        return self.stride == 1 and self.width == self.channels

    def norm(self) -> BatchNorm:
        return BatchNorm(affine=self.affine)


def none(at: Placement) -> str | None:
    return at.node(Zero(at.stride))


def _pool(kind: type[MaxPool] | type[AveragePool]) -> Callable[[Placement], str | None]:
    def pool(at: Placement) -> str | None:
        return at.node(kind(3, at.stride, 1), *[BatchNorm(affine=False)] * at.search)

    return pool


def skip_connect(at: Placement) -> str | None:
    return at.node(Identity()) if at.stride == 1 else factorized_reduce(at)


def factorized_reduce(at: Placement, *, relu: bool = True) -> str | None:
    """Halve the size by two strided 1x1 convolutions, the second on the input shifted by one pixel, and concatenate
    them.

    Odd sides are rounded up; the shifted input is padded with zeros beyond the image.
    """
    source = at.draft.node(f"{at.name}/relu", [at.source], ReLU()) if relu else at.source
    if source is None:
        return None
    half = at.channels // 2
    even = at.draft.node(f"{at.name}/even", [source], Convolution(half, 1, stride=2, padding=0))
    rest = at.channels - half
    shifted: tuple[Operation, ...] = (Crop(1, 1), Convolution(rest, 1, stride=2, padding=0))
    if any(side % 2 for side in at.draft.shape(source)[1:]):
        shifted = (Convolution(rest, 1, stride=2, padding=1), Crop(1, 1))
    odd = at.draft.node(f"{at.name}/odd", [source], *shifted)
    return at.draft.node(f"{at.name}/joined", [even, odd], at.norm(), combine="concat")


def separable(kernel: int) -> Callable[[Placement], str | None]:
    def twice(at: Placement) -> str | None:
        """ReLU, depthwise and pointwise convolution and batch norm, applied twice; the first pass has the stride."""
        steps: list[Operation] = []
        for width, stride in ((at.width, at.stride), (at.channels, 1)):
            depthwise = Convolution(width, kernel, stride, groups=width)
            steps += [ReLU(), depthwise, Convolution(at.channels, 1), at.norm()]
        return at.node(*steps)

    return twice


def _dilated(kernel: int) -> Callable[[Placement], str | None]:
    def dilated(at: Placement) -> str | None:
        c = at.channels
        depthwise = Convolution(c, kernel, at.stride, dilation=2, groups=c)
        return at.node(ReLU(), depthwise, Convolution(c, 1), at.norm())

    return dilated


def conv_7x1_1x7(at: Placement) -> str | None:
    c = at.channels
    wide = Convolution(c, (1, 7), (1, at.stride), (0, 3))
    return at.node(ReLU(), wide, Convolution(c, (7, 1), (at.stride, 1), (3, 0)), at.norm())


def partial_edge(
    draft: Draft,
    name: str,
    source: str | None,
    stride: int,
    partial: int,
    mixed: Callable[[str | None, int], list[tuple[str | None, Gate]]],
) -> str | None:
    """An edge whose operations see the first 1/K of the channels. The rest bypasses them, through max pooling where
    there is a stride; then all channels are shuffled (Xu et al. 2020, "PC-DARTS", arXiv:1907.05737, section 3.2, and
    published code).

    partial   K
    mixed     function (the first channels, their number) -> the operations with their gates
    """
    if source is None:
        return None
    channels = draft.shape(source)[0]
    few = channels // partial
    first = draft.node(f"{name}/first", [source], FirstChannels(few))
    chosen = draft.node(f"{name}/mixed", mixed(first, few))
    rest = draft.node(f"{name}/rest", [source], LastChannels(channels - few), *[MaxPool(2, 2)] * (stride == 2))
    return draft.node(f"{name}/joined", [chosen, rest], ShuffleChannels(partial), combine="concat")


def edges_there(route: Mapping[str, Any]) -> dict[str, dict[int, int]]:
    """The edges into each node that are present on a hard route, each with weight 1. The decisions NODE<-SOURCE of the
    route are operations."""
    found: dict[str, dict[int, int]] = {}
    for name, operation in route.items():
        node, _, source = name.partition("<-")
        found.setdefault(node, {}).update({int(source): 1} if operation != "none" else {})
    return found


def weighed(node: str, edges: Mapping[int, str | None], is_open: bool) -> list[tuple[str | None, Gate]]:
    """The edges into a node, each with its gate. Where the edges are open, the gate is the weight of the edge's source
    in the choice `node`."""
    return [(edge, Is(node, source) if is_open else 1) for source, edge in edges.items()]


OPERATIONS: dict[str, Callable[[Placement], str | None]] = {
    "none": none,
    "max_pool_3x3": _pool(MaxPool),
    "avg_pool_3x3": _pool(AveragePool),
    "skip_connect": skip_connect,
    "sep_conv_3x3": separable(3),
    "sep_conv_5x5": separable(5),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "sep_conv_7x7": separable(7),
    "conv_7x1_1x7": conv_7x1_1x7,
}


def prepared(draft: Draft, name: str, source: str | None, channels: int, *, halve: bool, affine: bool) -> str | None:
    """An input of a cell, brought to the cell's width and, where the cell before was a reduction, to half the size."""
    at = Placement(draft, name, source, channels, 2 if halve else 1, affine)
    return factorized_reduce(at) if halve else at.node(ReLU(), Convolution(channels, 1), at.norm())
