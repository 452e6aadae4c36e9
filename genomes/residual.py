"""A residual network written by hand, as a space of a single genome: the reference beside every search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import AveragePool, BatchNorm, Convolution, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import CodeError, Decision, Genome, Space, Token
from evonas.support.text import brief

WIDTHS = (16, 32, 64)  # of the stages for CIFAR's pictures (He et al. 2016, section 4.2)
STAGES = len(WIDTHS)
SMALLEST_SIDE = 2  # of the last stage, in pixels
LARGEST_SIDE = 32  # of the first stage: larger pictures are halved before it


@dataclass(frozen=True)
class ResidualSpace(Space):
    """A stem, stages of residual blocks, global average pooling and a linear classifier (He et al. 2016, "Deep
    Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2).

    There are no decisions: the only genome is (). A block has two 3x3 convolutions; the first block of each later stage
    halves the picture. Where width or size change, the shortcut is a 1x1 convolution (the paper's option B).

    widths    channels of each stage
    blocks    residual blocks of a stage
    halvings  how often the stem halves the picture before the first stage
    """

    name: ClassVar[str] = "residual"
    widths: tuple[int, ...] = WIDTHS
    blocks: int = 2
    halvings: int = 0
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.blocks, self.outputs) < 1 or self.halvings < 0:
            raise UserError("use at least one stage, as in widths=16,32,64, one block, and one output")

    def next(self, prefix: Genome) -> Decision | None:
        return None

    def format(self, genome: Genome) -> str:
        self.decisions(genome)
        return f"residual-{'-'.join(map(str, self.widths))}x{self.blocks}"

    def parse(self, code: str) -> tuple[Token, ...]:
        if code != (only := self.format(())):
            raise CodeError(f"the only code of this space is {only!r}, not {brief(code)!r}")
        return ()

    def decode(self, genome: Genome) -> Graph:
        self.decisions(genome)
        draft = Draft(self.input_shape)
        x = draw_stem(draft, self.widths[0], self.halvings)
        for stage, width in enumerate(self.widths, 1):
            for block in range(1, self.blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                branch = basic(draft.shape(x)[0], width, 3, stride)
                x = residual(draft, f"stage{stage}/block{block}", x, [("residual", 1, branch)], width, stride)
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


def basic(channels: int, width: int, kernel: int, stride: int) -> list[Operation]:
    """The two convolutions of a residual block."""
    return [Convolution(width, kernel, stride), BatchNorm(), ReLU(), Convolution(width, kernel), BatchNorm()]


def draw_stem(draft: Draft, width: int, halvings: int) -> str:
    """A 3x3 convolution, or as many as halve the picture."""
    strides = [2] * halvings or [1]
    steps = [step for stride in strides for step in (Convolution(width, stride=stride), BatchNorm(), ReLU())]
    return str(draft.node("stem", [INPUT], *steps))


def residual(
    draft: Draft,
    name: str,
    x: str,
    branches: Iterable[tuple[str, Gate, Sequence[Operation]]],
    width: int,
    stride: int,
    pooled: bool = False,
) -> str:
    """A layer: the sum of a shortcut and of its branches (name, gate, operations), and a ReLU. Where width or size
    change, the shortcut is a 1x1 convolution (He et al. 2016, option B); `pooled`, averages halve the picture before it
    (He et al. 2019, "Bag of Tricks", arXiv:1812.01187, ResNet-D)."""
    made = [draft.candidate(f"{name}/{branch}", x, gate, *operations) for branch, gate, operations in branches]
    shortcut: str | None = x
    if stride > 1 or draft.shape(x)[0] != width:
        halved = pooled and stride > 1
        pool = [AveragePool(3, stride, 1)] if halved else []
        shortcut = draft.node(
            f"{name}/shortcut", [x], *pool, Convolution(width, 1, 1 if halved else stride), BatchNorm()
        )
    return str(draft.node(f"{name}/sum", [shortcut, *made], ReLU()))


def stem_halvings(input_shape: tuple[int, ...]) -> int:
    """How often a stem halves a picture before the first stage: until it has no more than 32 pixels at a side."""
    side, halvings = max(input_shape[1:]), 0
    while side > LARGEST_SIDE:
        side, halvings = -(-side // 2), halvings + 1
    return halvings


def reference(input_shape: tuple[int, ...], outputs: int) -> ResidualSpace:
    """The reference network for pictures of this shape: three stages where the last one has two pixels left at its
    longer side, fewer for smaller pictures; those over 32 pixels are halved by the stem until they have no more."""
    channels, height, width = input_shape
    halvings, side, stages = stem_halvings(input_shape), max(height, width), 1
    for _ in range(halvings):
        side = -(-side // 2)
    while stages < len(WIDTHS) and side >> stages >= SMALLEST_SIDE:
        stages += 1
    return ResidualSpace(WIDTHS[:stages], halvings=halvings, input_shape=(channels, height, width), outputs=outputs)
