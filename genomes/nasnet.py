"""The NASNet cells (Zoph et al. 2018, "Learning Transferable Architectures for Scalable Image Recognition",
arXiv:1707.07012), which AmoebaNet (Real et al. 2019, arXiv:1802.01548) and PNAS (Liu et al. 2018, arXiv:1712.00559)
search too, in the skeleton of their published code (slim and tpu).

A cell has two inputs, the outputs of the two cells before it (0 the older, 1 the newer), and five blocks. A block takes
two earlier states, applies an operation to each, and adds the results (or concatenates them, where the space allows
it). The output is the concatenation of the states that no block takes. TensorFlow pads a strided operation only at the
end, where PyTorch pads on both sides; sizes and counts are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.genomes.cells import Placement, factorized_reduce, separable
from evonas.genomes.genotype import CELLS, Cell, Genotype, GenotypeSpace, Node, unused
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    DropPath,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Shape,
    Sides,
)
from evonas.space import CodeError, Decision, Genome, Open, Token

BLOCKS = (2, 3, 4, 5, 6)  # the numbers of the states that they compute
ELEMENTS = 2  # inputs of a block, and operations
COMBINATIONS = ("add", "concat")
AMOEBANET = (  # Real et al. 2019, the main experiment; PNAS has the same eight
    "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3", "max_pool_3x3", "dil_conv_3x3",
    "conv_7x1_1x7",
)  # fmt: skip
NASNET = (  # Zoph et al. 2018, section 3
    "skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5",
    "max_pool_7x7", "conv_1x1", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7",
)  # fmt: skip


def _skip(at: Placement) -> str | None:
    return at.node(Identity()) if at.fits else at.node(ReLU(), Convolution(at.channels, 1, at.stride, 0), BatchNorm())


def _pool(kind: type[MaxPool] | type[AveragePool], kernel: int) -> Callable[[Placement], str | None]:
    def pool(at: Placement) -> str | None:
        widen = (Convolution(at.channels, 1), BatchNorm()) if at.width != at.channels else ()
        return at.node(kind(kernel, at.stride, kernel // 2), *widen)

    return pool


def _bottleneck(share: float, *kernels: Sides, dilation: int = 1) -> Callable[[Placement], str | None]:
    """A 1x1 convolution to a share of the width, convolutions of these kernels, the first of them (or its two halves)
    strided, and a 1x1 convolution back. Each is preceded by ReLU and followed by batch norm (tpu)."""

    def bottleneck(at: Placement) -> str | None:
        inner = max(int(at.channels * share), 1)
        steps: list[Operation] = [ReLU(), Convolution(inner, 1), BatchNorm()]
        for kernel in kernels:
            stride: Sides = at.stride if isinstance(kernel, int) else _along(kernel, at.stride)
            steps += [ReLU(), Convolution(inner, kernel, stride, dilation=dilation), BatchNorm()]
        return at.node(*steps, ReLU(), Convolution(at.channels, 1), BatchNorm())

    return bottleneck


def _along(kernel: tuple[int, int], stride: int) -> tuple[int, int]:
    """The stride as (height, width), only along the long side of a kernel."""
    return (stride, 1) if kernel[0] > 1 else (1, stride)


OPERATIONS: dict[str, Callable[[Placement], str | None]] = {
    "skip_connect": _skip,
    "conv_3x1_1x3": _bottleneck(3 / 8, (1, 3), (3, 1)),
    "conv_7x1_1x7": _bottleneck(1 / 4, (1, 7), (7, 1)),
    "dil_conv_3x3": _bottleneck(1 / 4, 3, dilation=2),
    "avg_pool_3x3": _pool(AveragePool, 3),
    "max_pool_3x3": _pool(MaxPool, 3),
    "max_pool_5x5": _pool(MaxPool, 5),
    "max_pool_7x7": _pool(MaxPool, 7),
    "conv_1x1": lambda at: at.node(ReLU(), Convolution(at.channels, 1, at.stride, 0), BatchNorm()),
    "conv_3x3": _bottleneck(1 / 4, 3),
    "sep_conv_3x3": separable(3),
    "sep_conv_5x5": separable(5),
    "sep_conv_7x7": separable(7),
}


@dataclass(frozen=True)
class NASNetSpace(GenotypeSpace):
    """Genomes give two inputs, two operations and, where there is a choice, a combination for each of five blocks,
    first of the normal cell, then of the reduction cell.

    normals      N, the number of normal cells in each of the three stacks
    channels     F, the filters of the first stack; doubled by each reduction
    operations   options for the operations of a genome
    combinations options for combining the two results of a block: add, or concat followed by a 1x1 convolution back to
                 the width
    reduction    cell: a separate reduction cell between two stacks (NASNet, AmoebaNet); stride: the first cell of the
                 second and third stack has stride 2 (PNAS), and a genome is one cell
    """

    name: ClassVar[str] = "nasnet"
    normals: int = 2
    channels: int = 24
    operations: tuple[str, ...] = AMOEBANET
    combinations: tuple[str, ...] = ("add",)
    reduction: str = "cell"
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.normals < 1 or self.channels < 4 or self.channels % 2 or self.outputs < 1:
            raise UserError(f"normals is {self.normals}, channels {self.channels} and outputs {self.outputs}; use at "
                            "least 1, an even number from 4, and at least 1")  # fmt: skip
        strange = [name for name in self.operations if name not in OPERATIONS]
        if strange or not self.operations:
            raise UserError(f"operations has {', '.join(strange) or 'nothing'}; use some of {', '.join(OPERATIONS)}")
        if not self.combinations or len(set(self.combinations) & set(COMBINATIONS)) < len(self.combinations):
            raise UserError(f"combinations is {self.combinations}; use some of {', '.join(COMBINATIONS)}, each once")
        if self.reduction not in ("cell", "stride"):
            raise UserError(f"reduction is {self.reduction!r}; use cell or stride")
        if min(self.input_shape[1:]) < 4:
            raise UserError(f"images of {self.input_shape} are too small to be halved twice; use at least 4 pixels")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of cells that a genome describes."""
        return CELLS if self.reduction == "cell" else CELLS[:1]

    # ---- the genome -----------------------------------------------------------------------------------------------

    @property
    def _answers(self) -> int:
        """The number of decisions of a block."""
        return 2 * ELEMENTS + (len(self.combinations) > 1)

    def next(self, prefix: Genome) -> Decision | None:
        return self._in_order[len(prefix)] if len(prefix) < len(self._in_order) else None

    @cached_property
    def _in_order(self) -> tuple[Decision, ...]:
        """All decisions. They depend only on their places, and are built once because a controller asks for many."""
        return tuple(map(self._decision, range(len(self.kinds) * len(BLOCKS) * self._answers)))

    def _decision(self, position: int) -> Decision:
        block, place = divmod(position, self._answers)
        cell, state = self.kinds[block // len(BLOCKS)], BLOCKS[block % len(BLOCKS)]
        if place < ELEMENTS:
            return Decision(f"{cell}/{state}/input{place + 1}", tuple(range(state)), position)
        if place < 2 * ELEMENTS:
            return Decision(f"{cell}/{state}/operation{place - ELEMENTS + 1}", self.operations, position)
        return Decision(f"{cell}/{state}/combination", self.combinations, position)

    def branches(self, genome: Genome) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """A block that adds may have its two operations, each with its input, in either order."""
        return tuple(
            ((at, at + ELEMENTS), (at + 1, at + 1 + ELEMENTS))
            for at in range(0, len(genome), self._answers)
            if (genome[at + 2 * ELEMENTS] if len(self.combinations) > 1 else self.combinations[0]) == "add"
        )

    def genotype(self, genome: Genome) -> Genotype:
        """The cells of a genome in the form in which they are published; states that no block takes are the output."""
        self.decisions(genome)
        blocks = [genome[at : at + self._answers] for at in range(0, len(genome), self._answers)]
        nodes: tuple[Node, ...] = tuple(((str(c), _state(a)), (str(d), _state(b))) for a, b, c, d, *_ in blocks)
        combined = [block[2 * ELEMENTS] if len(self.combinations) > 1 else self.combinations[0] for block in blocks]
        halves = slice(0, len(BLOCKS)), slice(-len(BLOCKS), None)
        normal, reduce = (nodes[half] for half in halves)
        joins = (
            tuple(state for state, how in zip(BLOCKS, combined[half], strict=True) if how == "concat")
            for half in halves
        )
        return Genotype(normal, unused(normal), reduce, unused(reduce), *joins)

    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a genotype of this space. Raises CodeError for one outside it."""
        genotype.check(OPERATIONS)
        genome: list[Token] = []
        for cell in self.kinds:
            nodes, concat, joins = genotype.cell(cell)
            if len(nodes) != len(BLOCKS) or any(len(pairs) != ELEMENTS for pairs in nodes):
                raise CodeError(f"the {cell} cell is not five blocks of two operations; decode it as a genotype")
            if concat != unused(nodes):
                raise CodeError(f"the {cell} cell does not concatenate exactly what no block takes; decode it as a "
                                "genotype")  # fmt: skip
            for state, ((first, a), (second, b)) in zip(BLOCKS, nodes, strict=True):
                combination = "concat" if state in joins else "add"
                if combination not in self.combinations:
                    raise CodeError(f"node {state} of the {cell} cell combines by {combination}; this space allows "
                                    f"{', '.join(self.combinations)}")  # fmt: skip
                genome += [a, b, first, second, *([combination] if len(self.combinations) > 1 else [])]
        if self.kinds == CELLS[:1] and genotype.cell("reduce") != genotype.cell("normal"):
            raise CodeError("the reduction cell differs from the normal one; use a space with reduction=cell")
        self.decisions(genome)
        return tuple(genome)

    def cells_of(self, code: str) -> Mapping[str, Cell]:
        return dict(list(super().cells_of(code).items())[: len(self.kinds)])

    @staticmethod
    def genotype_of(code: str) -> Genotype:
        """The genotype that a code denotes, as in `parse`. It may lie outside the space."""
        return Genotype.read(code, joined=unused)

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Operations may be left open; inputs and combinations may not, because they determine
        what is concatenated."""
        choices = self.choices(genome)
        cells: dict[str, _Cell] = {}
        for kind in self.kinds:
            blocks: list[list[_Term]] = []
            for state in BLOCKS:
                terms: list[_Term] = []
                for element in range(1, ELEMENTS + 1):
                    source = _state(_closed(choices, f"{kind}/{state}/input{element}"))
                    found = choices[f"{kind}/{state}/operation{element}"]
                    terms += [(element, source, str(op), gate) for op, gate in found.items() if gate != 0]
                blocks.append(terms)
            taken = {source for terms in blocks for _, source, _, _ in terms}
            joins = [
                state for state in BLOCKS
                if (_closed(choices, f"{kind}/{state}/combination") if len(self.combinations) > 1
                    else self.combinations[0]) == "concat"
            ]  # fmt: skip
            cells[kind] = _Cell(blocks, [state for state in range(len(BLOCKS) + 2) if state not in taken], joins)
        return self._stack(cells)

    def decode_genotype(self, genotype: Genotype) -> Graph:
        """The network of a genotype, with its own output lists. Raises CodeError for operations that this skeleton
        lacks."""
        genotype.check(OPERATIONS)
        cells = {}
        for kind in CELLS:
            nodes, concat, joins = genotype.cell(kind)
            terms = [[(nth, source, op, 1) for nth, (op, source) in enumerate(pairs, 1)] for pairs in nodes]
            cells[kind] = _Cell(terms, concat, joins)
        return self._stack(cells)

    def _stack(self, cells: Mapping[str, _Cell]) -> Graph:
        draft = Draft(self.input_shape)
        older, newer = None, str(draft.node("stem", [INPUT], Convolution(3 * self.channels), BatchNorm()))
        channels = self.channels
        order, middle = self._order(), newer
        for number, (kind, stride) in enumerate(order):
            channels *= stride
            output = _cell(draft, f"cell{number}", older, newer, channels, stride, cells[kind],
                           drop=DropPath((number + 1) / len(order)))  # fmt: skip
            older, newer = newer, output
            if number + 1 == 2 * self.normals + (self.reduction == "cell"):  # normal cell 2N - 1, counted from 0
                middle = newer
        draft.node("classifier", [newer], ReLU(), GlobalAveragePool(), Linear(self.outputs))
        return draft.graph(auxiliary=middle)

    def _order(self) -> list[tuple[str, int]]:
        """The kind and stride of each cell."""
        stack = [("normal", 1)] * self.normals
        if self.reduction == "cell":
            return stack + [("reduce", 2), *stack] * 2
        return stack + [("normal", 2), *stack[1:]] * 2


_Term = tuple[int, int, str, Gate]  # element of a block, source, operation, gate


class _Cell(NamedTuple):
    """A cell whose operations may be open. `concat` and `joins` are those of `Cell`."""

    blocks: Sequence[Sequence[_Term]]
    concat: Sequence[int]
    joins: Sequence[int]


def _closed(choices: Mapping[str, Mapping[Token, Gate]], decision: str) -> Token:
    """The one option that is chosen."""
    for option, gate in choices[decision].items():
        if gate == 1:
            return option
    raise CodeError(f"{decision} is open; leave only operations open: it determines what a cell concatenates")


def _cell(
    draft: Draft, name: str, older: str | None, newer: str, channels: int, stride: int, cell: _Cell, *, drop: DropPath,
) -> str:  # fmt: skip
    """A cell under this name. Without an older input, as in the first cell, the newer one replaces it, unchanged."""
    second = str(draft.node(f"{name}/input1", [newer], ReLU(), Convolution(channels, 1), BatchNorm()))
    first = newer if older is None else _adapted(draft, f"{name}/input0", older, draft.shape(second), relu=True)
    states = [first, second]
    for state, terms in enumerate(cell.blocks, 2):
        arriving: dict[int, list[tuple[str | None, Gate]]] = {}
        for element, source, operation, gate in terms:
            strides = stride if source < 2 else 1
            at = Placement(draft, f"{name}/{state}-{element}/{source}-{operation}", states[source], channels, strides)
            made_here = OPERATIONS[operation](at)
            if operation != "skip_connect":
                made_here = draft.then(made_here, drop)
            arriving.setdefault(element, []).append((made_here, gate))
        if state in cell.joins:
            sides = [draft.node(f"{name}/{state}-{element}/sum", some) for element, some in arriving.items()]
            steps = ReLU(), Convolution(channels, 1), BatchNorm()
            states.append(str(draft.node(f"{name}/node{state}", sides, *steps, combine="concat")))
        else:
            states.append(str(draft.node(f"{name}/node{state}", [each for some in arriving.values() for each in some])))
    made = draft.shape(states[-1])
    outputs = [_adapted(draft, f"{name}/output{state}", states[state], made, relu=False) for state in cell.concat]
    return str(draft.node(f"{name}/output", outputs, combine="concat"))


def _adapted(draft: Draft, name: str, state: str, wanted: Shape, *, relu: bool) -> str:
    """A state brought to this width and size: unchanged, by a 1x1 convolution, or by a factorized reduction."""
    shape = draft.shape(state)
    if shape == wanted:
        return state
    at = Placement(draft, name, state, wanted[0], 1 if shape[1:] == wanted[1:] else 2)
    if at.stride == 2:
        return str(factorized_reduce(at, relu=relu))
    return str(at.node(*[ReLU()] * relu, Convolution(at.channels, 1), BatchNorm()))


def _state(token: Token | Open) -> int:
    if not isinstance(token, int):
        raise CodeError(f"{token} is not a state; inputs are whole numbers")
    return token
