"""TransNAS-Bench-101's two spaces (Duan et al. 2021, arXiv:2105.11871, section 3.1): cells in a fixed skeleton, and
skeletons of residual blocks. Both are decoded as the authors' networks for classification.

A skeleton is a digit a module, of two blocks each: 1 leaves width and size, 2 doubles the channels, 3 halves the image,
4 does both.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.genomes.cells import Placement, factorized_reduce
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Identity,
    Linear,
    Operation,
    PadChannels,
    ReLU,
    Zero,
)
from evonas.space import CodeError, Decision, Genome, Space, Token, require_closed
from evonas.support.text import brief

SKELETON = (4, 1, 4, 1, 4)  # of all cells
OPERATIONS = (0, 1, 2, 3)  # none, skip, 1x1 convolution, 3x3 convolution: the official digits
EDGES = tuple((source, target) for target in (1, 2, 3) for source in range(target))  # in the order of the official text
DECISIONS = tuple(Decision(f"{target}<-{source}", OPERATIONS, place) for place, (source, target) in enumerate(EDGES))
BLOCKS = 2  # of a module
MODULES = (4, 5, 6)  # how many modules a skeleton may have
DOUBLING, HALVING = (2, 4), (3, 4)  # the digits that do so
DOUBLED, HALVED = 3, 4  # how often a skeleton does so at most; at least once
Choices = Mapping[str, Mapping[Token, Gate]]


@dataclass(frozen=True)
class _TransNASSpace(Space):
    """A stem that halves the image twice, modules, global average pooling and a linear classifier.

    channels   width behind the stem
    """

    channels: int = 64
    input_shape: tuple[int, int, int] = (3, 224, 224)
    outputs: int = 75

    def __post_init__(self) -> None:
        if self.channels < 2 or self.channels % 2 or self.outputs < 1:
            raise UserError(f"channels is {self.channels} and outputs {self.outputs}; use an even number from 2 on, "
                            "since the stem begins with half as many, and at least 1")  # fmt: skip

    def format(self, genome: Genome) -> str:
        """The official string of a genome."""
        self.decisions(genome)
        return self.key(genome)

    @abstractmethod
    def key(self, genome: Genome) -> str:
        """The key of the table: the official string, unchecked."""

    def _draft(self) -> tuple[Draft, str | None]:
        """A draft with the stem."""
        draft = Draft(self.input_shape)
        return draft, draft.node(
            "stem", [INPUT], Convolution(self.channels // 2, stride=2), BatchNorm(), *_convolved(self.channels, 3, 2)
        )

    def _finished(self, draft: Draft, x: str | None) -> Graph:
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


@dataclass(frozen=True)
class TransNASMicroSpace(_TransNASSpace):
    """Genomes are six digits of operations, on the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2 of a cell, whose nodes sum
    their inputs: 0 none, 1 skip, 2 a 1x1 and 3 a 3x3 convolution. The skeleton is 41414.

    channels   width behind the stem
    """

    name: ClassVar[str] = "transnas101-micro"

    def next(self, prefix: Genome) -> Decision | None:
        return DECISIONS[len(prefix)] if len(prefix) < len(DECISIONS) else None

    def key(self, genome: Genome) -> str:
        """The key of the table: the official string, such as 64-41414-1_02_333, unchecked."""
        a, b, c, d, e, f = genome
        return f"{self.channels}-{''.join(map(str, SKELETON))}-{a}_{b}{c}_{d}{e}{f}"

    def parse(self, code: str) -> tuple[int, ...]:
        found = re.fullmatch(r".*-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])", code, re.ASCII)
        genome = tuple(map(int, found.groups())) if found else (0,) * len(EDGES)
        if found is None or code != self.key(genome):
            raise CodeError(f"code {brief(code)!r} is not in this space; one looks like {self.key((1, 0, 2, 3, 3, 3))}")
        return genome

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft, x = self._draft()
        channels = self.channels
        for number, kind in enumerate(SKELETON, 1):
            channels *= 2 if kind in DOUBLING else 1
            for block in range(1, BLOCKS + 1):
                stride = 2 if kind in HALVING and block == 1 else 1
                x = _cell(draft, f"module{number}/cell{block}", x, channels, stride, choices)
        return self._finished(draft, x)


@dataclass(frozen=True)
class TransNASMacroSpace(_TransNASSpace):
    """Genomes are the number of modules (4 to 6), then a digit for each: 1 leaves width and size, 2 doubles the
    channels, 3 halves the image, 4 does both. The channels are doubled one to three times, the image is halved one to
    four times, as in all 3,256 published networks.

    channels   width behind the stem
    """

    name: ClassVar[str] = "transnas101-macro"

    def next(self, prefix: Genome) -> Decision | None:
        if not prefix:
            return Decision("modules", MODULES, "modules")
        left = int(str(prefix[0])) - len(prefix) + 1
        if left == 0:
            return None
        doubled, halved = (sum(kind in kinds for kind in prefix[1:]) for kinds in (DOUBLING, HALVING))
        options = tuple(kind for kind in (1, 2, 3, 4) if _allowed(kind, left - 1, doubled, halved))
        return Decision(f"module{len(prefix)}", options, (prefix[0], len(prefix), doubled, halved))

    def key(self, genome: Genome) -> str:
        """The key of the table: the official string, such as 64-1234-basic, unchecked."""
        return f"{self.channels}-{''.join(map(str, genome[1:]))}-basic"

    def parse(self, code: str) -> tuple[int, ...]:
        found = re.fullmatch(r".*-([1-4]{4,6})-basic", code, re.ASCII)
        genome = (len(found[1]), *map(int, found[1])) if found else ()
        if found is None or code != self.key(genome):
            raise CodeError(f"code {brief(code)!r} is not in this space; one looks like {self.channels}-1234-basic, "
                            "with four to six digits from 1 to 4")  # fmt: skip
        self.decisions(genome)
        return genome

    def decode(self, genome: Genome) -> Graph:
        require_closed(genome, "the modules of a network depend on those before them, so open tokens have no network")
        self.decisions(genome)
        draft, x = self._draft()
        channels = self.channels
        for number, kind in enumerate(genome[1:], 1):
            before, channels = channels, channels * (2 if kind in DOUBLING else 1)
            x = _residual(draft, f"module{number}/block1", x, before, channels, 2 if kind in HALVING else 1)
            for block in range(2, BLOCKS + 1):
                x = _residual(draft, f"module{number}/block{block}", x, channels, channels, 1)
        return self._finished(draft, x)


def _allowed(kind: int, left: int, doubled: int, halved: int) -> bool:
    """Whether a module of this kind can stand here, with so many to come; one module can both double and halve."""
    doubled, halved = doubled + (kind in DOUBLING), halved + (kind in HALVING)
    return doubled <= DOUBLED and halved <= HALVED and (left > 0 or min(doubled, halved) > 0)


def _convolved(channels: int, kernel: int, stride: int) -> list[Operation]:
    padding = kernel // 2
    return [ReLU(), Convolution(channels, kernel, stride, padding), BatchNorm()]


def _cell(draft: Draft, cell: str, x: str | None, channels: int, stride: int, choices: Choices) -> str | None:
    """A cell; its first node alone has another size, and perhaps another width, than the others."""
    nodes = [x]
    for target in (1, 2, 3):
        arriving: list[tuple[str | None, Gate]] = []
        for source in range(target):
            for option, gate in choices[f"{target}<-{source}"].items():
                at = Placement(draft, f"{cell}/{target}-{source}/{option}", nodes[source], channels,
                               stride if source == 0 else 1)  # fmt: skip
                arriving.append((_candidate(at, option) if gate != 0 else None, gate))
        nodes.append(draft.node(f"{cell}/node{target}", arriving))
    return nodes[-1]


def _candidate(at: Placement, option: Token) -> str | None:
    if option == 0:
        return at.node(Zero(at.stride), *[PadChannels(at.channels)] * (at.width != at.channels))
    if option == 1:
        return at.node(Identity()) if at.fits else factorized_reduce(at)
    return at.node(*_convolved(at.channels, 1 if option == 2 else 3, at.stride))


def _residual(draft: Draft, name: str, x: str | None, before: int, channels: int, stride: int) -> str | None:
    """The authors' basic block, whose convolutions follow their rectifier, with nothing behind the sum."""
    residual = draft.node(f"{name}/residual", [x], *_convolved(channels, 3, stride), *_convolved(channels, 3, 1))
    shortcut = x
    if stride > 1 or before != channels:
        shortcut = draft.node(f"{name}/shortcut", [x], Convolution(channels, 1, stride, 0), BatchNorm())
    return draft.node(f"{name}/sum", [residual, shortcut])
