"""ProxylessNAS's chains of inverted residuals (Cai, Zhu and Han 2019, "ProxylessNAS: Direct Neural Architecture Search
on Target Task and Hardware", arXiv:1812.00332, section 4.2; published code)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from evonas.genomes.layerwise import Layer, LayerwiseSpace, inverted
from evonas.operations import Operation
from evonas.space import Token

ZERO = "zero"  # nothing beside the shortcut
BLOCKS = {f"e{expansion}k{kernel}": (expansion, kernel) for expansion, kernel in product((3, 6), (3, 5, 7))}

# The authors' networks, whose descriptions they give for download; widths are not those of the search.
PUBLISHED = {
    "ProxylessNAS-CPU": "e6k3 e3k3 e3k3 e3k3 | e6k3 e3k3 e3k3 e3k5 | e6k3 zero zero e3k3 | e6k5 e3k3 e3k3 e3k3 | "
    "e6k5 e3k5 e3k5 e3k3 | e6k5",
    "ProxylessNAS-GPU": "e3k5 zero zero zero | e3k7 zero zero e3k3 | e6k7 zero zero e3k5 | e6k5 zero e3k3 e3k5 | "
    "e6k7 e6k7 e6k7 e6k5 | e6k7",
    "ProxylessNAS-Mobile": "e3k5 e3k3 zero zero | e3k7 e3k3 e3k5 e3k5 | e6k7 e3k5 e3k5 e3k5 | e6k5 e3k5 e3k5 e3k5 | "
    "e6k7 e6k7 e3k7 e3k7 | e6k7",
}


@dataclass(frozen=True)
class ProxylessNASSpace(LayerwiseSpace):
    """Each layer is an inverted residual: an expansion of 3 or 6, with a kernel of 3, 5 or 7; or zero, where it has a
    shortcut, so that depth is searched too."""

    name: ClassVar[str] = "proxylessnas"
    published: ClassVar[Mapping[str, str]] = PUBLISHED
    widths: tuple[int, ...] = (24, 40, 80, 96, 192, 320)
    depths: tuple[int, ...] = (4, 4, 4, 4, 4, 1)

    def words(self, layer: Layer) -> Mapping[Token, str]:
        return {word: word for word in (*BLOCKS, *[ZERO] * layer.shortcut)}

    def block(self, option: Token, layer: Layer) -> Sequence[Operation] | None:
        return None if option == ZERO else inverted(layer, *BLOCKS[str(option)])
