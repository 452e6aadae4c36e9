"""Stacks of DARTS cells (Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search", arXiv:1806.09055),
whatever edges a space lets a cell have.

A cell has two inputs, the outputs of the two cells before it (0 the older, 1 the newer), and four nodes, each the sum
of operations on earlier states. Its output is the concatenation of the nodes. There is one normal and one reduction
cell; a network is a stack of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.genomes.cells import OPERATIONS as KNOWN
from evonas.genomes.cells import Placement, prepared
from evonas.genomes.genotype import CELLS, Genotype, GenotypeSpace
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, DropPath, GlobalAveragePool, Linear, Operation, ReLU
from evonas.space import CodeError, Genome, Token

OPERATIONS = (  # in the order of the published weights
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5",
)  # fmt: skip
NODES = (2, 3, 4, 5)
EDGES = tuple((source, target) for target in NODES for source in range(target))  # 14 per cell, by target
INPUTS = 2  # of a cell
AND = "+"  # between the operations of an edge that has several

Way = tuple[int, str, Gate]  # into a node: a source, an operation, and whether it is there


@dataclass(frozen=True)
class DARTSCells(GenotypeSpace):
    """Genomes list the operations of all edges: 14 of the normal cell, then 14 of the reduction cell, with `none` where
    there is no edge. A subclass says which edges a node may have.

    layers    number of cells; those at layers // 3 and 2 * layers // 3 are reduction cells
    channels  width of the first cells; doubled in each reduction
    stem      cifar: one 3x3 convolution; imagenet: three strided ones, which reduce the image to an eighth of its size
    search    the form of a supernet: batch norms do not learn a scale, and pooling is followed by one too
    """

    layers: int = 8
    channels: int = 16
    stem: str = "cifar"
    search: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.layers < 1 or self.channels < 2 or self.outputs < 1:
            raise UserError("layers must be at least 1, channels at least 2, outputs at least 1")
        if self.channels % 2:
            raise UserError(f"channels is {self.channels}; use an even number: reductions consist of two halves")
        if self.stem not in ("cifar", "imagenet"):
            raise UserError(f"stem is {self.stem!r}; use cifar or imagenet")
        halvings = len(self.reductions) + (3 if self.stem == "imagenet" else 0)
        if any(side % 2**halvings for side in self.input_shape[1:]):
            raise UserError(f"images of {self.input_shape[1:]} cannot be halved {halvings} times; use sides that are "
                            f"multiples of {2**halvings} (`--size`)")  # fmt: skip

    @property
    def reductions(self) -> set[int]:
        return {self.layers // 3, 2 * self.layers // 3}

    @property
    def supernet(self) -> Self:
        return replace(self, search=True)

    # ---- the genome -----------------------------------------------------------------------------------------------

    def genotype(self, genome: Genome) -> Genotype:
        """The cells of a genome in the form in which they are published."""
        self.decisions(genome)
        cells = {}
        for number, cell in enumerate(CELLS):
            tokens = genome[number * len(EDGES) : (number + 1) * len(EDGES)]
            edges = [(op, edge) for token, edge in zip(tokens, EDGES, strict=True) for op in members(token)]
            nodes = (tuple((op, source) for op, (source, end) in edges if end == node) for node in NODES)
            cells[cell] = tuple(pairs or (("none", 0),) for pairs in nodes)  # a node without edges adds nothing
        return Genotype(cells["normal"], NODES, cells["reduce"], NODES)

    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a published genotype of this space. Raises CodeError for one outside it."""
        _check(genotype)
        genome: list[Token] = []
        for cell in CELLS:
            pairs = [(op, (source, target)) for target, node in zip(NODES, getattr(genotype, cell), strict=False)
                     for op, source in node]  # fmt: skip
            if len(getattr(genotype, cell)) != len(NODES) or getattr(genotype, f"{cell}_concat") != NODES:
                raise CodeError(
                    f"the {cell} cell does not consist of nodes 2, 3, 4, 5, all concatenated; decode it as a genotype"
                )
            genome += [self.token([op for op, there in pairs if there == edge], cell) for edge in EDGES]
        self.decisions(genome)
        return tuple(genome)

    def token(self, operations: Sequence[str], cell: str) -> Token:
        """The token of an edge that has these operations. Raises CodeError where it cannot have several."""
        if len(operations) > 1:
            raise CodeError(f"the {cell} cell has a node that takes one input twice; decode it as a genotype")
        return operations[0] if operations else "none"

    @staticmethod
    def genotype_of(code: str) -> Genotype:
        """The genotype that a code denotes, as in `parse`. It may lie outside the space."""
        return Genotype.read(code, joined=lambda nodes: tuple(range(INPUTS, len(nodes) + INPUTS)))

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)

        def cell(kind: str) -> tuple[list[list[Way]], tuple[int, ...]]:
            edges: list[list[Way]] = [[] for _ in NODES]
            for source, target in EDGES:
                for operation, gate in choices[f"{kind}/{target}<-{source}"].items():
                    if gate != 0 and (operation != "none" or gate != 1):  # an absent edge adds nothing
                        edges[target - 2].append((source, str(operation), gate))
            return edges, NODES

        return self._stack(cell)

    def decode_genotype(self, genotype: Genotype) -> Graph:
        """The network of any published genotype, inside the space or not. Raises CodeError where nodes concatenate
        their inputs, which only NASNet's do."""
        _check(genotype)

        def cell(kind: str) -> tuple[list[list[Way]], tuple[int, ...]]:
            nodes = getattr(genotype, kind)
            edges: list[list[Way]] = [[(source, op, 1) for op, source in pairs if op != "none"] for pairs in nodes]
            return edges, getattr(genotype, f"{kind}_concat")

        return self._stack(cell)

    def _stack(self, cell: Callable[[str], tuple[list[list[Way]], tuple[int, ...]]]) -> Graph:
        """The network of stacked cells. `cell` maps a kind to the (source, operation, gate) triples of each node and to
        the states that are concatenated."""
        draft, affine = Draft(self.input_shape), not self.search
        older, newer, halved = self._stem(draft)
        channels, middle = self.channels, newer
        for number in range(self.layers):
            kind = "reduce" if number in self.reductions else "normal"
            if kind == "reduce":
                channels *= 2
            name = f"cell{number}"
            states = [
                prepared(draft, f"{name}/input0", older, channels, halve=halved, affine=affine),
                prepared(draft, f"{name}/input1", newer, channels, halve=False, affine=affine),
            ]
            nodes, joined = cell(kind)
            for ways in nodes:
                ways = ways or [(0, "none", 1)]  # a node without edges is zeros
                states.append(self.node(draft, name, kind, channels, states, ways))
            older, newer = newer, draft.node(f"{name}/output", [states[n] for n in joined], combine="concat")
            if number == 2 * self.layers // 3:
                middle = newer
            halved = kind == "reduce"
        draft.node("classifier", [newer], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph(auxiliary=None if self.search else middle)

    def node(
        self, draft: Draft, cell: str, kind: str, channels: int, states: Sequence[str | None], ways: Sequence[Way]
    ) -> str | None:
        """The next node of a cell: the sum of these ways into it."""
        target = len(states)
        arriving: list[tuple[str | None, Gate]] = []
        for nth, (source, operation, gate) in enumerate(ways):
            stride = 2 if kind == "reduce" and source < INPUTS else 1
            repeated = (source, operation) in [(s, o) for s, o, _ in ways[:nth]]
            name = f"{cell}/{target}-{source}/{operation}" + f"+{nth}" * repeated
            at = Placement(draft, name, states[source], channels, stride, not self.search, self.search)
            made = KNOWN[operation](at)
            if behind := self.behind(operation, stride):
                made = draft.then(made, *behind)
            arriving.append((made, gate))
        return draft.node(f"{cell}/node{target}", arriving)

    def behind(self, operation: str, stride: int) -> tuple[Operation, ...]:
        """What follows an operation: the path of one that is no identity may be dropped in a final training."""
        idle = operation == "none" or (operation == "skip_connect" and stride == 1)
        return () if self.search or idle else (DropPath(),)

    def _stem(self, draft: Draft) -> tuple[str | None, str | None, bool]:
        """The two inputs of the first cell, and whether the older one has twice the size."""
        if self.stem == "cifar":
            stem = draft.node("stem", [INPUT], Convolution(3 * self.channels), BatchNorm())
            return stem, stem, False
        c = 3 * self.channels if self.search else self.channels  # as in PC-DARTS's published search on ImageNet
        first = (Convolution(c // 2, 3, stride=2), BatchNorm(), ReLU(), Convolution(c, 3, stride=2), BatchNorm())
        older = draft.node("stem0", [INPUT], *first)
        return older, draft.node("stem1", [older], ReLU(), Convolution(c, 3, stride=2), BatchNorm()), True


def members(token: Token) -> tuple[str, ...]:
    """The operations of an edge."""
    return tuple(operation for operation in str(token).split(AND) if operation != "none")


def _check(genotype: Genotype) -> None:
    genotype.check(KNOWN)
    if joined := [kind for kind in CELLS if genotype.cell(kind).joins]:
        raise CodeError(
            f"the {joined[0]} cell has nodes that concatenate (&); in this space all nodes add, use NASNet's instead"
        )
