"""The space of DAS (Shin, Packer and Song 2018, "Differentiable Neural Network Architecture Search", ICLR workshop): a
chain of convolutions and linear layers, each of which has a filter size and reads some of its input channels. The base
network is that of Bojarski et al. 2016 (arXiv:1604.07316), PilotNet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    Convolution,
    FirstChannels,
    Flatten,
    LastChannels,
    Linear,
    Operation,
    PadSize,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Open, Space, Token, require_closed
from evonas.support.text import brief

BITS = (False, True)
_WORD = re.compile(f"(?:({NUMBER})x({NUMBER}):)?({NUMBER}(?:-{NUMBER})?(?:,{NUMBER}(?:-{NUMBER})?)*)")


class Layer(NamedTuple):
    """A layer of the largest network: `size` is the side of its kernel, or 0 for a linear layer."""

    name: str
    inputs: int
    filters: int
    size: int = 0
    stride: int = 1


class Chosen(NamedTuple):
    """What a genome says of a layer: (height, width) of its kernel, where it has one, and the input channels that it
    reads, counted from 0."""

    size: tuple[int, int] | None
    channels: tuple[int, ...]


@dataclass(frozen=True)
class DASSpace(Space):
    """Genomes give height and width of each convolution's kernel, and the input channels that it reads; of linear
    layers the channels alone. To the first linear layer, a channel is a whole feature map.

    A layer has no more filters than the next one reads, and a bias for each; ReLU follows all but the last. Kernels of
    all sizes have their middle at the same pixel; an even one has one row more behind it than before. Zeros around the
    image keep the size of the output, whatever the kernel's.

    widths      filters of each convolution of the largest network
    sizes       height and width of its kernels; a genome's are 1 to these
    strides     of each convolution
    hidden      units of the linear layers before the last one
    individual  channels are chosen one by one, as bits; otherwise a genome has their number, and reads the first ones
    """

    name: ClassVar[str] = "das"
    widths: tuple[int, ...] = (24, 36, 48, 64, 64)
    sizes: tuple[int, ...] = (5, 5, 5, 3, 3)
    strides: tuple[int, ...] = (2, 2, 2, 1, 1)
    hidden: tuple[int, ...] = (100, 50, 10)
    individual: bool = True
    input_shape: tuple[int, int, int] = (3, 66, 200)
    outputs: int = 1

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.sizes) == len(self.strides) > 0:
            raise UserError(f"widths is {self.widths}, sizes {self.sizes} and strides {self.strides}; give one of each "
                            "for every convolution")  # fmt: skip
        for name in ("widths", "sizes", "strides", "hidden"):
            if min(getattr(self, name), default=1) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; use at least 1 for each")
        if self.outputs < 1:
            raise UserError(f"outputs is {self.outputs}; use at least 1")

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the largest network, in the order of a genome."""
        filters = (*self.widths, *self.hidden, self.outputs)
        inputs = (self.input_shape[0], *filters)
        convolutions = len(self.widths)
        return tuple(
            Layer(f"conv{at + 1}", inputs[at], filters[at], self.sizes[at], self.strides[at])
            if at < convolutions else Layer(f"linear{at - convolutions + 1}", inputs[at], filters[at])
            for at in range(len(filters))
        )  # fmt: skip

    # ---- the genome -----------------------------------------------------------------------------------------------

    @cached_property
    def _asked(self) -> tuple[tuple[str, tuple[Token, ...], int | None], ...]:
        """Name and options of each decision, and of a bit its number among its layer's, from 0."""
        asked: list[tuple[str, tuple[Token, ...], int | None]] = []
        for layer in self.layers:
            sizes = tuple(range(1, layer.size + 1))
            asked += [(f"{layer.name}/{side}", sizes, None) for side in ("height", "width") if sizes]
            if self.individual:
                asked += [(f"{layer.name}/channel{bit + 1}", BITS, bit) for bit in range(layer.inputs)]
            else:
                asked.append((f"{layer.name}/channels", tuple(range(1, layer.inputs + 1)), None))
        return tuple(asked)

    @cached_property
    def _lasts(self) -> frozenset[int]:
        """The places of the last bits of layers."""
        lasts, place = set(), -1
        for layer in self.layers:
            place += 2 * bool(layer.size) + layer.inputs
            lasts.add(place)
        return frozenset(lasts)

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        if place == len(self._asked):
            return None
        name, options, bit = self._asked[place]
        if bit is None:
            return Decision(name, options, place)
        some = any(isinstance(token, Open) or token for token in prefix[place - bit :])
        if place in self._lasts and not some:
            options = (True,)  # a layer reads something
        return Decision(name, options, (place, some))

    def next_open(self, prefix: Genome) -> Decision | None:
        """An open bit is on or off, whatever the others are."""
        decision = self.next(prefix)
        return decision and replace(decision, options=self._asked[len(prefix)][1], state=len(prefix))

    def chosen(self, genome: Genome) -> list[Chosen]:
        """What a closed genome says, layer by layer."""
        tokens = iter(genome)
        said = []
        for layer in self.layers:
            size = (int(str(next(tokens))), int(str(next(tokens)))) if layer.size else None
            if self.individual:
                channels = tuple(channel for channel in range(layer.inputs) if next(tokens))
            else:
                channels = tuple(range(int(str(next(tokens)))))
            said.append(Chosen(size, channels))
        return said

    def genome(self, chosen: Sequence[Chosen]) -> tuple[Token, ...]:
        """The inverse of `chosen`."""
        tokens: list[Token] = []
        for layer, (size, channels) in zip(self.layers, chosen, strict=True):
            tokens += size or ()
            bits = [channel in channels for channel in range(layer.inputs)]
            tokens += bits if self.individual else [len(channels)]
        return tuple(tokens)

    @property
    def largest(self) -> tuple[Token, ...]:
        """The genome of the base network, with the largest kernels and all channels."""
        return self.shrunk(1.0)

    def shrunk(self, share: float) -> tuple[Token, ...]:
        """The genome of the base network shrunk uniformly: all layers behind the first one read this share of their
        channels, the first ones, rounded, and at least one. Kernels stay as they are, and so does the input."""
        if not 0 < share <= 1:
            raise UserError(f"share is {share}; use more than 0 and at most 1")
        kept = [max(round(share * layer.inputs), 1) for layer in self.layers]
        kept[0] = self.input_shape[0]
        return self.genome([
            Chosen((layer.size, layer.size) if layer.size else None, tuple(range(channels)))
            for layer, channels in zip(self.layers, kept, strict=True)
        ])  # fmt: skip

    def format(self, genome: Genome) -> str:
        """Size and channels of each layer, counted from 1: 5x3:1-3 3x3:1-4,6 1-8"""
        require_closed(genome, "a code names channels, which open bits do not say")
        self.decisions(genome)
        words = []
        for size, channels in self.chosen(genome):
            spans = [f"{first + 1}-{last + 1}" if first < last else f"{first + 1}" for first, last in runs(channels)]
            words.append((f"{size[0]}x{size[1]}:" if size else "") + ",".join(spans))
        return " ".join(words)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes. Raises CodeError, which names the layer."""
        words = code.split()
        if len(words) != len(self.layers):
            raise CodeError(f"code {brief(code)!r} has {len(words)} layers; in this space a network has "
                            f"{len(self.layers)}, with spaces between them")  # fmt: skip
        genome = self.genome([self._read(layer, word) for layer, word in zip(self.layers, words, strict=True)])
        self.decisions(genome)
        return genome

    def _read(self, layer: Layer, word: str) -> Chosen:
        found = _WORD.fullmatch(word)
        if found is None or (found[1] is None) == bool(layer.size):
            form = (
                "height and width of the kernel and channels, as in 5x3:1-4,6" if layer.size else "channels, as 1-4,6"
            )
            raise CodeError(f"{layer.name} is {brief(word)!r}; write {form}")
        size = (int(found[1]), int(found[2])) if layer.size else None
        if size and not all(1 <= side <= layer.size for side in size):
            raise CodeError(f"{layer.name} has a kernel of {found[1]}x{found[2]}; use 1 to {layer.size} for each side")
        channels: list[int] = []
        for span in found[3].split(","):
            first, _, last = span.partition("-")
            if not 1 <= int(first) <= int(last or first) <= layer.inputs:
                raise CodeError(f"{layer.name} reads {brief(span)!r}; it has the channels 1 to {layer.inputs}")
            channels += range(int(first) - 1, int(last or first))
        if sorted(set(channels)) != channels or not (self.individual or channels == list(range(len(channels)))):
            needed = "each channel once, in their order" if self.individual else "the first channels, as in 1-4"
            raise CodeError(f"{layer.name} reads {brief(found[3])!r}; name {needed}")
        return Chosen(size, tuple(channels))

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The compact network: it has no channel that nothing reads, and no part of a kernel that is not used."""
        require_closed(genome, "the supernet of DAS has no gates; it is the largest network with scaled weights, which "
                               "the policy DAS trains")  # fmt: skip
        self.decisions(genome)
        chosen = self.chosen(genome)
        draft = Draft(self.input_shape)
        x = _taken(draft, chosen[0].channels)
        for at, (layer, (size, _)) in enumerate(zip(self.layers, chosen, strict=True)):
            last = at == len(self.layers) - 1
            filters = layer.filters if last else len(chosen[at + 1].channels)
            operations: list[Operation]
            if size is not None:
                height, width = draft.shape(x[0])[1:]
                operations = _convolution(filters, size, layer.stride, height, width)
            else:
                operations = [Flatten()] * (layer.name == "linear1") + [Linear(filters)]
            x = [str(draft.node(layer.name, x, *operations, *[ReLU()] * (not last), combine="concat"))]
        return draft.graph()


def _taken(draft: Draft, channels: Sequence[int]) -> list[str]:
    """These channels of the input, as the outputs of nodes, side by side."""
    found = []
    for first, last in runs(channels):
        cut: list[Operation] = [FirstChannels(last + 1)] if last + 1 < draft.input_shape[0] else []
        cut += [LastChannels(last + 1 - first)] if first else []
        found.append(str(draft.node(f"input{first + 1}-{last + 1}", [INPUT], *cut)) if cut else INPUT)
    return found


def _convolution(filters: int, size: tuple[int, int], stride: int, height: int, width: int) -> list[Operation]:
    """With as many zeros around its input as keep the size: around an even kernel, the odd one comes at the end."""
    if all(side % 2 for side in size):
        return [Convolution(filters, size, stride, bias=True)]
    padded = PadSize(height + size[0] - 1, width + size[1] - 1)
    return [padded, Convolution(filters, size, stride, padding=0, bias=True)]


def runs(channels: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last one of each run of channels that follow one another."""
    spans = []
    for _, run in groupby(enumerate(channels), lambda pair: pair[1] - pair[0]):
        numbers = [channel for _, channel in run]
        spans.append((numbers[0], numbers[-1]))
    return spans


def window(size: int, largest: int) -> slice:
    """Where a kernel of this height (or width) sits within the largest one: both have their middle, or what lies before
    it, at the same place."""
    begin = (largest - 1) // 2 - (size - 1) // 2
    return slice(begin, begin + size)
