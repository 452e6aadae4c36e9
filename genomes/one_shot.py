"""The space of One-Shot (Bender et al. 2018, "Understanding and Simplifying One-Shot Architecture Search", ICML, PMLR
80, pages 550-559): a stack of identical cells, whose choice blocks add one or two operations on any of their inputs.

States 0 and 1 of a cell are the outputs of the two cells before (0 the older), and blocks count from 2; the output is
the concatenation of all blocks. A code says of each block its inputs and its operations:

    01:sep3+max 2:id 023:sep5+conv7 14:avg

The operations take what a 1x1 convolution makes of the inputs, and their outputs are added. Batch norm and ReLU stand
before each convolution:

    id                 what comes in
    sep3, sep5, sep7   two depthwise separable convolutions
    conv7              a 1x7 convolution, then a 7x1 one
    max, avg           pooling, 3x3
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.gates import Gate, no, some
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Zero,
)
from evonas.space import CodeError, Decision, Genome, Open, Space, Token, require_closed
from evonas.support.text import brief

BITS = (False, True)
INPUTS = 2  # of a cell
ADDED = 2  # operations of a block at most
BLOCKS = 8  # at most: codes have one digit for an input
_BLOCK = re.compile(r"([0-9]+):([a-z0-9+]+)")


def convolved(convolution: Convolution) -> list[Operation]:
    return [BatchNorm(), ReLU(), convolution]


def separable(kernel: int) -> Callable[[int], list[Operation]]:
    def twice(channels: int) -> list[Operation]:
        once = [*convolved(Convolution(channels, kernel, groups=channels)), Convolution(channels, 1)]
        return [*once, *once]

    return twice


def conv_1x7_7x1(channels: int) -> list[Operation]:
    return [*convolved(Convolution(channels, (1, 7))), *convolved(Convolution(channels, (7, 1)))]


OPERATIONS: dict[str, Callable[[int], list[Operation]]] = {  # by the channels that come in and go out
    "id": lambda channels: [Identity()],
    "sep3": separable(3),
    "sep5": separable(5),
    "sep7": separable(7),
    "conv7": conv_1x7_7x1,
    "max": lambda channels: [MaxPool(3, 1, 1)],
    "avg": lambda channels: [AveragePool(3, 1, 1)],
}


class Group(NamedTuple):
    """Bits of which at least one is on, and `most` at most."""

    name: str
    bits: tuple[str, ...]
    most: int


@dataclass(frozen=True)
class OneShotSpace(Space):
    """Genomes are bits: for each block one for each of its inputs, any of which are on, but not none, and one for each
    of the seven operations, of which one or two are on. A route through the supernet may have any bits on, and none:
    what has no path is zeros.

    All cells have the blocks of the genome, with weights of their own. What cells `cells // 3` and `2 * cells // 3`
    take is halved by average pooling, and their channels are doubled. The cells before the first are the two layers of
    the stem.

    The paper concatenates all inputs of a block, those that are off being zeros, and applies one 1x1 convolution. That
    is exactly a sum of a 1x1 convolution for each input that is on, which is what stands here; the zeros are then those
    behind batch norm and ReLU.

    cells      of the stack
    channels   F: filters of the first convolution, and of a block until the size is halved
    blocks     of a cell
    """

    name: ClassVar[str] = "one-shot"
    cells: int = 6
    channels: int = 16
    blocks: int = 4
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.cells < 3 or min(self.channels, self.outputs) < 1:
            raise UserError(f"cells is {self.cells}, channels {self.channels} and outputs {self.outputs}; use at least "
                            "3, one for each size, 1 and 1")  # fmt: skip
        if not 1 <= self.blocks <= BLOCKS:
            raise UserError(f"blocks is {self.blocks}; use 1 to {BLOCKS}")
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    @property
    def computed(self) -> range:
        """The states that blocks make."""
        return range(INPUTS, INPUTS + self.blocks)

    @property
    def reductions(self) -> tuple[int, int]:
        """The cells that halve the size."""
        return self.cells // 3, 2 * self.cells // 3

    # ---- the genome -----------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The bits in the order of a genome."""
        return tuple(
            group
            for block in self.computed
            for group in (
                Group(f"block{block}/input", tuple(map(str, range(block))), block),
                Group(f"block{block}/operation", tuple(OPERATIONS), ADDED),
            )
        )

    def next(self, prefix: Genome) -> Decision | None:
        place, begin = len(prefix), 0
        for group in self.groups:
            if place < begin + len(group.bits):
                break
            begin += len(group.bits)
        else:
            return None
        given = [token.options if isinstance(token, Open) else (bool(token),) for token in prefix[begin:]]
        left = len(group.bits) - len(given)
        room = min(group.most - given.count((True,)), left)
        none_on = all(tokens == (False,) for tokens in given)
        options = (False,) if room < 1 else (True,) if none_on and left == 1 else BITS
        return Decision(f"{group.name}/{group.bits[len(given)]}", options, (place, room, none_on))

    def next_open(self, prefix: Genome) -> Decision | None:
        """An open bit is on or off, whatever the others are."""
        decision = self.next(prefix)
        return decision and replace(decision, options=BITS, state=len(prefix))

    def format(self, genome: Genome) -> str:
        """The code of a genome, such as `01:sep3+max 2:id 023:sep5+conv7 14:avg`."""
        require_closed(genome, "a code names inputs and operations, which open tokens have not")
        on = self.route(genome)
        names = {group.name: [bit for bit in group.bits if on[f"{group.name}/{bit}"]] for group in self.groups}
        return " ".join(
            f"{''.join(names[f'block{block}/input'])}:{'+'.join(names[f'block{block}/operation'])}"
            for block in self.computed
        )

    def parse(self, code: str) -> tuple[Token, ...]:
        """Reads what `format` writes, inputs and operations in any order. Raises CodeError, which names the block."""
        words = code.split()
        genome: list[Token] = []
        for block, word in enumerate(words[: self.blocks], INPUTS):
            said = f"block {block} is {brief(word)!r}"
            if (found := _BLOCK.fullmatch(word)) is None:
                raise CodeError(f"{said}; write its inputs and operations, as in 01:sep3+max")
            inputs, operations = list(found[1]), found[2].split("+")
            if not _each_once(inputs, map(str, range(block))):
                raise CodeError(f"{said}; its inputs are some of 0 to {block - 1}, each once")
            if not _each_once(operations, OPERATIONS) or len(operations) > ADDED:
                raise CodeError(f"{said}; its operations are one or two of {', '.join(OPERATIONS)}")
            genome += [str(state) in inputs for state in range(block)]
            genome += [operation in operations for operation in OPERATIONS]
        if len(words) != self.blocks:
            raise CodeError(f"code {brief(code)!r} has {len(words)} blocks; in this space a cell has {self.blocks}, "
                            "with a space between them")  # fmt: skip
        return tuple(genome)

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        on = {name: of.get(True, 0) for name, of in self.choices(genome).items()}
        blocks = [
            _Block(
                [on[f"block{block}/input/{state}"] for state in range(block)],
                {operation: on[f"block{block}/operation/{operation}"] for operation in OPERATIONS},
            )
            for block in self.computed
        ]
        taken = [some(block.inputs[state] for block in blocks) for state in range(INPUTS)]  # by some block
        needed = self._needed(taken)
        draft, channels = Draft(self.input_shape), self.channels
        stem = draft.node("stem0", [INPUT], Convolution(channels))
        outputs = {-2: stem}  # of the cells, those of the stem being before the first
        if -1 in needed:
            outputs[-1] = draft.node("stem1", [stem], *convolved(Convolution(channels)))
        for cell in sorted(needed - {-2, -1}):
            halvings = self._halvings(cell)
            states = [
                draft.candidate(
                    f"cell{cell}/input{state}",
                    outputs.get(source),
                    gate,
                    *[AveragePool()] * (halvings - self._halvings(source)),
                    *convolved(Convolution(channels * 2**halvings, 1)),
                )[0]
                for state, (source, gate) in enumerate(zip((cell - 2, cell - 1), taken, strict=True))
            ]
            outputs[cell] = _cell(draft, f"cell{cell}", states, channels * 2**halvings, blocks)
        head = BatchNorm(), ReLU(), GlobalAveragePool(), Linear(self.outputs)
        draft.node("classifier", [outputs[self.cells - 1]], *head)
        return draft.graph()

    def _halvings(self, cell: int) -> int:
        """How often the size is halved up to this cell."""
        return sum(at <= cell for at in self.reductions)

    def _needed(self, taken: Sequence[Gate]) -> set[int]:
        """The cells from which a path leads to the output, the layers of the stem being cells -2 and -1. Where no block
        takes the newer input, these are every other one."""
        needed = {self.cells - 1}
        for cell in reversed(range(self.cells)):
            if cell in needed:
                needed |= {source for source, gate in zip((cell - 2, cell - 1), taken, strict=True) if gate != 0}
        return needed


def _each_once(given: Sequence[str], known: Iterable[str]) -> bool:
    return set(given) <= set(known) and len(set(given)) == len(given)


class _Block(NamedTuple):
    """Whether each input of a block is on, and each operation."""

    inputs: Sequence[Gate]
    operations: Mapping[str, Gate]


def _cell(draft: Draft, name: str, states: list[str | None], channels: int, blocks: Sequence[_Block]) -> str | None:
    """The blocks of a cell on its two inputs."""
    lacking = some(_none(gates) for block in blocks for gates in (block.inputs, block.operations.values()))
    zeros, _ = draft.candidate(f"{name}/zeros", states[0] or states[1], lacking, Zero())
    for number, block in enumerate(blocks, INPUTS):
        place = f"{name}/block{number}"
        taken = [
            draft.candidate(f"{place}/input{state}", source, gate, *convolved(Convolution(channels, 1)))
            for state, (source, gate) in enumerate(zip(states, block.inputs, strict=True))
        ]
        joined = draft.node(f"{place}/joined", [*taken, (zeros, _none(block.inputs))])
        made = [
            draft.candidate(f"{place}/{operation}", joined, gate, *OPERATIONS[operation](channels))
            for operation, gate in block.operations.items()
        ]
        states = [*states, draft.node(f"{place}/sum", [*made, (zeros, _none(block.operations.values()))])]
    return draft.node(f"{name}/output", states[INPUTS:], combine="concat")


def _none(gates: Iterable[Gate]) -> Gate:
    """A gate that is open where all `gates` are closed."""
    return no(some(gates))
