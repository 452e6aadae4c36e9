"""FairNAS's chains of inverted residuals (Chu, Zhang and Xu 2021, "FairNAS: Rethinking Evaluation Fairness of Weight
Sharing Neural Architecture Search", arXiv:1907.01845), on MobileNetV2's skeleton (Sandler et al. 2018)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from evonas.errors import UserError
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, Dropout, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import CodeError, Decision, Genome, Space
from evonas.support.text import brief

CHOICES = tuple(product((3, 6), (3, 5, 7)))  # (expansion, kernel) of the options 0 to 5
_LAYER = re.compile(r"e([36])k([357])")

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
class FairNASSpace(Space):
    """Each layer is an inverted residual: an expansion of 3 or 6, with a kernel of 3, 5 or 7. None can be left out.

    widths    channels of each stage
    depths    layers of each stage
    strides   of the first layer of each stage
    stem      channels of the first convolution
    halves    the first convolution halves the image
    first     channels of the depthwise separable convolution after it
    last      channels of the last 1x1 convolution
    dropout   before the classifier
    """

    name: ClassVar[str] = "fairnas"
    widths: tuple[int, ...] = (32, 40, 80, 96, 192, 320)
    depths: tuple[int, ...] = (2, 4, 4, 4, 4, 1)
    strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1)
    stem: int = 32
    halves: bool = True
    first: int = 16
    last: int = 1280
    dropout: float = 0.2
    input_shape: tuple[int, int, int] = (3, 224, 224)
    outputs: int = 1000

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.depths) == len(self.strides) > 0:
            raise UserError(f"widths is {self.widths}, depths {self.depths} and strides {self.strides}; give one of "
                            "each for every stage")  # fmt: skip
        if min(*self.widths, *self.depths, self.stem, self.first, self.last, self.outputs) < 1:
            raise UserError("widths, depths, stem, first, last and outputs must be at least 1")
        if set(self.strides) - {1, 2} or not 0 <= self.dropout < 1:
            raise UserError(f"strides is {self.strides} and dropout {self.dropout}; use 1 or 2, and 0 to below 1")
        halvings = self.strides.count(2) + self.halves
        if min(self.input_shape[1:]) < 2**halvings:
            raise UserError(f"images of {self.input_shape[1:]} are too small to be halved {halvings} times; use fewer "
                            "strides of 2")  # fmt: skip

    def next(self, prefix: Genome) -> Decision | None:
        layer = len(prefix)
        return Decision(f"layer{layer + 1}", tuple(range(len(CHOICES))), layer) if layer < sum(self.depths) else None

    def format(self, genome: Genome) -> str:
        """Expansion and kernel of each layer, stages apart: e3k7 e3k3 | e3k7 e6k3 e6k7 e3k3 | ..."""
        self.decisions(genome)
        words = [f"e{expansion}k{kernel}" for expansion, kernel in (CHOICES[int(str(token))] for token in genome)]
        stages = []
        for depth in self.depths:
            stages.append(" ".join(words[:depth]))
            words = words[depth:]
        return " | ".join(stages)

    def parse(self, code: str) -> tuple[int, ...]:
        """Read what `format` writes, or the name of a published network."""
        words = PUBLISHED.get(code, code).replace("|", " ").split()
        genome = []
        for word in words:
            if (found := _LAYER.fullmatch(word)) is None:
                raise CodeError(f"{brief(word)!r} is no layer; write it as in e6k5: expansion 3 or 6, kernel 3, 5 or 7")
            genome.append(CHOICES.index((int(found[1]), int(found[2]))))
        self.decisions(genome)
        return tuple(genome)

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft = Draft(self.input_shape)
        stem = (Convolution(self.stem, 3, 2 if self.halves else 1), BatchNorm(), ReLU())
        separable = (Convolution(self.stem, 3, groups=self.stem), BatchNorm(), ReLU(), Convolution(self.first, 1),
                     BatchNorm())  # fmt: skip
        x, width, layer = draft.node("stem", [INPUT], *stem, *separable), self.first, 0
        for channels, depth, halving in zip(self.widths, self.depths, self.strides, strict=True):
            for stride in [halving] + [1] * (depth - 1):
                layer += 1
                name = f"layer{layer}"
                shortcut = [(x, 1)] if stride == 1 and width == channels else []
                made = [
                    draft.candidate(f"{name}/e{expansion}k{kernel}", x, choices[name][option],
                                    *_inverted(width, channels, expansion, kernel, stride))
                    for option, (expansion, kernel) in enumerate(CHOICES) if choices[name][option] != 0
                ]  # fmt: skip
                x, width = draft.node(f"{name}/output", [*shortcut, *made]), channels
        dropout = [Dropout(self.dropout)] if self.dropout else []
        head = (Convolution(self.last, 1), BatchNorm(), ReLU(), GlobalAveragePool(), *dropout)
        draft.node("classifier", [x], *head, Linear(self.outputs))
        return draft.graph()


def _inverted(width: int, channels: int, expansion: int, kernel: int, stride: int) -> list[Operation]:
    inner = width * expansion
    return [
        Convolution(inner, 1), BatchNorm(), ReLU(),
        Convolution(inner, kernel, stride, groups=inner), BatchNorm(), ReLU(),
        Convolution(channels, 1), BatchNorm(),
    ]  # fmt: skip
