"""The micro space of ENAS (Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing",
arXiv:1802.03268), in the form of its supernet and in that of a final network; `enas_macro.py` has its other space.

There are two cells, a normal and a reduction one. A node adds two operations, each on any state before it: states 0 and
1 are the outputs of the two cells before (0 the older), nodes count from 2. What no node takes is the output.

Where the paper leaves it open the networks follow the authors' code (github.com/melodyguan/enas).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.gates import Gate, every, no
from evonas.genomes.cells import OPERATIONS as KNOWN
from evonas.genomes.cells import Placement, factorized_reduce
from evonas.genomes.genotype import CELLS, Genotype, GenotypeSpace, Node, unused
from evonas.genomes.notation import whole
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, DropPath, GlobalAveragePool, Linear, ReLU
from evonas.space import CodeError, Decision, Genome, Pointer, Token, require_closed
from evonas.support.text import brief

MICRO = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")  # by their published numbers
SIDES = ("x", "y")  # the two operations that a node adds; they share no weights
ANSWERS = 2 * len(SIDES)  # decisions of a node
NO_CODE = "a code numbers operations and inputs, which open tokens have not"
NO_NETWORK = "what a final network concatenates depends on the tokens: leave them open with search=True, or"


@dataclass(frozen=True)
class ENASMicroSpace(GenotypeSpace):
    """Genomes are two inputs and two operations for each node: of the normal cell, then of the reduction one, in the
    order in which the paper's controller chooses. Codes are as published: for each node its first input and operation,
    then its second, all as numbers.

    layers    N: there are N + 2 cells; reduction cells stand at N // 3 and 2 (N // 3) + 1
    channels  F: filters of the first cells; doubled in each reduction
    nodes     that a cell computes
    search    the form of the supernet. A reduction cell has stride 1 behind a factorized reduction, which stands in for
              its newer input. A 1x1 convolution brings the concatenated nodes back to F filters; it is a sum of one
              convolution a node, since the inputs decide which nodes it joins. Weights belong to a cell, node, side,
              operation and input. Else, in a final network, operations on inputs 0 and 1 of a reduction cell have
              stride 2, one more 1x1 convolution stands on input 1, and the output is the concatenation

    Batch norms learn a scale in both forms, one for each input that an operation may have. In their code a search takes
    each batch's own statistics, always: a matter of training.
    """

    name: ClassVar[str] = "enas-micro"
    layers: int = 6
    channels: int = 20
    nodes: int = 5
    search: bool = False
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if min(self.layers, self.channels, self.nodes) < 1 or self.outputs < 1:
            raise UserError(f"layers is {self.layers}, channels {self.channels}, nodes {self.nodes} and outputs "
                            f"{self.outputs}; use at least 1 of each")  # fmt: skip
        check_size(self.input_shape)

    @property
    def reductions(self) -> tuple[int, int]:
        return self.layers // 3, 2 * (self.layers // 3) + 1

    @property
    def computed(self) -> range:
        """The states that nodes make."""
        return range(2, self.nodes + 2)

    @property
    def supernet(self) -> ENASMicroSpace:
        return replace(self, search=True)

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        cell, place_in_cell = divmod(place, ANSWERS * self.nodes)
        if cell == len(CELLS):
            return None
        state, answer = place_in_cell // ANSWERS + 2, place_in_cell % ANSWERS
        side = answer % len(SIDES) + 1
        name = f"{CELLS[cell]}/{state}"
        if answer >= len(SIDES):
            return Decision(f"{name}/operation{side}", MICRO, place, kind="operation")
        pointer = self._pointer(place, place - place_in_cell, state) if state > 2 else None
        return Decision(f"{name}/input{side}", tuple(range(state)), place, kind="input", pointer=pointer)

    def branches(self, genome: Genome) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """A node adds its two operations, each with its input: their order does not matter."""
        return tuple(((at, at + 2), (at + 1, at + 3)) for at in range(0, len(genome), ANSWERS))

    @staticmethod
    def _pointer(place: int, begin: int, state: int) -> Pointer:
        """A node is its last token. The inputs of a cell have no tokens: the first two of the cell stand in, as in the
        paper's code two steps before the first node do. So the first node is chosen without attention."""
        nodes = (begin + ANSWERS * (node - 1) - 1 for node in range(2, state))
        return Pointer(place - 1, (begin, begin + 1, *nodes))

    def genotype(self, genome: Genome) -> Genotype:
        """The cells as they are published. Raises CodeError for open tokens."""
        require_closed(genome, NO_CODE)
        self.decisions(genome)
        tokens: Sequence[Any] = genome
        answers = (tokens[at : at + ANSWERS] for at in range(0, len(tokens), ANSWERS))
        return _genotype([((first, a), (second, b)) for a, b, first, second in answers])

    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a genotype of this space. Raises CodeError for one outside it."""
        _check(genotype)
        genome: list[Token] = []
        for cell in CELLS:
            nodes, concat, _ = genotype.cell(cell)
            if len(nodes) != self.nodes:
                raise CodeError(f"the {cell} cell has {len(nodes)} nodes; in this space it has {self.nodes}")
            if tuple(concat) != unused(nodes):
                raise CodeError(f"the {cell} cell does not concatenate exactly what no node takes; decode it as a "
                                "genotype")  # fmt: skip
            for (first, a), (second, b) in nodes:
                genome += [a, b, first, second]
        self.decisions(genome)
        return tuple(genome)

    @staticmethod
    def genotype_of(code: str) -> Genotype:
        """The genotype that a code names: the published numbers of both cells, or what `Genotype.read` takes. It may
        lie outside the space."""
        words = code.replace("|", " ").split()
        numbers = [number for word in words if (number := whole(word)) is not None]
        if not words or len(numbers) < len(words):
            return Genotype.read(code, joined=unused)
        if len(words) % (len(CELLS) * ANSWERS):
            raise CodeError(f"code {brief(code)!r} has {len(words)} numbers; give two inputs, each with its operation, "
                            "for each node of two cells of one length")  # fmt: skip
        if strange := [place for place in range(1, len(numbers), 2) if numbers[place] >= len(MICRO)]:
            raise CodeError(f"number {strange[0] + 1} of code {brief(code)!r} is {numbers[strange[0]]}; operations are "
                            f"{numbered(MICRO)}")  # fmt: skip
        pairs = [(MICRO[numbers[at + 1]], numbers[at]) for at in range(0, len(numbers), 2)]
        return _genotype([tuple(pairs[at : at + 2]) for at in range(0, len(pairs), 2)])

    def format(self, genome: Genome) -> str:
        """The published numbers, such as `0 2 0 0 0 4 0 1 ...`: input and operation, twice for each node."""
        genotype = self.genotype(genome)
        pairs = [pair for cell in CELLS for node in genotype.cell(cell).nodes for pair in node]
        return " ".join(f"{source} {MICRO.index(operation)}" for operation, source in pairs)

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        if not self.search:
            require_closed(genome, NO_NETWORK)
        choices = self.choices(genome)
        cells = {}
        for kind in CELLS:
            nodes: list[list[_Term]] = []
            taken: dict[int, list[Gate]] = {state: [] for state in range(self.nodes + 2)}
            for state in self.computed:
                terms = []
                for nth, side in enumerate(SIDES, 1):
                    sources: Mapping[Any, Gate] = choices[f"{kind}/{state}/input{nth}"]
                    named: Mapping[Any, Gate] = choices[f"{kind}/{state}/operation{nth}"]
                    for source, takes in sources.items():
                        taken[source].append(takes)
                        terms += [_Term(side, source, op, every([takes, gate])) for op, gate in named.items()]
                nodes.append([term for term in terms if term.gate != 0])
            # the last node is taken by none, so that an output is never without an input
            cells[kind] = _Cell(nodes, [(state, every(map(no, gates))) for state, gates in taken.items()])
        return self._stack(cells)

    def decode_genotype(self, genotype: Genotype) -> Graph:
        """The network of a genotype, with the output lists that it gives. Raises CodeError for operations that this
        skeleton lacks, and for nodes of more or fewer than two operations."""
        _check(genotype)
        cells = {}
        for kind in CELLS:
            found = genotype.cell(kind)
            nodes = [
                [_Term(side, source, op, 1) for side, (op, source) in zip(SIDES, pairs, strict=True)]
                for pairs in found.nodes
            ]
            cells[kind] = _Cell(nodes, [(state, 1) for state in found.concat])
        return self._stack(cells)

    def _stack(self, cells: Mapping[str, _Cell]) -> Graph:
        draft = Draft(self.input_shape)
        older = newer = str(draft.node("stem", [INPUT], Convolution(3 * self.channels), BatchNorm()))
        channels, middle = self.channels, newer
        for number in range(self.layers + 2):
            name, reduces = f"cell{number}", number in self.reductions
            if reduces:
                channels *= 2
            if reduces and self.search:
                at = Placement(draft, f"{name}/reduced", newer, channels, 2)
                older, newer = newer, str(factorized_reduce(at, relu=False))
            states = self._inputs(draft, name, older, newer, channels)
            cell = cells["reduce" if reduces else "normal"]
            stride = 2 if reduces and not self.search else 1
            drop = DropPath((number + 1) / (self.layers + 2))
            for state, terms in enumerate(cell.nodes, 2):
                arriving: list[tuple[str | None, Gate]] = []
                for side, source, operation, gate in terms:
                    place = f"{name}/{state}{side}-{source}/{operation}"
                    at = Placement(draft, place, states[source], channels, stride if source < 2 else 1)
                    arriving.append((self._operation(at, operation, drop), gate))
                states.append(str(draft.node(f"{name}/node{state}", arriving)))
            older, newer = newer, self._output(draft, name, states, cell.output, channels)
            if number == self.reductions[1] + 1:
                middle = newer
        draft.node("classifier", [newer], ReLU(), GlobalAveragePool(), Linear(self.outputs))
        return draft.graph(auxiliary=None if self.search else middle)

    def _inputs(self, draft: Draft, name: str, older: str, newer: str, channels: int) -> list[str]:
        """States 0 and 1: the outputs before, at the size of the newer one and the width of the cell."""
        halve = draft.shape(older)[1:] != draft.shape(newer)[1:]
        first = Placement(draft, f"{name}/input0", older, channels, 2 if halve else 1)
        second = Placement(draft, f"{name}/input1", newer, channels, 1)
        states = [str(factorized_reduce(first)) if halve else _fitted(first), _fitted(second)]
        if not self.search:
            states[1] = str(draft.node(f"{name}/base", states[1:], ReLU(), Convolution(channels, 1), BatchNorm()))
        return states

    def _operation(self, at: Placement, operation: str, drop: DropPath) -> str | None:
        if operation != "skip_connect":
            made = KNOWN[operation](at)
            return made if self.search else at.draft.then(made, drop)
        return KNOWN[operation](at) if at.stride == 1 else factorized_reduce(at, relu=False)

    def _output(
        self, draft: Draft, name: str, states: Sequence[str], output: Sequence[tuple[int, Gate]], channels: int
    ) -> str:
        loose = [(state, gate) for state, gate in output if gate != 0]
        if self.search:
            blocks = [
                draft.candidate(f"{name}/output-{state}", states[state], gate, ReLU(), Convolution(channels, 1))
                for state, gate in loose
            ]
            return str(draft.node(f"{name}/output", blocks, BatchNorm()))
        size = min(draft.shape(states[state])[1:] for state, _ in loose)
        joined: list[str | None] = []
        for state, _ in loose:
            made: str | None = states[state]
            if draft.shape(states[state])[1:] != size:  # an input of a reduction cell that no node takes
                at = Placement(draft, f"{name}/output{state}", made, channels, 2)
                made = factorized_reduce(at, relu=False)
            joined.append(made)
        return str(draft.node(f"{name}/output", joined, combine="concat"))


class _Term(NamedTuple):
    """One operation that a node adds, and whether it is there."""

    side: str
    source: int
    operation: str
    gate: Gate


class _Cell(NamedTuple):
    """What each node adds, and the states that make the output."""

    nodes: Sequence[Sequence[_Term]]
    output: Sequence[tuple[int, Gate]]


def _fitted(at: Placement) -> str:
    """The source at this width."""
    if at.fits:
        return str(at.source)
    return str(at.node(ReLU(), Convolution(at.channels, 1), BatchNorm()))


def _genotype(nodes: Sequence[Node]) -> Genotype:
    """The genotype whose cells have these nodes, those of the normal cell first."""
    normal, reduce = tuple(nodes[: len(nodes) // 2]), tuple(nodes[len(nodes) // 2 :])
    return Genotype(normal, unused(normal), reduce, unused(reduce))


def _check(genotype: Genotype) -> None:
    genotype.check(MICRO)
    for cell in CELLS:
        nodes, _, joins = genotype.cell(cell)
        if joins or any(len(pairs) != len(SIDES) for pairs in nodes):
            raise CodeError(f"the {cell} cell has nodes that do not add two operations, as all do in this space")


# ---- what both spaces ask for ---------------------------------------------------------------------------------------


def check_size(input_shape: tuple[int, int, int]) -> None:
    if min(input_shape[1:]) < 4:
        raise UserError(f"images of {input_shape} are too small to be halved twice; use at least 4 pixels")


def numbered(options: Sequence[Token]) -> str:
    if options == (0, 1):
        return "0 or 1"
    return ", ".join(f"{number} {option}" for number, option in enumerate(options))
