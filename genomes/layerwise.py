"""Chains of layers in stages, on MobileNetV2's skeleton (Sandler et al. 2018): each layer is one of several blocks,
which stands beside a shortcut where shapes allow it. FairNAS, FBNet and ProxylessNAS differ in the blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, Dropout, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import CodeError, Decision, Genome, Space, Token
from evonas.support.text import brief


class Layer(NamedTuple):
    """A place for a block: channels of its input and output, and its stride."""

    inputs: int
    outputs: int
    stride: int

    @property
    def shortcut(self) -> bool:
        """The input is added to what the block makes of it."""
        return self.stride == 1 and self.inputs == self.outputs


@dataclass(frozen=True)
class LayerwiseSpace(Space):
    """One decision a layer: its block.

    widths    channels of each stage
    depths    layers of each stage
    strides   of the first layer of each stage
    stem      channels of the first convolution
    halves    the first convolution halves the image
    first     channels of the depthwise separable convolution after it; 0: there is none
    last      channels of the last 1x1 convolution
    dropout   before the classifier
    """

    published: ClassVar[Mapping[str, str]] = {}
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
        if min(*self.widths, *self.depths, self.stem, self.last, self.outputs) < 1 or self.first < 0:
            raise UserError("widths, depths, stem, last and outputs must be at least 1, and first at least 0; use such "
                            "numbers")  # fmt: skip
        if set(self.strides) - {1, 2} or not 0 <= self.dropout < 1:
            raise UserError(f"strides is {self.strides} and dropout {self.dropout}; use 1 or 2, and 0 to below 1")
        halvings = self.strides.count(2) + self.halves
        if min(self.input_shape[1:]) < 2**halvings:
            raise UserError(f"images of {self.input_shape[1:]} are too small to be halved {halvings} times; use fewer "
                            "strides of 2")  # fmt: skip

    # ---- what a subclass says -------------------------------------------------------------------------------------

    @abstractmethod
    def words(self, layer: Layer) -> Mapping[Token, str]:
        """The options of a layer, each with its word in a code."""

    @abstractmethod
    def block(self, option: Token, layer: Layer) -> Sequence[Operation] | None:
        """The operations of an option; None: nothing stands beside the shortcut."""

    # ---- the genome -----------------------------------------------------------------------------------------------

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        found, width = [], self.first or self.stem
        for channels, depth, halving in zip(self.widths, self.depths, self.strides, strict=True):
            for stride in [halving] + [1] * (depth - 1):
                found.append(Layer(width, channels, stride))
                width = channels
        return tuple(found)

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        if place == len(self.layers):
            return None
        return Decision(f"layer{place + 1}", tuple(self.words(self.layers[place])), place)

    def format(self, genome: Genome) -> str:
        """The word of each layer's block in order, with | between stages; k is its kernel and e its expansion."""
        self.decisions(genome)
        words = [self.words(layer)[token] for layer, token in zip(self.layers, genome, strict=True)]
        stages = []
        for depth in self.depths:
            stages.append(" ".join(words[:depth]))
            words = words[depth:]
        return " | ".join(stages)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes, or the name of a published network."""
        known = {word: token for layer in self.layers for token, word in self.words(layer).items()}
        words = self.published.get(code, code).replace("|", " ").split()
        if strange := [word for word in words if word not in known]:
            raise CodeError(f"{brief(strange[0])!r} is no layer; use {', '.join(known)}")
        genome = tuple(known[word] for word in words)
        self.decisions(genome)
        return genome

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft = Draft(self.input_shape)
        stem: list[Operation] = [Convolution(self.stem, 3, 2 if self.halves else 1), BatchNorm(), ReLU()]
        if self.first:
            stem += [Convolution(self.stem, 3, groups=self.stem), BatchNorm(), ReLU(), Convolution(self.first, 1),
                     BatchNorm()]  # fmt: skip
        x = draft.node("stem", [INPUT], *stem)
        for number, layer in enumerate(self.layers, 1):
            name = f"layer{number}"
            made = []
            for option, word in self.words(layer).items():
                gate, steps = choices[name][option], self.block(option, layer)
                if gate != 0 and steps is not None:
                    made.append(draft.candidate(f"{name}/{word}", x, gate, *steps))
            x = draft.node(f"{name}/output", [*[(x, 1)] * layer.shortcut, *made])
        dropout = [Dropout(self.dropout)] if self.dropout else []
        head = (Convolution(self.last, 1), BatchNorm(), ReLU(), GlobalAveragePool(), *dropout)
        draft.node("classifier", [x], *head, Linear(self.outputs))
        return draft.graph()


def inverted(layer: Layer, expansion: int, kernel: int) -> list[Operation]:
    """An inverted residual of MobileNetV2, without its shortcut."""
    inner = layer.inputs * expansion
    return [
        Convolution(inner, 1), BatchNorm(), ReLU(),
        Convolution(inner, kernel, layer.stride, groups=inner), BatchNorm(), ReLU(),
        Convolution(layer.outputs, 1), BatchNorm(),
    ]  # fmt: skip
