"""Stages of blocks: a space around the residual network by hand, for searches that are to beat it.

A network is a stem, up to four stages of equal layers, global average pooling and a linear classifier. Each layer is a
block: it adds its branch to a shortcut, and applies a ReLU. The branches are those of the literature:

    basic        two convolutions (He et al. 2016, arXiv:1512.03385)
    bottleneck   1x1, a convolution of half the width, 1x1 (the same; a quarter there)
    separable    two depthwise separable convolutions (Chollet 2017, arXiv:1610.02357)
    inverted     1x1, depthwise of three times the channels, 1x1 (Sandler et al. 2018, arXiv:1801.04381)
    fused        a convolution to twice the channels, 1x1 (Gupta and Tan 2019, EfficientNet-EdgeTPU)

A code says the channels of the stem, with `pooled` where shortcuts halve the picture by averages, and then of each
stage the block and its kernel, `se` for squeeze and excite (Hu et al. 2018, arXiv:1709.01507), channels x layers, and
/2 where it halves the picture:

    stem16 basic3-16x2 basic3-32x2/2 basic3-64x2/2       the residual network by hand
    stem16-pooled basic3-16x1 inverted5se-48x3/2
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.gates import Gate, every, some
from evonas.genomes.notation import NUMBER
from evonas.genomes.residual import SMALLEST_SIDE, STAGES, basic, draw_stem, residual, stem_halvings
from evonas.graph import Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Linear,
    Operation,
    ReLU,
    SqueezeExcite,
)
from evonas.space import CodeError, Decision, Genome, Open, Space, Token
from evonas.support.text import brief

Block = Callable[[int, int, int, int], list[Operation]]  # (channels, width, kernel, stride) -> operations


def bottleneck(channels: int, width: int, kernel: int, stride: int) -> list[Operation]:
    inner = max(width // 2, 1)
    return [Convolution(inner, 1), BatchNorm(), ReLU(), Convolution(inner, kernel, stride), BatchNorm(), ReLU(),
            Convolution(width, 1), BatchNorm()]  # fmt: skip


def separable(channels: int, width: int, kernel: int, stride: int) -> list[Operation]:
    return [
        Convolution(channels, kernel, stride, groups=channels), Convolution(width, 1), BatchNorm(), ReLU(),
        Convolution(width, kernel, groups=width), Convolution(width, 1), BatchNorm(),
    ]  # fmt: skip


def inverted(channels: int, width: int, kernel: int, stride: int) -> list[Operation]:
    inner = 3 * channels
    return [
        Convolution(inner, 1), BatchNorm(), ReLU(),
        Convolution(inner, kernel, stride, groups=inner), BatchNorm(), ReLU(),
        Convolution(width, 1), BatchNorm(),
    ]  # fmt: skip


def fused(channels: int, width: int, kernel: int, stride: int) -> list[Operation]:
    return [Convolution(2 * channels, kernel, stride), BatchNorm(), ReLU(), Convolution(width, 1), BatchNorm()]


BLOCKS: dict[str, Block] = {
    "basic": basic, "bottleneck": bottleneck, "separable": separable, "inverted": inverted, "fused": fused,
}  # fmt: skip
SHORTCUTS = ("strided", "pooled")  # how they halve the picture
QUESTIONS = ("layers", "block", "kernel", "squeeze", "width", "stride")  # of a stage
MOST_CHANNELS = 128  # of a skeleton that limits decide
REDUCTION, LEAST_UNITS = 4, 4  # of squeeze and excite: channels to a unit; units
_STEM = re.compile(rf"stem({NUMBER})(-pooled)?")
_STAGE = re.compile(rf"([a-z]+)({NUMBER})(se)?-({NUMBER})x({NUMBER})(/2)?")


class Stage(NamedTuple):
    """The answers of a stage, in the order of a genome; any of the first four may be open."""

    layers: Any
    block: Any
    kernel: Any
    squeeze: Any
    width: float
    stride: int


@dataclass(frozen=True)
class BlockSpace(Space):
    """Two decisions for the whole network, its stem's width and its shortcuts, and six for each stage: layers, block,
    kernel, squeeze and excite, width, and stride. A later stage of no layers is none, and ends the genome.

    Widths are factors of the skeleton's, which has `channels` at first and twice as many after each halving. Pictures
    over 32 pixels are halved by the stem until they have no more, and no stage halves them below 2 pixels.

    channels   of the skeleton where the picture is not yet halved by a stage
    stages     at most
    layers     of a stage at most
    blocks, kernels, widths
               options of the decisions
    fixed      stages, widths, strides and shortcuts are those of the residual network by hand: what is left to decide
               may be open, and such is the supernet of the space
    """

    name: ClassVar[str] = "blocks"
    channels: int = 16
    stages: int = 4
    layers: int = 4
    blocks: tuple[str, ...] = tuple(BLOCKS)
    kernels: tuple[int, ...] = (3, 5)
    widths: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
    fixed: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if min(self.channels, self.stages, self.layers, self.outputs) < 1:
            raise UserError("channels, stages, layers and outputs must be at least 1")
        if not self.blocks or set(self.blocks) - set(BLOCKS):
            raise UserError(f"blocks is {', '.join(self.blocks)}; use some of {', '.join(BLOCKS)}")
        if not self.kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise UserError(f"kernels is {self.kernels}; use odd numbers, such as 3, 5")
        if not self._differ(self.channels):
            raise UserError(f"widths is {self.widths}; of {self.channels} channels these must be different numbers, "
                            "from 1 on")  # fmt: skip
        if self.fixed and 1 not in self.widths:
            raise UserError(f"widths is {self.widths}; where they are fixed, it has 1")

    def _differ(self, channels: int) -> bool:
        """Whether the widths are different numbers of channels."""
        rounded = {round(channels * width) for width in self.widths}
        return len(rounded) == len(self.widths) > 0 and min(rounded) >= 1

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        if len(prefix) == 0:
            return Decision("stem", self._widths, 0)
        if len(prefix) == 1:
            return Decision("shortcut", SHORTCUTS[:1] if self.fixed else SHORTCUTS, 1)
        stage, place = divmod(len(prefix) - 2, len(QUESTIONS))
        if stage == self._stages or (stage and place == 1 and prefix[-1] == 0):
            return None
        strides = [prefix[2 + len(QUESTIONS) * before + QUESTIONS.index("stride")] for before in range(stage)]
        halvings = strides.count(2)
        options: tuple[Token, ...] = (
            tuple(range(0 if stage and not self.fixed else 1, self.layers + 1)),
            self.blocks,
            self.kernels,
            (False, True),
            self._widths,
            self._strides(stage, halvings),
        )[place]
        return Decision(f"stage{stage + 1}/{QUESTIONS[place]}", options, (stage, place, halvings))

    @property
    def _widths(self) -> tuple[float, ...]:
        return (1.0,) if self.fixed else self.widths

    @property
    def _stages(self) -> int:
        """Stages at most."""
        return self._stages_by_hand if self.fixed else self.stages

    @property
    def _stages_by_hand(self) -> int:
        """Those of the residual network by hand."""
        return min(self.stages, STAGES, self._halvings + 1)

    @property
    def _halvings(self) -> int:
        """How often stages may halve the picture."""
        side = max(self.input_shape[1:])
        for _ in range(stem_halvings(self.input_shape)):
            side = -(-side // 2)
        halvings = 0
        while side >> (halvings + 1) >= SMALLEST_SIDE:
            halvings += 1
        return halvings

    def _strides(self, stage: int, halvings: int) -> tuple[int, ...]:
        if self.fixed:
            return (2,) if stage else (1,)
        return (1, 2) if halvings < self._halvings else (1,)

    def by_hand(self) -> tuple[Token, ...]:
        """The genome of the residual network by hand: `genomes.residual.reference`. Where a space has been left without
        one of its tokens, the nearest number stands for it, or the first option."""
        wanted: tuple[Token, ...] = (1.0, "strided")
        for stage in range(self._stages_by_hand):
            wanted += (2, "basic", 3, False, 1.0, 2 if stage else 1)
        if self._stages_by_hand < self._stages:
            wanted += (0,)
        genome: tuple[Token, ...] = ()
        for token in wanted:
            decision = self.next(genome)
            assert decision is not None, "whatever is answered, the next question is the same"
            genome += (_nearest(token, decision.options),)
        return genome

    # ---- its code -------------------------------------------------------------------------------------------------

    def format(self, genome: Genome) -> str:
        self.decisions(genome)
        if any(isinstance(token, Open) for token in genome):
            return " ".join(map(str, genome))
        stem, shortcut, stages = self._read(genome)
        words = [f"stem{self._width(stem, 0)}{'-pooled' if shortcut == 'pooled' else ''}"]
        halvings = 0
        for stage in stages:
            halvings += stage.stride == 2
            squeeze, halved = "se" if stage.squeeze else "", "/2" if stage.stride == 2 else ""
            width = self._width(stage.width, halvings)
            words.append(f"{stage.block}{stage.kernel}{squeeze}-{width}x{stage.layers}{halved}")
        return " ".join(words)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes. Raises CodeError, which names the faulty word."""
        first, *others = code.split() or [""]
        if (found := _STEM.fullmatch(first)) is None:
            raise CodeError(f"a code begins with the stem, as in stem16 or stem16-pooled, not with {brief(first)!r}")
        genome: list[Token] = [self._factor(int(found[1]), 0, first), "pooled" if found[2] else "strided"]
        halvings = 0
        for word in others:
            if (found := _STAGE.fullmatch(word)) is None:
                raise CodeError(f"{brief(word)!r} is no stage; write it as in basic3-16x2, or basic3-32x2/2")
            block, kernel, squeeze, width, layers, halved = found.groups()
            halvings += halved is not None
            factor = self._factor(int(width), halvings, word)
            genome += [int(layers), block, int(kernel), squeeze is not None, factor, 2 if halved else 1]
        if not self.fixed and len(others) < self.stages:
            genome.append(0)
        self.decisions(genome)
        return tuple(genome)

    def _width(self, factor: float, halvings: int) -> int:
        return round(self.channels * factor) * 2**halvings

    def _factor(self, width: int, halvings: int, word: str) -> float:
        for factor in self._widths:
            if self._width(factor, halvings) == width:
                return factor
        known = ", ".join(str(self._width(factor, halvings)) for factor in self._widths)
        raise CodeError(f"{word} has {width} channels; in its place there may be {known}")

    def _read(self, genome: Genome) -> tuple[Any, Any, list[Stage]]:
        answers: Any = tuple(genome)
        stem, shortcut, *rest = answers
        size = len(QUESTIONS)
        return stem, shortcut, [Stage(*rest[size * stage :][:size]) for stage in range(len(rest) // size)]

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        stem, shortcut, stages = self._read(genome)
        pooled = _closed("shortcut", shortcut) == "pooled"
        draft = Draft(self.input_shape)
        x = draw_stem(draft, self._width(_closed("stem", stem), 0), stem_halvings(self.input_shape))
        halvings = 0
        for number, stage in enumerate(stages, 1):
            name = f"stage{number}"
            _require_certain(f"{name}/layers", stage.layers)
            stride = _closed(f"{name}/stride", stage.stride)
            halvings += stride == 2
            width = self._width(_closed(f"{name}/width", stage.width), halvings)
            for layer in range(1, _most(stage.layers) + 1):
                deep = some(gate for layers, gate in choices[f"{name}/layers"].items() if int(str(layers)) >= layer)
                stride = stride if layer == 1 else 1
                branches = _branches(draft.shape(x)[0], width, stride, choices, name, deep)
                x = residual(draft, f"{name}/layer{layer}", x, branches, width, stride, pooled)
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()

    def within(self, keeps: Callable[[Graph], bool]) -> BlockSpace:
        """With as many channels as the residual network by hand may have within the limits, and at least so many that
        the widths differ."""

        def fits(channels: int) -> bool:
            sized = replace(self, channels=channels)
            return keeps(sized.decode(sized.by_hand()))

        possible = [channels for channels in range(1, MOST_CHANNELS + 1) if self._differ(channels)]
        if not possible:
            return self
        fitting = bisect_left(possible, True, key=lambda channels: not fits(channels))
        return replace(self, channels=possible[max(fitting - 1, 0)])

    @property
    def supernet(self) -> BlockSpace:
        """Where shapes depend on no decision, all others may be open."""
        return replace(self, fixed=True)


def _branches(
    channels: int, width: int, stride: int, choices: Mapping[str, Mapping[Token, Gate]], stage: str, deep: Gate
) -> Iterator[tuple[str, Gate, tuple[Operation, ...]]]:
    """The branches that a layer of the stage may have: name, gate and operations.

    deep   open where the stage has so many layers
    """
    answers = ([(option, gate) for option, gate in choices[f"{stage}/{question}"].items() if gate != 0]
               for question in ("block", "kernel", "squeeze"))  # fmt: skip
    for (block, is_block), (kernel, is_kernel), (squeezed, is_squeezed) in product(*answers):
        gate = every((deep, is_block, is_kernel, is_squeezed))
        name = f"{block}{kernel}{'se' if squeezed else ''}"
        yield name, gate, _operations(str(block), int(str(kernel)), bool(squeezed), channels, width, stride)


@lru_cache(maxsize=4096)
def _operations(
    block: str, kernel: int, squeezed: bool, channels: int, width: int, stride: int
) -> tuple[Operation, ...]:
    squeeze = [SqueezeExcite(max(width // REDUCTION, LEAST_UNITS))] if squeezed else []
    return *BLOCKS[block](channels, width, kernel, stride), *squeeze


def _closed(name: str, token: Any) -> Any:
    """The answer on which shapes depend. Raises CodeError where it is open."""
    if isinstance(token, Open):
        if len(token.options) > 1:
            raise CodeError(f"{name} is open, and shapes depend on it; close it, or have it fixed (fixed=True)")
        return token.options[0]
    return token


def _require_certain(name: str, layers: Any) -> None:
    """Raise CodeError where it is open whether there is such a stage."""
    if isinstance(layers, Open) and 0 in layers.options and len(layers.options) > 1:
        raise CodeError(f"{name} may be 0, and shapes depend on it; close it, or have it fixed (fixed=True)")


def _most(token: Any) -> int:
    """The largest number of layers that a stage may have."""
    options: Any = token.options if isinstance(token, Open) else (token,)
    return max(options)


def _nearest(token: Any, options: Sequence[Any]) -> Token:
    """The token itself where it is an option."""
    if token in options:
        return token
    return min(options, key=lambda option: abs(option - token)) if isinstance(token, int | float) else options[0]
