"""FairNAS's chains of inverted residuals (Chu, Zhang and Xu 2021, "FairNAS: Rethinking Evaluation Fairness of Weight
Sharing Neural Architecture Search", arXiv:1907.01845)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from evonas.genomes.layerwise import Layer, LayerwiseSpace, inverted
from evonas.operations import Operation
from evonas.space import Token

CHOICES = tuple(product((3, 6), (3, 5, 7)))  # (expansion, kernel) of the options 0 to 5
WORDS: dict[Token, str] = {option: f"e{expansion}k{kernel}" for option, (expansion, kernel) in enumerate(CHOICES)}

# The authors' networks (xiaomi-automl/FairNAS), without squeeze and excite.
PUBLISHED = {
    "FairNAS-A": "e3k7 e3k3 | e3k7 e6k3 e6k7 e3k3 | e3k3 e6k7 e6k7 e3k5 | e6k3 e3k5 e3k5 e6k3 | e6k3 e6k7 e6k3 e6k7 | "
    "e6k5",
    "FairNAS-B": "e3k5 e3k3 | e3k5 e3k3 e6k3 e3k5 | e3k7 e3k3 e6k3 e3k5 | e3k3 e6k3 e3k7 e3k3 | e6k7 e6k5 e6k7 e6k3 | "
    "e6k5",
    "FairNAS-C": "e3k5 e3k3 | e3k7 e3k3 e3k3 e3k3 | e3k3 e3k3 e3k3 e6k3 | e3k3 e3k3 e3k3 e3k3 | e6k7 e6k7 e6k3 e6k3 | "
    "e6k5",
}


@dataclass(frozen=True)
class FairNASSpace(LayerwiseSpace):
    """Each layer is an inverted residual: an expansion of 3 or 6, with a kernel of 3, 5 or 7. None can be left out."""

    name: ClassVar[str] = "fairnas"
    published: ClassVar[Mapping[str, str]] = PUBLISHED

    def words(self, layer: Layer) -> Mapping[Token, str]:
        return WORDS

    def block(self, option: Token, layer: Layer) -> Sequence[Operation]:
        return inverted(layer, *CHOICES[int(str(option))])
