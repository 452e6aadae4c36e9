"""MnasNet's factorised blocks (Tan et al. 2019, "MnasNet: Platform-Aware Neural Architecture Search for Mobile",
arXiv:1807.11626, section 4.1; what the text leaves open follows the published code, tensorflow/tpu).

A network is a chain of blocks, each of equal layers. A genome makes six decisions for each block; its code lists the
blocks in the notation of the published code, such as

    r3_k5_s22_e3_i24_o40_se0.25   three inverted bottlenecks of expansion 3 with kernel 5x5, the first with stride 2;
                                  24 channels in, 40 out; squeeze and excite with ratio 0.25
    r1_k3_s11_e1_i32_o16_noskip   expansion 1: a depthwise and a 1x1 convolution
    r2_k3_s11_c_i16_o16_pool      plain convolutions and a pooled skip (both are additions to the published notation)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Dropout,
    GlobalAveragePool,
    Linear,
    Operation,
    ReLU,
    SqueezeExcite,
)
from evonas.space import CodeError, Decision, Genome, Space, Token, require_closed
from evonas.support.text import brief

EXPANSIONS = {"conv": 0, "dconv": 1, "mbconv3": 3, "mbconv6": 6}  # 0: a plain convolution
KERNELS = (3, 5)
SQUEEZES = (0.0, 0.25)
SKIPS = {"pool": "_pool", "identity": "", "none": "_noskip"}  # kind -> its notation in a code
WIDTHS = (0.75, 1.0, 1.25)  # factors on the skeleton's widths
LAYERS = (-1, 0, 1)  # added to the skeleton's numbers of layers
QUESTIONS = ("operation", "kernel", "squeeze", "skip", "filters", "layers")
OPTIONS: tuple[tuple[Any, ...], ...] = (tuple(EXPANSIONS), KERNELS, SQUEEZES, tuple(SKIPS), WIDTHS, LAYERS)
PUBLISHED = {
    "MnasNet-A1": "r1_k3_s11_e1_i32_o16_noskip r2_k3_s22_e6_i16_o24 r3_k5_s22_e3_i24_o40_se0.25 r4_k3_s22_e6_i40_o80 "
    "r2_k3_s11_e6_i80_o112_se0.25 r3_k5_s22_e6_i112_o160_se0.25 r1_k3_s11_e6_i160_o320",
    "MnasNet-B1": "r1_k3_s11_e1_i32_o16_noskip r3_k3_s22_e3_i16_o24 r3_k5_s22_e3_i24_o40 r3_k5_s22_e6_i40_o80 "
    "r2_k3_s11_e6_i80_o96 r4_k5_s22_e6_i96_o192 r1_k3_s11_e6_i192_o320",
}

MOST_LAYERS = 100  # of a block
_BLOCK = re.compile(
    rf"r({NUMBER})_k({NUMBER})_s([0-9])([0-9])_(?:e([1-9][0-9]{{0,8}})|c)_i({NUMBER})_o({NUMBER})"
    r"(?:_se([01]|0?\.[0-9]{1,4}))?(_noskip|_pool)?"
)


@dataclass(frozen=True)
class Block:
    """A number of equal layers, of which only the first has the stride and changes the width.

    expansion   factor of a layer's inner width; 1: none; 0: the layer is a single plain convolution
    squeeze     units of squeeze and excite as a fraction of the layer's input channels; 0: none
    skip        what is added to a layer's output: identity, pool or none
    """

    layers: int
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int
    squeeze: float
    skip: str

    def __str__(self) -> str:
        kind = f"e{self.expansion}" if self.expansion else "c"
        squeeze = f"_se{self.squeeze:g}" if self.squeeze else ""
        return (f"r{self.layers}_k{self.kernel}_s{self.stride}{self.stride}_{kind}_i{self.inputs}_o{self.outputs}"
                f"{squeeze}{SKIPS[self.skip]}")  # fmt: skip

    @classmethod
    def read(cls, text: str) -> Block:
        found = _BLOCK.fullmatch(text)
        if found is None or found[3] != found[4]:
            raise CodeError(f"{brief(text)!r} is not a block; write it as in r3_k5_s22_e3_i24_o40_se0.25")
        layers, kernel, stride, _, expansion, inputs, outputs = (int(word or 0) for word in found.groups()[:7])
        if kernel % 2 == 0 or min(layers, stride, outputs) < 1 or layers > MOST_LAYERS:
            raise CodeError(f"{text!r} has {layers} layers, kernel {kernel}, stride {stride} and {outputs} filters; "
                            f"use at least 1 of each, an odd kernel, and at most {MOST_LAYERS} layers")  # fmt: skip
        skip = next(name for name, suffix in SKIPS.items() if suffix == (found[9] or ""))
        return cls(layers, kernel, stride, expansion, inputs, outputs, float(found[8] or 0), skip)


@dataclass(frozen=True)
class MnasNetSpace(Space):
    """Six decisions for each block of a MobileNetV2 skeleton: operation, kernel, squeeze and excite, skip, filters (a
    multiple of the skeleton's) and layers (one fewer, as many, or one more; at least one).

    widths        channels of each block in the skeleton
    depths        layers of each block in the skeleton
    strides       stride of each block
    stem          channels of the 3x3 convolution before the blocks
    stem_stride   stride of that convolution
    head          channels of the 1x1 convolution after the blocks
    dropout       rate before the classifier
    """

    name: ClassVar[str] = "mnasnet"
    widths: tuple[int, ...] = (16, 24, 32, 64, 96, 160, 320)
    depths: tuple[int, ...] = (1, 2, 3, 4, 3, 3, 1)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    stem: int = 32
    stem_stride: int = 2
    head: int = 1280
    dropout: float = 0.2
    input_shape: tuple[int, int, int] = (3, 224, 224)
    outputs: int = 1000

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.depths) == len(self.strides) > 0:
            raise UserError(f"widths has {len(self.widths)} entries, depths {len(self.depths)} and strides "
                            f"{len(self.strides)}; give one of each per block")  # fmt: skip
        if min(*self.widths, *self.depths, *self.strides, self.stem, self.stem_stride, self.head) < 1:
            raise UserError("widths, depths, strides, stem, stem_stride and head must be at least 1")
        if self.outputs < 1 or not 0 <= self.dropout < 1:
            raise UserError(f"outputs is {self.outputs} and dropout {self.dropout}; use at least 1, and 0 to below 1")
        if max(self.strides) > 9:
            raise UserError(f"strides is {self.strides}; use 1 to 9")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        block, question = divmod(len(prefix), len(QUESTIONS))
        if block == len(self.widths):
            return None
        return Decision(f"block{block + 1}/{QUESTIONS[question]}", OPTIONS[question], len(prefix))

    def blocks(self, genome: Genome) -> list[Block]:
        """The blocks of a genome. Raises CodeError for a genome of another space, and for open tokens."""
        require_closed(genome, "blocks with open tokens have no network, because widths and layers depend on them")
        self.decisions(genome)
        found: list[Block] = []
        for number, (width, depth, stride) in enumerate(zip(self.widths, self.depths, self.strides, strict=True)):
            answers: Any = genome[number * len(QUESTIONS) :][: len(QUESTIONS)]
            operation, kernel, squeeze, skip, share, more = answers
            inputs = found[-1].outputs if found else self.stem
            found.append(
                Block(max(depth + more, 1), kernel, stride, EXPANSIONS[operation], inputs, _width(width, share),
                      squeeze, skip)
            )  # fmt: skip
        return found

    def genome(self, blocks: Sequence[Block]) -> tuple[Token, ...]:
        """The genome of blocks of this space. Raises CodeError for other blocks and names the first of them."""
        if len(blocks) != len(self.widths):
            raise CodeError(f"there are {len(blocks)} blocks; this skeleton has {len(self.widths)}")
        genome: list[Token] = []
        for number, block in enumerate(blocks):
            operation = next((name for name, factor in EXPANSIONS.items() if factor == block.expansion), None)
            share = next((s for s in WIDTHS if _width(self.widths[number], s) == block.outputs), None)
            more = next((m for m in (0, 1, -1) if max(self.depths[number] + m, 1) == block.layers), None)
            answers = operation, block.kernel, block.squeeze, block.skip, share, more
            told = zip(QUESTIONS, answers, OPTIONS, strict=True)
            if strange := [question for question, answer, options in told if answer not in options]:
                raise CodeError(
                    f"block {number + 1}, {block}: {', '.join(strange)} cannot have this value over a "
                    f"skeleton of {self.widths[number]} channels and {self.depths[number]} layers"
                )
            genome += answers
        if [str(block) for block in self.blocks(genome)] != [str(block) for block in blocks]:
            raise CodeError(f"strides or input channels of {' '.join(map(str, blocks))} are not this skeleton's")
        return tuple(genome)

    def format(self, genome: Genome) -> str:
        return " ".join(map(str, self.blocks(genome)))

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes. Raises CodeError, which names the invalid block."""
        return self.genome(read_blocks(code))

    def read(self, code: str) -> tuple[str, Graph]:
        """Read a code like `parse`, and decode blocks outside the space too, such as those of MnasNet-A1."""
        blocks = read_blocks(code)
        return " ".join(map(str, blocks)), self.decode_blocks(blocks)

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        return self.decode_blocks(self.blocks(genome))

    def decode_blocks(self, blocks: Sequence[Block]) -> Graph:
        """The network of any blocks that fit together. Raises CodeError where they do not."""
        draft = Draft(self.input_shape)
        x = str(draft.node("stem", [INPUT], Convolution(self.stem, 3, self.stem_stride), BatchNorm(), ReLU()))
        for number, block in enumerate(blocks, 1):
            if draft.shape(x)[0] != block.inputs:
                raise CodeError(f"block {number}, {block}, takes {block.inputs} channels, but gets {draft.shape(x)[0]}")
            for layer in range(1, block.layers + 1):
                x = _layer(draft, f"block{number}/layer{layer}", x, block, block.stride if layer == 1 else 1)
        dropout = [Dropout(self.dropout)] if self.dropout else []
        draft.node("classifier", [x], Convolution(self.head, 1), BatchNorm(), ReLU(), GlobalAveragePool(), *dropout,
                   Linear(self.outputs))  # fmt: skip
        return draft.graph()


def read_blocks(code: str) -> list[Block]:
    """The blocks of a code, or of the name of a published network."""
    words = PUBLISHED.get(code, code).replace(",", " ").split()
    if not words:
        raise CodeError(f"the code has no blocks; give {', '.join(PUBLISHED)}, or blocks such as r2_k3_s22_e6_i16_o24")
    return [Block.read(word) for word in words]


def _width(skeleton: int, share: float) -> int:
    return max(round(skeleton * share), 1)


def _layer(draft: Draft, name: str, x: str, block: Block, stride: int) -> str:
    channels = draft.shape(x)[0]
    squeeze = [SqueezeExcite(max(int(channels * block.squeeze), 1))] if block.squeeze else []
    steps: list[Operation] = []
    if block.expansion == 0:
        steps = [Convolution(block.outputs, block.kernel, stride), BatchNorm(), ReLU(), *squeeze]
    else:
        inner = channels * block.expansion
        if block.expansion > 1:
            steps = [Convolution(inner, 1), BatchNorm(), ReLU()]
        steps += [Convolution(inner, block.kernel, stride, groups=inner), BatchNorm(), ReLU(), *squeeze,
                  Convolution(block.outputs, 1), BatchNorm()]  # fmt: skip
    made = str(draft.node(f"{name}/main", [x], *steps))
    if channels != block.outputs or block.skip == "none" or (block.skip == "identity" and stride > 1):
        return made
    skip = x if block.skip == "identity" else draft.node(f"{name}/pooled", [x], AveragePool(3, stride, 1))
    return str(draft.node(f"{name}/sum", [made, skip]))
