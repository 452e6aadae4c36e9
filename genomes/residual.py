"""A residual network written by hand, as a space of a single genome: the reference beside every search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.space import CodeError, Decision, Genome, Space, Token
from evonas.support.text import brief

WIDTHS = (16, 32, 64)  # of the stages for CIFAR's pictures (He et al. 2016, section 4.2)
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
        stem = [Convolution(self.widths[0], stride=2), BatchNorm(), ReLU()] * self.halvings
        stem = stem or [Convolution(self.widths[0]), BatchNorm(), ReLU()]
        x = str(draft.node("stem", [INPUT], *stem))
        before = self.widths[0]
        for stage, width in enumerate(self.widths, 1):
            for block in range(1, self.blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = _block(draft, f"stage{stage}/block{block}", x, before, width, stride)
                before = width
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


def _block(draft: Draft, name: str, x: str, before: int, width: int, stride: int) -> str:
    residual = draft.node(
        f"{name}/residual", [x], Convolution(width, stride=stride), BatchNorm(), ReLU(), Convolution(width), BatchNorm()
    )
    shortcut: str | None = x
    if stride > 1 or before != width:
        shortcut = draft.node(f"{name}/shortcut", [x], Convolution(width, 1, stride), BatchNorm())
    return str(draft.node(name + "/sum", [shortcut, residual], ReLU()))


def reference(input_shape: tuple[int, ...], outputs: int) -> ResidualSpace:
    """The reference network for pictures of this shape: three stages where the last one has two pixels left at its
    longer side, fewer for smaller pictures; those over 32 pixels are halved by the stem until they have no more."""
    channels, height, width = input_shape
    side, halvings = max(height, width), 0
    while side > LARGEST_SIDE:
        side, halvings = -(-side // 2), halvings + 1
    stages = 1
    while stages < len(WIDTHS) and side >> stages >= SMALLEST_SIDE:
        stages += 1
    return ResidualSpace(WIDTHS[:stages], halvings=halvings, input_shape=(channels, height, width), outputs=outputs)
