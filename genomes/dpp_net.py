"""The growing cell of DPP-Net (Dong, Cheng, Juan, Wei and Sun 2018, "DPP-Net: Device-aware Progressive Search for
Pareto-optimal Neural Architectures", arXiv:1806.08198), in the network of CondenseNet (Huang et al. 2018,
arXiv:1711.09224, section 3, and its published code).

One cell is a chain of layers, in turn a normalisation and a convolution. It is repeated in stages, and reads what all
cells before it have made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.genomes.growing import END, begun, grown
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    LearnedGroupConvolution,
    Linear,
    Operation,
    ReLU,
    ShuffleChannels,
)
from evonas.space import Decision, Genome, Space, Token, require_closed

LEAST = 2  # layers of the smallest cells: a normalisation and a convolution
LONGEST = 12
NONE = "none"  # in place of a normalisation

NORMALISATIONS: dict[str, tuple[Operation, ...]] = {
    "bn_relu": (BatchNorm(), ReLU()),
    "bn": (BatchNorm(),),
    NONE: (),
}


def _depthwise(inputs: int, channels: int, groups: int) -> tuple[Operation, ...]:
    """The paper does not say how a depthwise convolution comes to another width: here a 1x1 convolution follows it."""
    return Convolution(inputs, 3, groups=inputs), Convolution(channels, 1)


# (channels that come in, channels that go out, groups) -> operations; channels are shuffled behind groups
CONVOLUTIONS: dict[str, Callable[[int, int, int], tuple[Operation, ...]]] = {
    "conv_1x1": lambda inputs, channels, groups: (Convolution(channels, 1),),
    "conv_3x3": lambda inputs, channels, groups: (Convolution(channels, 3),),
    "group_1x1": lambda inputs, channels, g: (Convolution(channels, 1, groups=g), ShuffleChannels(g)),
    "group_3x3": lambda inputs, channels, g: (Convolution(channels, 3, groups=g), ShuffleChannels(g)),
    "learned_group_1x1": lambda inputs, channels, g: (LearnedGroupConvolution(channels, g, g), ShuffleChannels(g)),
    "depthwise_3x3": _depthwise,
}


@dataclass(frozen=True)
class DPPNetSpace(Space):
    """Genomes give normalisation, convolution, normalisation, ... of the cell; in place of a third or later layer, a
    genome may end.

    The last convolution of a cell has as many filters as the stage's growth, those before it `bottleneck` times as
    many. A cell reads the outputs of all earlier cells and of the stem, which has twice the growth; those of earlier
    stages are pooled. Growth is doubled at each 2x2 average pooling.

    cells       of each stage
    growth      filters that a cell of the first stage adds
    layers      of the largest cells
    groups      of group convolutions, and the condensation factor of the learned ones
    bottleneck  filters of the inner convolutions, in growths
    """

    name: ClassVar[str] = "dpp-net"
    cells: tuple[int, ...] = (14, 14, 14)
    growth: int = 8
    layers: int = 4
    groups: int = 4
    bottleneck: int = 4
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.cells or min(self.cells) < 1:
            raise UserError(f"cells is {self.cells}; use at least one in each stage, as in cells=14,14,14")
        if not LEAST <= self.layers <= LONGEST:
            raise UserError(f"layers is {self.layers}; use {LEAST} to {LONGEST}")
        if min(self.growth, self.groups, self.bottleneck, self.outputs) < 1 or self.growth % self.groups:
            raise UserError(f"growth is {self.growth}, groups {self.groups} and bottleneck {self.bottleneck}; use at "
                            "least 1, and a growth that the groups divide")  # fmt: skip
        if min(self.input_shape[1:]) < 2 ** (len(self.cells) - 1):
            raise UserError(f"images of {self.input_shape} are too small to be halved {len(self.cells) - 1} times; use "
                            "fewer stages (cells)")  # fmt: skip

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        if place == self.layers or (prefix and prefix[-1] == END):
            return None
        kind, options = ("convolution", CONVOLUTIONS) if place % 2 else ("normalisation", NORMALISATIONS)
        ends = (END,) if place >= LEAST else ()
        return Decision(f"layer{place + 1}", (*options, *ends), place, kind)

    # ---- what a progressive search asks ---------------------------------------------------------------------------

    def larger(self, genome: Genome) -> Iterator[tuple[Token, ...]]:
        """The genomes with one layer more, in the order of the options; of (), those with two."""
        return grown(self, genome, max(self.size(genome) + 1, LEAST))

    def size(self, genome: Genome) -> int:
        """The number of layers."""
        return len(begun(genome))

    def units(self, genome: Genome) -> list[tuple[tuple[str, Token], ...]]:
        """The layers, one after the other, as the paper's regressor reads them."""
        return [(("layer", layer),) for layer in begun(genome)]

    def key(self, genome: Genome) -> str:
        """Equal for genomes of one network: a normalisation that does nothing, behind the last convolution, does not
        count."""
        layers = begun(genome)
        return " ".join(map(str, layers[:-1] if layers[-1] == NONE else layers))

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The network of a closed genome."""
        require_closed(genome, "cells of DPP-Net have no supernet")
        self.decisions(genome)
        layers = tuple(map(str, begun(genome)))
        draft = Draft(self.input_shape)
        stem = 2 * self.growth
        features, width = [str(draft.node("stem", [INPUT], Convolution(stem, 3)))], stem
        for stage, cells in enumerate(self.cells, 1):
            growth = self.growth * 2 ** (stage - 1)
            if stage > 1:
                pooled = draft.node(f"stage{stage}/pooled", features, AveragePool(2, 2), combine="concat")
                features = [str(pooled)]
            for cell in range(1, cells + 1):
                operations = self._cell(layers, width, growth)
                made = draft.node(f"stage{stage}/cell{cell}", features, *operations, combine="concat")
                features, width = [*features, str(made)], width + growth
        head = (BatchNorm(), ReLU(), GlobalAveragePool(), Linear(self.outputs))
        draft.node("classifier", features, *head, combine="concat")
        return draft.graph()

    def _cell(self, layers: tuple[str, ...], width: int, growth: int) -> list[Operation]:
        """The operations of a cell that reads so many channels."""
        operations: list[Operation] = []
        last = max(place for place, layer in enumerate(layers) if layer in CONVOLUTIONS)
        for place, layer in enumerate(layers):
            if layer in NORMALISATIONS:
                operations += NORMALISATIONS[layer]
                continue
            channels = growth * (1 if place == last else self.bottleneck)
            operations += CONVOLUTIONS[layer](width, channels, self.groups)
            width = channels
        return operations
