"""GeNet's binary strings (Xie and Yuille 2017, "Genetic CNN", arXiv:1703.01513, section 3.1).

A network consists of a few stages of ordered nodes; each node sums its inputs, then applies convolution, batch norm and
ReLU. One bit for each ordered pair of nodes of a stage says whether the first feeds the second. Bits are grouped by the
target node: `1-01-100` means 1->2, 2->3 and 1->4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar

from evonas.errors import UserError
from evonas.gates import every, no, some
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, Dropout, Flatten, Linear, MaxPool, ReLU
from evonas.space import CodeError, Decision, Genome, Space
from evonas.support.text import brief


@dataclass(frozen=True)
class GeNetSpace(Space):
    """The defaults are a small setting for 8x8 digits; `MNIST` and `CIFAR10` below are the paper's.

    stages         number of ordinary nodes in each stage, K_s
    filters        channels of each stage
    first_kernel   kernel of the convolution at the entrance of a stage
    kernel         kernel of all other convolutions
    pool           kernel of the pooling (stride 2) that ends a stage: 2, or 3 with padding 1
    dense          features of the hidden dense layer; 0: no such layer
    dropout        rate before the classifier
    input_shape    (channels, height, width)
    """

    name: ClassVar[str] = "genet"
    stages: tuple[int, ...] = (3, 4)
    filters: tuple[int, ...] = (12, 24)
    first_kernel: int = 3
    kernel: int = 3
    pool: int = 2
    dense: int = 0
    dropout: float = 0.0
    input_shape: tuple[int, int, int] = (1, 8, 8)
    outputs: int = 10

    def __post_init__(self) -> None:
        if not self.stages or min(self.stages) < 1:
            raise UserError(f"stages is {_joined(self.stages)}; give each stage at least 1 node, such as stages=3,4")
        if len(self.filters) != len(self.stages) or min(self.filters) < 1:
            raise UserError(f"filters is {_joined(self.filters)} for stages {_joined(self.stages)}; give one width of "
                            "at least 1 for each stage, such as stages=3,4 filters=12,24")  # fmt: skip
        if self.first_kernel % 2 == 0 or self.kernel % 2 == 0 or min(self.first_kernel, self.kernel) < 1:
            raise UserError(f"kernels are {self.first_kernel} and {self.kernel}; use odd ones such as 3 and 5")
        if self.pool not in (2, 3):
            raise UserError(f"pool is {self.pool}; use 2, or 3 as in the paper's CIFAR-10 setting")
        if self.outputs < 1 or self.dense < 0 or not 0 <= self.dropout < 1:
            raise UserError("outputs must be at least 1, dense at least 0, dropout at least 0 and below 1")
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise UserError(f"input is {_joined(self.input_shape, 'x')}; give channels x height x width: 3x32x32")
        if min(self.input_shape[1:]) < 2 ** len(self.stages):
            raise UserError(
                f"images of {_joined(self.input_shape[1:], 'x')} are too small to be halved by the pooling of "
                f"{len(self.stages)} stages; use larger images (at least {2 ** len(self.stages)} pixels a side) "
                f"or fewer stages"
            )

    # ---- the genome: one bit for each pair of nodes ---------------------------------------------------------------

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of bits of each stage, K (K - 1) / 2."""
        return tuple(nodes * (nodes - 1) // 2 for nodes in self.stages)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """The slice of the genome that each stage occupies."""
        ends = list(accumulate(self.lengths))
        return tuple(slice(end - length, end) for end, length in zip(ends, self.lengths, strict=True))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the decisions in the order of the bits: stage1/1-2, stage1/1-3, stage1/2-3, ..."""
        return tuple(
            f"stage{s}/{source}-{target}"
            for s, nodes in enumerate(self.stages, 1)
            for target in range(2, nodes + 1)
            for source in range(1, target)
        )

    def next(self, prefix: Genome) -> Decision | None:
        names = self.names
        return Decision(names[len(prefix)], (0, 1), len(prefix)) if len(prefix) < len(names) else None

    def format(self, genome: Genome) -> str:
        """The code of a genome, such as 1-01/1-01-100. A stage of one node has no bits and is written as nothing."""
        self.decisions(genome)
        return "/".join(self._stage_code(genome[place]) for place in self.slices)

    def parse(self, code: str) -> tuple[int, ...]:
        """The bits of a code. Stages are separated by / (or |, as the paper prints them)."""
        stages = [stage.strip() for stage in code.replace("|", "/").split("/")]
        if len(stages) != len(self.stages):
            raise CodeError(f"code {brief(code)!r} has {len(stages)} stages, not {len(self.stages)}; {self._like()}")
        for number, (stage, nodes) in enumerate(zip(stages, self.stages, strict=True), 1):
            strange = sorted(set(stage) - set("01-"))
            if strange:
                raise CodeError(
                    f"code {brief(code)!r} has {strange[0]!r} in stage {number}; use 0, 1 and -; {self._like()}"
                )
            groups = stage.split("-") if stage else []
            if list(map(len, groups)) != list(range(1, nodes)):
                raise CodeError(f"stage {number} of code {brief(code)!r} is {brief(stage)!r}, which is not a stage of "
                                f"{nodes} nodes; {self._like()}")  # fmt: skip
        return tuple(int(bit) for bit in code if bit in "01")

    def _stage_code(self, bits: Genome) -> str:
        groups: list[str] = []
        start = 0
        while start < len(bits):
            size = len(groups) + 1
            groups.append("".join(map(str, bits[start : start + size])))
            start += size
        return "-".join(groups)

    def _like(self) -> str:
        example = "/".join(self._stage_code((0,) * length) for length in self.lengths)
        return f"a code for stages={_joined(self.stages)} looks like {example}"

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)
        draft = Draft(self.input_shape)
        x: str | None = INPUT
        for s, (nodes, filters) in enumerate(zip(self.stages, self.filters, strict=True), 1):
            stage = f"stage{s}"
            ordinary = range(1, nodes + 1)
            bit = {
                (source, target): choices[f"{stage}/{source}-{target}"][1]
                for target in ordinary
                for source in range(1, target)
            }
            fed = {j: some(bit[i, j] for i in range(1, j)) for j in ordinary}
            feeds = {j: some(bit[j, k] for k in range(j + 1, nodes + 1)) for j in ordinary}
            stage_is_one_conv = every(map(no, bit.values()))

            entry = draft.node(f"{stage}/input", [x], *_conv(filters, self.first_kernel))
            node: dict[int, str | None] = {}
            for j in ordinary:
                default_input_feeds_j = every([no(fed[j]), feeds[j]])  # has a successor and no predecessor
                inputs = [(entry, default_input_feeds_j), *((node[i], bit[i, j]) for i in range(1, j))]
                node[j] = draft.node(f"{stage}/node{j}", inputs, *_conv(filters, self.kernel))
            sinks = [(node[j], every([fed[j], no(feeds[j])])) for j in ordinary]  # a predecessor and no successor
            exit = draft.node(f"{stage}/output", sinks, *_conv(filters, self.kernel))
            pool = MaxPool(self.pool, 2, padding=self.pool // 3)
            x = draft.node(f"{stage}/pool", [(entry, stage_is_one_conv), (exit, no(stage_is_one_conv))], pool)
        hidden = (Linear(self.dense), ReLU()) if self.dense else ()
        dropout = (Dropout(self.dropout),) if self.dropout else ()
        draft.node("classifier", [x], Flatten(), *hidden, *dropout, Linear(self.outputs))
        return draft.graph()


def _conv(filters: int, kernel: int) -> tuple[Convolution, BatchNorm, ReLU]:
    return Convolution(filters, kernel), BatchNorm(), ReLU()


def _joined(numbers: Sequence[int], by: str = ",") -> str:
    return by.join(map(str, numbers)) or "empty"


# The paper's two settings (sections 4.1 and 4.2). It does not state the padding of its 3x3 pooling; with 1, 32 pixels
# become 16, 8 and 4.
MNIST = GeNetSpace((3, 5), (20, 50), first_kernel=5, dense=500, dropout=0.5, input_shape=(1, 28, 28))
CIFAR10 = GeNetSpace((3, 4, 5), (8, 16, 32), first_kernel=5, pool=3, dense=128, dropout=0.5, input_shape=(3, 32, 32))
# For colour images on a small machine: a three-stage network narrow enough for a CPU to train in minutes.
SMALL = GeNetSpace((3, 4, 5), (16, 32, 64), input_shape=(3, 32, 32))
DIGITS = GeNetSpace()
