"""FBNet's chains of blocks (Wu et al. 2019, "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural
Architecture Search", arXiv:1812.03443, section 3.1; what the text leaves open follows the authors' networks,
facebookresearch/mobile-vision)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from evonas.genomes.layerwise import Layer, LayerwiseSpace
from evonas.operations import BatchNorm, Convolution, Operation, ReLU, ShuffleChannels
from evonas.space import Token

SKIP = "skip"
# (kernel, expansion, groups of the 1x1 convolutions), in the order of table 2
BLOCKS = {
    "k3e1": (3, 1, 1), "k3e1g2": (3, 1, 2), "k3e3": (3, 3, 1), "k3e6": (3, 6, 1),
    "k5e1": (5, 1, 1), "k5e1g2": (5, 1, 2), "k5e3": (5, 3, 1), "k5e6": (5, 6, 1),
}  # fmt: skip
WORDS: dict[Token, str] = {word: word for word in (*BLOCKS, SKIP)}

# The authors' networks. The last 1x1 convolution of A has 1504 channels. A table of the paper has k5e1 in place of the
# second block of B's stage of 64 channels.
PUBLISHED = {
    "FBNet-A": "skip | k3e3 k3e1 skip skip | k5e6 k3e3 k5e1 k3e3 | k5e6 k5e3 k5e1g2 k5e6 | k3e6 k5e1g2 k5e3 k3e1g2 | "
    "k5e6 k5e6 k5e3 k5e6 | k5e6",
    "FBNet-B": "k3e1 | k3e6 k5e1 k3e1 k3e1 | k5e6 k5e3 k3e6 k5e6 | k5e6 k5e6 skip k5e3 | k5e6 k3e1 k5e1 k5e3 | "
    "k5e6 k5e1 k5e6 k5e6 | k3e6",
    "FBNet-C": "k3e1 | k3e6 skip k3e1 k3e1 | k5e6 k5e3 k5e6 k3e6 | k5e6 k5e3 k5e6 k5e6 | k5e6 k5e6 k5e6 k5e3 | "
    "k5e6 k5e6 k5e6 k5e6 | k3e6",
}


@dataclass(frozen=True)
class FBNetSpace(LayerwiseSpace):
    """Each layer is a block with a kernel of 3 or 5 and an expansion of 1, 3 or 6, for 1 in two groups of channels too;
    or a skip, which is a 1x1 convolution where shapes change."""

    name: ClassVar[str] = "fbnet"
    published: ClassVar[Mapping[str, str]] = PUBLISHED
    widths: tuple[int, ...] = (16, 24, 32, 64, 112, 184, 352)
    depths: tuple[int, ...] = (1, 4, 4, 4, 4, 4, 1)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    stem: int = 16
    first: int = 0
    last: int = 1984

    def words(self, layer: Layer) -> Mapping[Token, str]:
        return WORDS

    def block(self, option: Token, layer: Layer) -> Sequence[Operation] | None:
        if option == SKIP:
            return None if layer.shortcut else [Convolution(layer.outputs, 1, layer.stride), BatchNorm(), ReLU()]
        kernel, expansion, groups = BLOCKS[str(option)]
        inner = layer.inputs * expansion
        shuffle = [ShuffleChannels(groups)] if groups > 1 else []
        return [
            Convolution(inner, 1, groups=groups), BatchNorm(), ReLU(), *shuffle,
            Convolution(inner, kernel, layer.stride, groups=inner), BatchNorm(), ReLU(),
            Convolution(layer.outputs, 1, groups=groups), BatchNorm(),
        ]  # fmt: skip
