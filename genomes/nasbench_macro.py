"""NAS-Bench-Macro's chains (Su et al. 2021, "Prioritized Architecture Sampling with Monte-Carlo Tree Search",
arXiv:2103.11922): eight layers, each an identity or one of two MobileNetV2 blocks (Sandler et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import CodeError, Decision, Genome, Space, Token
from evonas.support.text import brief

BLOCKS = {1: (3, 3), 2: (5, 6)}  # option -> (kernel, expansion)


@dataclass(frozen=True)
class NASBenchMacroSpace(Space):
    """Genomes are eight digits: 0 for an identity, 1 for a block with kernel 3 and expansion 3, 2 for a block with
    kernel 5 and expansion 6.

    stages     number of layers in each stage; the first layer of a stage halves the image and doubles the channels
               (there the identity is a 1x1 convolution with batch norm)
    channels   width of the stem
    head       channels of the last 1x1 convolution
    """

    name: ClassVar[str] = "nasbench-macro"
    stages: tuple[int, ...] = (2, 3, 3)
    channels: int = 32
    head: int = 1280
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.stages or min(*self.stages, self.channels, self.head) < 1 or self.outputs < 1:
            raise UserError("stages, channels, head and outputs must be at least 1")
        if min(self.input_shape[1:]) < 2 ** len(self.stages):
            raise UserError(f"images of {self.input_shape} are too small to be halved {len(self.stages)} times")

    def next(self, prefix: Genome) -> Decision | None:
        layer = len(prefix)
        return Decision(f"layer{layer + 1}", (0, 1, 2), layer) if layer < sum(self.stages) else None

    def format(self, genome: Genome) -> str:
        """The official string of a genome, such as 22212202."""
        self.decisions(genome)
        return self.key(genome)

    def key(self, genome: Genome) -> str:
        """The key of the table: the official string, unchecked."""
        return "".join(map(str, genome))

    def parse(self, code: str) -> tuple[int, ...]:
        strange = sorted(set(code) - set("012"))
        if strange or len(code) != sum(self.stages):
            raise CodeError(f"code {brief(code)!r} is not in this space; give {sum(self.stages)} digits of 0, 1 and 2")
        return tuple(map(int, code))

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft = Draft(self.input_shape)
        channels = self.channels
        x = draft.node("stem", [INPUT], Convolution(channels), BatchNorm(), ReLU())
        layer = 0
        for layers in self.stages:
            for first in [True] + [False] * (layers - 1):
                layer += 1
                before, channels = channels, channels * (2 if first else 1)
                x = self._layer(draft, f"layer{layer}", x, before, channels, choices[f"layer{layer}"])
        draft.node("head", [x], Convolution(self.head, 1), BatchNorm(), ReLU(), GlobalAveragePool())
        draft.node("classifier", ["head"], Linear(self.outputs))
        return draft.graph()

    @staticmethod
    def _layer(
        draft: Draft, layer: str, x: str | None, before: int, channels: int, gates: Mapping[Token, Gate]
    ) -> str | None:
        strides = channels > before
        made: list[tuple[str | None, Gate]] = []
        if strides:
            shrink = (Convolution(channels, 1, stride=2, padding=0), BatchNorm())
            made.append(draft.candidate(f"{layer}/identity", x, gates[0], *shrink))
        else:
            made.append((x, 1))  # the identity, or the shortcut of either block
        for option, (kernel, expansion) in BLOCKS.items():
            block = _inverted_residual(before, channels, kernel, expansion, 2 if strides else 1)
            made.append(draft.candidate(f"{layer}/block{option}", x, gates[option], *block))
        return draft.node(f"{layer}/output", made)


def _inverted_residual(before: int, channels: int, kernel: int, expansion: int, stride: int) -> list[Operation]:
    inner = before * expansion
    return [
        Convolution(inner, 1), BatchNorm(), ReLU(),
        Convolution(inner, kernel, stride, groups=inner), BatchNorm(), ReLU(),
        Convolution(channels, 1), BatchNorm(),
    ]  # fmt: skip
