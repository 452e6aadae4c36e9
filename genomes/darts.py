"""The DARTS cells (Liu, Simonyan and Yang 2019, "DARTS: Differentiable Architecture Search", arXiv:1806.09055).

A cell has two inputs, the outputs of the two cells before it (0 the older, 1 the newer), and four nodes, each the sum
of two operations on two different earlier states. Its output is the concatenation of the nodes. There is one normal and
one reduction cell; a network is a stack of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.genomes.cells import OPERATIONS as KNOWN
from evonas.genomes.cells import Placement, edges_there, partial_edge, prepared, weighed
from evonas.genomes.genotype import CELLS, Genotype, GenotypeSpace
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, DropPath, GlobalAveragePool, Linear, ReLU
from evonas.space import CodeError, Decision, Genome, Open, Token, Weights

OPERATIONS = (  # in the order of the published weights
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5",
)  # fmt: skip
NODES = (2, 3, 4, 5)
EDGES = tuple((source, target) for target in NODES for source in range(target))  # 14 per cell, by target
INPUTS = 2  # of each node


@dataclass(frozen=True)
class DARTSSpace(GenotypeSpace):
    """Genomes list the operations of all edges: 14 of the normal cell, then 14 of the reduction cell, with `none` where
    there is no edge. Exactly two edges lead into each node.

    layers    number of cells; those at layers // 3 and 2 * layers // 3 are reduction cells
    channels  width of the first cells; doubled in each reduction
    stem      cifar: one 3x3 convolution; imagenet: three strided ones, which reduce the image to an eighth of its size
    search    the form of a supernet: batch norms do not learn a scale, and pooling is followed by one too
    every     every edge is a separate choice with `none` among the options, instead of two edges per node (SNAS)
    partial   K of PC-DARTS: operations see the first 1/K of the channels, the rest bypasses them; only in a search
    """

    name: ClassVar[str] = "darts"
    layers: int = 8
    channels: int = 16
    stem: str = "cifar"
    search: bool = False
    every: bool = False
    partial: int = 1
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.layers < 1 or self.channels < 2 or self.outputs < 1:
            raise UserError("layers must be at least 1, channels at least 2, outputs at least 1")
        if self.channels % 2:
            raise UserError(f"channels is {self.channels}; use an even number: reductions consist of two halves")
        if self.stem not in ("cifar", "imagenet"):
            raise UserError(f"stem is {self.stem!r}; use cifar or imagenet")
        if self.partial < 1 or self.channels % (2 * self.partial):
            raise UserError(f"partial is {self.partial} and channels {self.channels}; channels must be a multiple of "
                            "twice partial: reductions consist of two halves")  # fmt: skip
        if self.partial > 1 and self.every:
            raise UserError("partial channels require two edges into each node; set every=False, or partial=1")
        if self.partial > 1 and not self.search:
            raise UserError("partial channels exist only in a search; set search=True too, or partial=1")
        halvings = len(self.reductions) + (3 if self.stem == "imagenet" else 0)
        if any(side % 2**halvings for side in self.input_shape[1:]):
            raise UserError(f"images of {self.input_shape[1:]} cannot be halved {halvings} times; use sides that are "
                            f"multiples of {2**halvings} (`--size`)")  # fmt: skip

    @property
    def reductions(self) -> set[int]:
        return {self.layers // 3, 2 * self.layers // 3}

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        if len(prefix) == 2 * len(EDGES):
            return None
        cell, place = divmod(len(prefix), len(EDGES))
        source, target = EDGES[place]
        name = f"{CELLS[cell]}/{target}<-{source}"
        if self.every:
            return Decision(name, OPERATIONS, (len(prefix), None))
        taken: int | None = 0
        for token in prefix[len(prefix) - source :] if source else ():
            taken = None if taken is None or isinstance(token, Open) else taken + (token != "none")
        if taken is None:  # an earlier edge is open, so all options may follow
            return Decision(name, OPERATIONS, (len(prefix), None))
        missing, left = INPUTS - taken, target - source
        options: tuple[str, ...] = OPERATIONS if 0 < missing < left else OPERATIONS[1:] if missing else OPERATIONS[:1]
        return Decision(name, options, (len(prefix), taken))

    def next_open(self, prefix: Genome) -> Decision | None:
        """In a supernet `none` is among the options of every edge, as in the authors' code: 2 x 14 x 8 of them. No
        genome leaves out an edge into node 2, which has no third one."""
        decision = self.next(prefix)
        if decision is None or not self.search or EDGES[len(prefix) % len(EDGES)] != (0, 2):
            return decision
        return replace(decision, options=OPERATIONS)

    def genotype(self, genome: Genome) -> Genotype:
        """The cells of a genome in the form in which they are published."""
        self.decisions(genome)
        cells = {}
        for number, cell in enumerate(CELLS):
            tokens = genome[number * len(EDGES) : (number + 1) * len(EDGES)]
            edges = [(str(token), edge) for token, edge in zip(tokens, EDGES, strict=True) if token != "none"]
            nodes = (tuple((op, source) for op, (source, end) in edges if end == node) for node in NODES)
            cells[cell] = tuple(pairs or (("none", 0),) for pairs in nodes)  # a node without edges adds nothing
        return Genotype(cells["normal"], NODES, cells["reduce"], NODES)

    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a published genotype of this space. Raises CodeError for one outside it."""
        _check(genotype)
        genome: list[Token] = []
        for cell in CELLS:
            pairs = {(source, target): op for target, node in zip(NODES, getattr(genotype, cell), strict=False)
                     for op, source in node}  # fmt: skip
            if len(getattr(genotype, cell)) != len(NODES) or getattr(genotype, f"{cell}_concat") != NODES:
                raise CodeError(
                    f"the {cell} cell does not consist of nodes 2, 3, 4, 5, all concatenated; decode it as a genotype"
                )
            if len(pairs) < sum(map(len, getattr(genotype, cell))):
                raise CodeError(f"the {cell} cell has a node that takes one input twice; decode it as a genotype")
            genome += [pairs.get(edge, "none") for edge in EDGES]
        self.decisions(genome)
        return tuple(genome)

    @staticmethod
    def genotype_of(code: str) -> Genotype:
        """The genotype that a code denotes, as in `parse`. It may lie outside the space."""
        return Genotype.read(code, joined=lambda nodes: tuple(range(INPUTS, len(nodes) + INPUTS)))

    @property
    def supernet(self) -> DARTSSpace:
        return replace(self, search=True)

    def likeliest(self, weights: Weights) -> tuple[Token, ...]:
        """The paper's rule (section 2.4): each node keeps the two edges whose best operation has the largest weight,
        and each of them keeps that operation. `none` does not count as an operation. Where every edge is a separate
        choice, each takes its option with the largest weight."""
        if self.every:
            return super().likeliest(weights)
        genome: list[Token] = []
        for cell in CELLS:
            for target in NODES:
                best = {}
                for source in range(target):
                    asked = weights[f"{cell}/{target}<-{source}"]
                    best[source] = max((op for op in OPERATIONS[1:] if op in asked), key=lambda op: asked[op])
                strength = {source: weights[f"{cell}/{target}<-{source}"][op] for source, op in best.items()}
                kept = sorted(strength, key=lambda source: strength[source], reverse=True)[:INPUTS]
                genome += [best[source] if source in kept else "none" for source in range(target)]
        return tuple(genome)

    def route(self, genome: Genome) -> dict[str, Any]:
        """As in every space; with partial channels, an edge that is present also has weight 1 in the choice among the
        edges into its node."""
        route = super().route(genome)
        return route | edges_there(route) if self.partial > 1 else route

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        choices = self.choices(genome)

        def cell(kind: str) -> tuple[list[list], tuple[int, ...]]:
            edges: list[list] = [[] for _ in NODES]
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

        def cell(kind: str) -> tuple[list[list], tuple[int, ...]]:
            nodes = getattr(genotype, kind)
            edges = [[(source, op, 1) for op, source in pairs if op != "none"] for pairs in nodes]
            return edges, getattr(genotype, f"{kind}_concat")

        return self._stack(cell)

    def _stack(self, cell: Callable[[str], tuple[list[list], tuple[int, ...]]]) -> Graph:
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
            for target, there in enumerate(nodes, 2):
                edges = there or [(0, "none", 1)]  # a node without edges is zeros
                if self.partial > 1:
                    states.append(self._partial_node(draft, name, kind, states, edges))
                    continue
                arriving: list[tuple[str | None, Gate]] = []
                for nth, (source, operation, gate) in enumerate(edges):
                    stride = 2 if kind == "reduce" and source < 2 else 1
                    repeated = (source, operation) in [(s, o) for s, o, _ in edges[:nth]]
                    place = f"{name}/{target}-{source}/{operation}" + f"+{nth}" * repeated
                    at = Placement(draft, place, states[source], channels, stride, affine, self.search)
                    made = KNOWN[operation](at)
                    if not self.search and operation != "none" and not (operation == "skip_connect" and stride == 1):
                        made = draft.then(made, DropPath())
                    arriving.append((made, gate))
                states.append(draft.node(f"{name}/node{target}", arriving))
            older, newer = newer, draft.node(f"{name}/output", [states[n] for n in joined], combine="concat")
            if number == 2 * self.layers // 3:
                middle = newer
            halved = kind == "reduce"
        draft.node("classifier", [newer], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph(auxiliary=None if self.search else middle)

    def _partial_node(
        self, draft: Draft, cell: str, kind: str, states: list[str | None], edges: list[tuple[int, str, Gate]]
    ) -> str | None:
        """A node whose edges pass most channels on unchanged."""
        target = len(states)
        made: dict[int, str | None] = {}
        for source in sorted({source for source, _, _ in edges}):
            stride, name = 2 if kind == "reduce" and source < 2 else 1, f"{cell}/{target}-{source}"

            def mixed(first: str | None, few: int, source=source, stride=stride, name=name):
                return [
                    (KNOWN[op](Placement(draft, f"{name}/{op}", first, few, stride, affine=False, search=True)), gate)
                    for other, op, gate in edges
                    if other == source
                ]

            made[source] = partial_edge(draft, name, states[source], stride, self.partial, mixed)
        is_open = any(gate != 1 for *_, gate in edges)
        return draft.node(f"{cell}/node{target}", weighed(f"{kind}/{target}", made, is_open))

    def _stem(self, draft: Draft) -> tuple[str | None, str | None, bool]:
        """The two inputs of the first cell, and whether the older one has twice the size."""
        if self.stem == "cifar":
            stem = draft.node("stem", [INPUT], Convolution(3 * self.channels), BatchNorm())
            return stem, stem, False
        c = 3 * self.channels if self.search else self.channels  # as in PC-DARTS's published search on ImageNet
        first = (Convolution(c // 2, 3, stride=2), BatchNorm(), ReLU(), Convolution(c, 3, stride=2), BatchNorm())
        older = draft.node("stem0", [INPUT], *first)
        return older, draft.node("stem1", [older], ReLU(), Convolution(c, 3, stride=2), BatchNorm()), True


def _check(genotype: Genotype) -> None:
    genotype.check(KNOWN)
    if joined := [kind for kind in CELLS if genotype.cell(kind).joins]:
        raise CodeError(
            f"the {joined[0]} cell has nodes that concatenate (&); in this space all nodes add, use NASNet's instead"
        )
