"""The layers of NAS-RL (Zoph and Le 2017, "Neural Architecture Search with Reinforcement Learning", arXiv:1611.01578,
sections 3.1 and 3.3).

A network is a chain of convolutions, each followed by batch norm and ReLU, with skips: a layer takes the concatenation
of any of the layers before it. A code gives the height and width of each layer, its strides where they are searched,
its number of filters and the layers that it takes:

    3x3-24 | 5x7-36 | 1x3-48 <1,2 | 3x3/2x1-64 <3
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.genomes.notation import NUMBER
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    PadSize,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Pointer, Space, Token, require_closed
from evonas.support.text import brief

OPEN = "layers with open tokens have no network, because sizes and widths depend on them"
_LAYER = re.compile(
    rf"({NUMBER})x({NUMBER})(?:/({NUMBER})x({NUMBER}))?-({NUMBER})(?: *< *({NUMBER}(?: *, *{NUMBER})*))?"
)


class Layer(NamedTuple):
    """A convolution. `inputs` are the layers that it takes, counted from 1; it takes the image where there are none."""

    height: int
    width: int
    stride: tuple[int, int]
    filters: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class NASRLSpace(Space):
    """A genome gives the number of layers, where there is a choice, and then for each layer its height, width, two
    strides (where there is a choice), number of filters, and for each earlier layer whether it is taken.

    A layer that takes no other layer takes the image. The layers that no layer takes are concatenated before the
    classifier. Where sizes differ, smaller maps are padded with zeros on all sides.

    lengths   options for the number of layers
    kernels   options for heights and widths
    strides   options for vertical and horizontal strides
    filters   options for the number of filters of a layer
    pools     layers after which a max pooling halves the map
    """

    name: ClassVar[str] = "nas-rl"
    lengths: tuple[int, ...] = (6, 8, 10, 12, 14, 16, 18, 20)
    kernels: tuple[int, ...] = (1, 3, 5, 7)
    strides: tuple[int, ...] = (1,)
    filters: tuple[int, ...] = (24, 36, 48, 64)
    pools: tuple[int, ...] = ()
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        for name in ("lengths", "kernels", "strides", "filters"):
            values = getattr(self, name)
            if not values or min(values) < 1 or len(set(values)) < len(values):
                raise UserError(f"{name} is {values}; give at least one number from 1, each once")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise UserError(f"kernels is {self.kernels}; use odd sizes, which keep the size of the map")
        if strange := [each for each in self.pools if each not in range(1, max(self.lengths) + 1)]:
            raise UserError(
                f"pools is {self.pools}, but {strange[0]!r} is not a layer; layers are 1 to {max(self.lengths)}"
            )
        if self.outputs < 1:
            raise UserError(f"outputs is {self.outputs}; use at least 1")

    # ---- the genome -----------------------------------------------------------------------------------------------

    @property
    def _questions(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The decisions of each layer before its skips, with their options; filters come last."""
        strides = (("stride_height", self.strides), ("stride_width", self.strides)) if len(self.strides) > 1 else ()
        return (("height", self.kernels), ("width", self.kernels), *strides, ("filters", self.filters))

    @property
    def _says_length(self) -> int:
        return int(len(self.lengths) > 1)

    def next(self, prefix: Genome) -> Decision | None:
        if self._says_length and not prefix:
            return Decision("layers", self.lengths, ())
        require_closed(prefix[: self._says_length], OPEN)
        length: Any = prefix[0] if self._says_length else self.lengths[0]
        position, questions = len(prefix) - self._says_length, self._questions
        layer = 1
        while position >= len(questions) + layer - 1:
            position -= len(questions) + layer - 1
            layer += 1
        if layer > length:
            return None
        state = length, len(prefix)
        if position < len(questions):
            kind, options = questions[position]
            return Decision(f"layer{layer}/{kind}", options, state, kind=kind)
        earlier = position - len(questions) + 1
        pointer = Pointer(self._anchor(layer), (None, self._anchor(earlier)))
        return Decision(f"layer{layer}/skip{earlier}", (0, 1), state, kind="skip", pointer=pointer)

    def _anchor(self, layer: int) -> int:
        """The place of a layer's last token before its skips. The state after reading it represents the layer."""
        return self._says_length + layer * len(self._questions) + (layer - 1) * (layer - 2) // 2 - 1

    def layers(self, genome: Genome) -> list[Layer]:
        """The layers of a genome. Raises CodeError for a genome of another space, and for open tokens."""
        require_closed(genome, OPEN)
        told: dict[str, Any] = {d.name: token for d, token in zip(self.decisions(genome), genome, strict=True)}
        found = []
        for number in range(1, (told["layers"] if self._says_length else self.lengths[0]) + 1):
            at = f"layer{number}"
            down, across = (told.get(f"{at}/stride_{side}", self.strides[0]) for side in ("height", "width"))
            inputs = tuple(earlier for earlier in range(1, number) if told[f"{at}/skip{earlier}"])
            found.append(
                Layer(told[f"{at}/height"], told[f"{at}/width"], (down, across), told[f"{at}/filters"], inputs)
            )
        return found

    def format(self, genome: Genome) -> str:
        words = []
        for layer in self.layers(genome):
            stride = "/{}x{}".format(*layer.stride) if len(self.strides) > 1 else ""
            inputs = f" <{','.join(map(str, layer.inputs))}" if layer.inputs else ""
            words.append(f"{layer.height}x{layer.width}{stride}-{layer.filters}{inputs}")
        return " | ".join(words)

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes. Raises CodeError, which names the faulty place."""
        layers = code.split("|")
        if self._says_length and len(layers) not in self.lengths:
            raise CodeError(
                f"code {brief(code)!r} has {len(layers)} layers; use one of {', '.join(map(str, self.lengths))}"
            )
        genome: list[Token] = [len(layers)] * self._says_length
        for number, text in enumerate(layers, 1):
            found = _LAYER.fullmatch(text.strip())
            if found is None:
                raise CodeError(f"{brief(text.strip())!r} is not a layer; write height x width - filters < inputs, as "
                                "in 3x5-24 <1,2 (with /2x1 before the -, where strides are searched)")  # fmt: skip
            height, width, down, across, filters, taken = found.groups()
            inputs = {int(word) for word in (taken or "").replace(",", " ").split()}
            if strange := sorted(inputs - set(range(1, number))):
                raise CodeError(f"layer {number} takes layer {strange[0]}; only earlier layers can be taken")
            unsaid = self.strides[0] if len(self.strides) == 1 else 1
            strides = [int(down or unsaid), int(across or unsaid)]
            if len(self.strides) == 1 and strides != [self.strides[0]] * 2:
                raise CodeError(f"{text.strip()!r} has strides, which are not searched here: all are {self.strides[0]}")
            genome += [int(height), int(width), *(strides if len(self.strides) > 1 else ()), int(filters)]
            genome += [int(earlier in inputs) for earlier in range(1, number)]
        self.decisions(genome)
        return tuple(genome)

    # ---- the network ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        draft = Draft(self.input_shape)
        layers, outputs = self.layers(genome), [INPUT]
        for number, layer in enumerate(layers, 1):
            name = f"layer{number}"
            steps: list[Operation] = [
                Convolution(layer.filters, (layer.height, layer.width), layer.stride), BatchNorm(), ReLU()
            ]  # fmt: skip
            inputs = [outputs[each] for each in layer.inputs or (0,)]
            outputs.append(str(draft.node(f"{name}/main", _level(draft, name, inputs), *steps, combine="concat")))
            if number in self.pools and min(draft.shape(outputs[-1])[1:]) >= 2:
                draft.then(outputs[-1], MaxPool(2, 2, 0))
        taken = {each for layer in layers for each in layer.inputs}
        loose = [outputs[number] for number in range(1, len(outputs)) if number not in taken]
        draft.node("classifier", _level(draft, "last", loose), GlobalAveragePool(), Linear(self.outputs),
                   combine="concat")  # fmt: skip
        return draft.graph()


def _level(draft: Draft, name: str, inputs: Sequence[str]) -> list[str]:
    """The inputs, the smaller ones padded with zeros to the largest sides."""
    height, width = (max(draft.shape(each)[side] for each in inputs) for side in (1, 2))
    return [
        each if draft.shape(each)[1:] == (height, width)
        else str(draft.node(f"{name}/padded{number}", [each], PadSize(height, width)))
        for number, each in enumerate(inputs, 1)
    ]  # fmt: skip
