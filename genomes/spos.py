"""SPOS's chains of choice blocks (Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform
Sampling", arXiv:1904.00420): ShuffleNetV2's units with kernels of three sizes, or with three depthwise convolutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    Dropout,
    FirstChannels,
    GlobalAveragePool,
    LastChannels,
    Linear,
    Operation,
    ReLU,
    ShuffleChannels,
)
from evonas.space import CodeError, Decision, Genome, Space
from evonas.support.text import brief

KERNELS = {0: 3, 1: 5, 2: 7}  # of ShuffleNetV2's unit
XCEPTION = 3  # the option with three depthwise convolutions


@dataclass(frozen=True)
class SPOSSpace(Space):
    """Genomes are a digit a block: 0, 1 and 2 for ShuffleNetV2's unit (Ma et al. 2018) with a kernel of 3, 5 and 7; 3
    for an Xception-like one of three depthwise separable convolutions. The first block of each stage halves the image.

    repeats    blocks of each stage
    channels   of each stage; multiples of 4, since a block works on half of them
    stem       channels of the first convolution
    halves     the first convolution halves the image too
    last       channels of the last 1x1 convolution
    dropout    before the classifier, which has no bias
    search     as in the supernet: batch norms have neither scale nor shift
    """

    name: ClassVar[str] = "spos"
    repeats: tuple[int, ...] = (4, 4, 8, 4)
    channels: tuple[int, ...] = (64, 160, 320, 640)
    stem: int = 16
    halves: bool = True
    last: int = 1024
    dropout: float = 0.1
    search: bool = False
    input_shape: tuple[int, int, int] = (3, 224, 224)
    outputs: int = 1000

    def __post_init__(self) -> None:
        if not self.repeats or len(self.repeats) != len(self.channels):
            raise UserError(f"repeats is {self.repeats} and channels {self.channels}; give one of each for every stage")
        if min(*self.repeats, self.stem, self.last, self.outputs) < 1:
            raise UserError("repeats, stem, last and outputs must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is {self.dropout}; use 0 to below 1")
        before = (self.stem, *self.channels)
        if any(width % 4 or width <= 0 for width in self.channels) or any(
            width <= earlier for earlier, width in zip(before, self.channels, strict=False)
        ):
            raise UserError(f"channels is {self.channels}; use multiples of 4, more than {self.stem} and more in each "
                            "stage, since the first block of a stage adds channels to those it has")  # fmt: skip
        halvings = len(self.repeats) + self.halves
        if min(self.input_shape[1:]) < 2**halvings:
            raise UserError(f"images of {self.input_shape[1:]} are too small to be halved {halvings} times; use fewer "
                            "stages")  # fmt: skip

    def next(self, prefix: Genome) -> Decision | None:
        block = len(prefix)
        return Decision(f"block{block + 1}", (0, 1, 2, 3), block) if block < sum(self.repeats) else None

    @property
    def supernet(self) -> SPOSSpace:
        return replace(self, search=True)

    def format(self, genome: Genome) -> str:
        """The digits, a word for each stage: 2101 2020 20230000 3233."""
        self.decisions(genome)
        digits, words = "".join(map(str, genome)), []
        for repeats in self.repeats:
            words.append(digits[:repeats])
            digits = digits[repeats:]
        return " ".join(words)

    def parse(self, code: str) -> tuple[int, ...]:
        """Read what `format` writes, with or without the spaces, or as published: (2, 1, 0, ...)."""
        digits = code.translate(str.maketrans("", "", "(), "))
        if set(digits) - set("0123") or len(digits) != sum(self.repeats):
            raise CodeError(f"code {brief(code)!r} is not in this space; give {sum(self.repeats)} digits of 0 to 3")
        return tuple(map(int, digits))

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft, width = Draft(self.input_shape), self.stem
        x = draft.node("stem", [INPUT], Convolution(width, 3, 2 if self.halves else 1), self._norm, ReLU())
        block = 0
        for repeats, channels in zip(self.repeats, self.channels, strict=True):
            for first in [True] + [False] * (repeats - 1):
                block += 1
                name = f"block{block}"
                made = [self._block(draft, f"{name}/{option}", x, width, channels, int(str(option)), gate, first)
                        for option, gate in choices[name].items() if gate != 0]  # fmt: skip
                x, width = draft.node(f"{name}/output", made), channels
        dropout = [Dropout(self.dropout)] if self.dropout else []
        head = (Convolution(self.last, 1), self._norm, ReLU(), GlobalAveragePool(), *dropout)
        draft.node("classifier", [x], *head, Linear(self.outputs, bias=False))
        return draft.graph()

    @property
    def _norm(self) -> BatchNorm:
        return BatchNorm(affine=not self.search)

    def _block(
        self, draft: Draft, name: str, x: str | None, width: int, channels: int, option: int, gate: Gate, first: bool
    ) -> tuple[str | None, Gate]:
        """A unit beside a shortcut, their channels joined. The first block of a stage halves the image on both; later
        ones pass the even channels on, and work on the odd ones."""
        if first:
            own, halved = width, 2
            kernel = KERNELS.get(option, 3)
            depthwise = Convolution(width, kernel, 2, groups=width)
            shortcut = [depthwise, self._norm, Convolution(width, 1), self._norm, ReLU()]
            before: list[Operation] = []
        else:
            own, halved = width // 2, 1
            shortcut = [ShuffleChannels(own), FirstChannels(own)]
            before = [ShuffleChannels(own), LastChannels(own)]
        around = draft.node(f"{name}/shortcut", [x], *shortcut)
        unit = draft.node(f"{name}/unit", [x], *before, *self._unit(option, own, channels // 2, channels - own, halved))
        return draft.node(f"{name}/joined", [around, unit], combine="concat"), gate

    def _unit(self, option: int, width: int, middle: int, made: int, stride: int) -> list[Operation]:
        if option != XCEPTION:
            return [
                Convolution(middle, 1), self._norm, ReLU(),
                Convolution(middle, KERNELS[option], stride, groups=middle), self._norm,
                Convolution(made, 1), self._norm, ReLU(),
            ]  # fmt: skip
        return [
            Convolution(width, 3, stride, groups=width), self._norm, Convolution(middle, 1), self._norm, ReLU(),
            Convolution(middle, 3, groups=middle), self._norm, Convolution(middle, 1), self._norm, ReLU(),
            Convolution(middle, 3, groups=middle), self._norm, Convolution(made, 1), self._norm, ReLU(),
        ]  # fmt: skip
