"""A hand-written network as a space of a single genome: the reference beside every search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, Flatten, Linear, MaxPool, ReLU
from evonas.space import CodeError, Decision, Genome, Space, Token
from evonas.support.text import brief


@dataclass(frozen=True)
class PlainSpace(Space):
    """Stages of 3x3 convolutions with batch norm and ReLU, each followed by 2x2 max pooling, then a linear classifier.

    There are no decisions: the only genome is (). The shape is VGG's (Simonyan and Zisserman 2015), scaled down.
    """

    name: ClassVar[str] = "plain"
    filters: tuple[int, ...] = (16, 32, 64)
    depth: int = 2  # convolutions in a stage
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if min(self.input_shape[1:]) < 2 ** len(self.filters):
            raise UserError(
                f"{len(self.filters)} stages are too many for images of {self.input_shape}; use larger ones"
            )

    def next(self, prefix: Genome) -> Decision | None:
        return None

    def format(self, genome: Genome) -> str:
        self.decisions(genome)
        return "/".join("-".join([f"conv{filters}"] * self.depth) for filters in self.filters)

    def parse(self, code: str) -> tuple[Token, ...]:
        if code != (only := self.format(())):
            raise CodeError(f"the only code of this space is {only!r}, not {brief(code)!r}")
        return ()

    def decode(self, genome: Genome) -> Graph:
        self.decisions(genome)
        draft = Draft(self.input_shape)
        x: str | None = INPUT
        for stage, filters in enumerate(self.filters, 1):
            for layer in range(1, self.depth + 1):
                x = draft.node(f"stage{stage}/conv{layer}", [x], Convolution(filters), BatchNorm(), ReLU())
            x = draft.node(f"stage{stage}/pool", [x], MaxPool())
        draft.node("classifier", [x], Flatten(), Linear(self.outputs))
        return draft.graph()


def reference(input_shape: tuple[int, ...], outputs: int) -> PlainSpace:
    """The reference network for images of this shape: as many stages as they allow, up to three."""
    stages = min(3, min(input_shape[1:]).bit_length() - 2)
    channels, height, width = input_shape
    return PlainSpace((16, 32, 64)[: max(stages, 1)], input_shape=(channels, height, width), outputs=outputs)
