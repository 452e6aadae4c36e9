"""NAS-Bench-101's cells (Ying et al. 2019, "NAS-Bench-101: Towards Reproducible Neural Architecture Search",
arXiv:1902.09635, section 2, and its published code).

A cell is a directed graph of at most seven vertices and nine edges. Vertex 0 is its input and the last one its output;
each vertex between them applies one of three operations to the sum of its inputs. The inputs of the output are
concatenated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from typing import ClassVar, cast

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import (
    BatchNorm,
    Convolution,
    FirstChannels,
    GlobalAveragePool,
    Linear,
    MaxPool,
    Operation,
    ReLU,
)
from evonas.space import CodeError, Decision, Genome, Open, Space, Token
from evonas.support.text import brief

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")  # the official names, in the order of the table
VERTICES, MOST_EDGES = 7, 9
OUTPUT = VERTICES - 1
EDGES = tuple((source, target) for target in range(1, VERTICES) for source in range(target))  # by target: bit order
Matrix = tuple[tuple[int, ...], ...]  # [source][target]
State = tuple[int, int, int]  # of the decision on an edge
VERTEX_DECISIONS = tuple(Decision(f"vertex{v}", OPERATIONS, len(EDGES) + v - 1) for v in range(1, OUTPUT))


@dataclass(frozen=True)
class NASBench101Space(Space):
    """Genomes are 21 bits, one for each edge by target, and the operations of the five vertices between the ends.

    There are at most nine edges and a path from input to output. Vertices outside all such paths do not count, so cells
    with fewer vertices are genomes too.

    channels   width of the stem; doubled before the second and each later stack, where a 2x2 max pool halves the image
    stacks     number of stacks
    modules    number of equal cells in each stack
    """

    name: ClassVar[str] = "nasbench101"
    channels: int = 128
    stacks: int = 3
    modules: int = 3
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        if self.channels < OUTPUT or min(self.stacks, self.modules) < 1 or self.outputs < 1:
            raise UserError(f"channels must be at least {OUTPUT}, stacks, modules and outputs at least 1")
        if min(self.input_shape[1:]) < 2 ** (self.stacks - 1):
            raise UserError(f"images of {self.input_shape} are too small to be halved {self.stacks - 1} times")

    # ---- the genome -----------------------------------------------------------------------------------------------

    def next(self, prefix: Genome) -> Decision | None:
        position = len(prefix)
        if position < len(EDGES):
            return _edge(tuple(prefix))
        return VERTEX_DECISIONS[position - len(EDGES)] if position < len(EDGES) + OUTPUT - 1 else None

    def matrix(self, genome: Genome) -> tuple[Matrix, tuple[str, ...]]:
        """The official form: the upper-triangular adjacency matrix and the operations, without vertices that are not on
        a path from input to output."""
        self.decisions(genome)
        matrix, kept = _pruned(genome)
        named = {0: "input", OUTPUT: "output"} | {v: str(genome[len(EDGES) + v - 1]) for v in range(1, OUTPUT)}
        return tuple(tuple(matrix[a][b] for b in kept) for a in kept), tuple(named[v] for v in kept)

    def genome(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> tuple[Token, ...]:
        """The genome of an official matrix with its operations (with or without input and output).

        Vertices off all paths from input to output are left out before anything is counted, as by the official
        ModelSpec. In a cell with fewer than seven vertices, the missing ones get no edges and the first operation.
        Raises CodeError for an invalid cell.
        """
        size = len(matrix)
        inner = [each for each in operations if each not in ("input", "output")]
        if size < 2 or any(len(row) != size for row in matrix) or len(inner) != size - 2:
            raise CodeError("a cell has a square matrix of two vertices or more, and an operation for each but the "
                            f"first and the last; this one has {size} rows and {len(inner)} operations")  # fmt: skip
        if strange := [each for each in inner if each not in OPERATIONS]:
            raise CodeError(f"the operation {brief(repr(strange[0]))} is unknown; use {', '.join(OPERATIONS)}")
        if odd := [entry for row in matrix for entry in row if entry not in (0, 1)]:
            raise CodeError(f"the matrix has the entry {brief(repr(odd[0]))}; use 0 and 1")
        if any(matrix[a][b] for a in range(size) for b in range(a + 1)):
            raise CodeError("the matrix has an entry that is not above its diagonal; edges lead to later vertices")
        found = {(a, b) for a in range(size) for b in range(a + 1, size) if matrix[a][b]}
        kept = _on_paths(found, size - 1)
        if not kept:
            raise CodeError("no path leads from the input of the cell to its output; put edges on a chain of vertices")
        place = {vertex: number for number, vertex in enumerate(kept)} | {size - 1: OUTPUT}
        edges = {(place[a], place[b]) for a, b in found if a in place and b in place}
        if len(kept) > VERTICES or len(edges) > MOST_EDGES:
            raise CodeError(f"the cell has {len(kept)} vertices and {len(edges)} edges on paths from its input to its "
                            f"output; use at most {VERTICES} and {MOST_EDGES}")  # fmt: skip
        named = [inner[vertex - 1] for vertex in kept[1:-1]]
        genome = (*(int(edge in edges) for edge in EDGES), *named, *OPERATIONS[:1] * (VERTICES - len(kept)))
        self.decisions(genome)
        return genome

    def paths(self, genome: Genome) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        edges = [edge for edge, bit in zip(EDGES, genome, strict=False) if bit == 1]
        begun: list[tuple[int, tuple[str, ...]]] = [(0, ())]
        while begun:
            vertex, path = begun.pop()
            for target in (end for start, end in edges if start == vertex):
                if target == OUTPUT:
                    found.append(path)
                else:
                    begun.append((target, (*path, str(genome[len(EDGES) + target - 1]))))
        return sorted(found)

    def units(self, genome: Genome) -> list[tuple[tuple[str, Token], ...]]:
        """The vertices that are on a path, without the input: what each computes, and which ones it reads."""
        matrix, operations = self.matrix(genome)
        return [
            (("operation", operations[b]), ("reads", " ".join(str(a) for a in range(b) if matrix[a][b])))
            for b in range(1, len(operations))
        ]

    def format(self, genome: Genome) -> str:
        """The edges into each vertex as bits, then the operations: `1-01-001-...-000001 maxpool3x3 ...`."""
        self.decisions(genome)
        return f"{_grouped(genome[: len(EDGES)])} {' '.join(str(each) for each in genome[len(EDGES) :])}"

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read what `format` writes; of a cell with more than nine edges, as of a matrix, those count that are on paths
        from input to output."""
        bits, _, named = code.strip().partition(" ")
        digits = bits.replace("-", "")
        if set(digits) - {"0", "1"} or len(digits) != len(EDGES) or bits not in (digits, _grouped(digits)):
            raise CodeError(f"code {brief(code)!r} is not a cell of NAS-Bench-101; give {len(EDGES)} bits by target, "
                            "such as 1-01-001-0001-00001-000001, and five operations")  # fmt: skip
        genome = (*map(int, digits), *named.split())
        if digits.count("1") > MOST_EDGES:
            edges = {edge for edge, bit in zip(EDGES, digits, strict=True) if bit == "1"}
            return self.genome(
                [[int((a, b) in edges) for b in range(VERTICES)] for a in range(VERTICES)], named.split()
            )
        self.decisions(genome)
        return genome

    def key(self, genome: Genome) -> str:
        """The key of the table: 16 hex digits, equal for isomorphic cells.

        This is the official graph hash: the label of each vertex is hashed with those of its predecessors and
        successors, as often as there are vertices.
        """
        matrix, kept = _pruned(genome)
        labels = {0: -1, OUTPUT: -2} | {v: OPERATIONS.index(str(genome[len(EDGES) + v - 1])) for v in kept[1:-1]}
        before = {v: [u for u in kept if matrix[u][v]] for v in kept}
        after = {v: [w for w in kept if matrix[v][w]] for v in kept}
        hashes = {v: _md5(str((len(after[v]), len(before[v]), labels[v]))) for v in kept}
        for _ in kept:
            hashes = {
                v: _md5("|".join(("".join(sorted(hashes[u] for u in before[v])),
                                  "".join(sorted(hashes[w] for w in after[v])), hashes[v])))
                for v in kept
            }  # fmt: skip
        return _md5(str(sorted(hashes.values())))[:16]

    # ---- its meaning ----------------------------------------------------------------------------------------------

    def decode(self, genome: Genome) -> Graph:
        """The network of a genome. Operations may be left open; edges may not, because they determine the widths."""
        choices = self.choices(genome)
        if any(isinstance(bit, Open) and len(bit.options) > 1 for bit in genome[: len(EDGES)]):
            raise CodeError("an edge is open; leave operations open, not edges: they determine the widths of vertices")
        closed = [bit.options[0] if isinstance(bit, Open) else bit for bit in genome]
        matrix, kept = _pruned(closed)
        draft = Draft(self.input_shape)
        channels = self.channels
        x = draft.node("stem", [INPUT], *_conv_bn_relu(channels, 3))
        number = 0
        for stack in range(self.stacks):
            if stack:
                channels *= 2
                x = draft.node(f"downsample{stack}", [x], MaxPool(2, 2))
            for _ in range(self.modules):
                number += 1
                x = _module(draft, f"module{number}", x, channels, matrix, kept, choices)
        draft.node("classifier", [x], GlobalAveragePool(), Linear(self.outputs))
        return draft.graph()


@lru_cache(maxsize=4096)
def _edge(bits: tuple[Token, ...]) -> Decision:
    """The decision that follows these bits. Its state is the place, the number of edges so far, and as bits the
    vertices that are reached from the input: both follow from those one bit before, which a walk has just asked for."""
    position, edges, reached = len(bits), 0, 1
    if bits:
        _, edges, reached = cast(State, _edge(bits[:-1]).state)
        source, target = EDGES[position - 1]
        edges += bits[-1] == 1
        if bits[-1] == 1 and reached >> source & 1:
            reached |= 1 << target
    source, target = EDGES[position]
    done, here = reached >> OUTPUT & 1, reached >> source & 1
    last_chance = target == OUTPUT and not done and here and not reached >> (source + 1)
    needed = 0 if done or (target == OUTPUT and here) else 1  # edges reserved for the path that is still missing
    options = (1,) if last_chance else (0, 1) if edges + 1 + needed <= MOST_EDGES else (0,)
    return Decision(f"{target}<-{source}", options, (position, edges, reached))


def vertex_channels(matrix: Matrix, kept: Sequence[int], channels: int) -> dict[int, int]:
    """The official widths: the predecessors of the output share its channels, and the first ones get the remainder;
    every other vertex is as wide as its widest successor."""
    ends = [vertex for vertex in kept[1:-1] if matrix[vertex][OUTPUT]]
    width = {v: channels // len(ends) + (nth < channels % len(ends)) for nth, v in enumerate(ends)}
    for vertex in reversed(kept[1:-1]):
        if vertex not in width:
            width[vertex] = max(width[later] for later in kept[1:-1] if matrix[vertex][later])
    return width


def _module(
    draft: Draft, name: str, x: str | None, channels: int, matrix: Matrix, kept: Sequence[int],
    choices: Mapping[str, Mapping[Token, Gate]],
) -> str | None:  # fmt: skip
    width = vertex_channels(matrix, kept, channels)
    made: dict[int, str | None] = {}
    ends = []
    for vertex in kept[1:-1]:
        arriving = []
        for source in kept:
            if matrix[source][vertex] and source:
                cut = [FirstChannels(width[vertex])] * (width[source] != width[vertex])
                arriving.append(draft.node(f"{name}/{vertex}-{source}", [made[source]], *cut) if cut else made[source])
            elif matrix[source][vertex]:
                arriving.append(draft.node(f"{name}/{vertex}-0", [x], *_conv_bn_relu(width[vertex], 1)))
        entered = draft.node(f"{name}/vertex{vertex}", arriving)
        results = [
            draft.candidate(f"{name}/{vertex}/{option}", entered, gate, *_candidate(str(option), width[vertex]))
            for option, gate in choices[f"vertex{vertex}"].items()
        ]
        made[vertex] = draft.node(f"{name}/value{vertex}", results)
        if matrix[vertex][OUTPUT]:
            ends.append(made[vertex])
    joined = [draft.node(f"{name}/joined", ends, combine="concat")] if ends else []
    if matrix[0][OUTPUT]:
        joined.append(draft.node(f"{name}/output-0", [x], *_conv_bn_relu(channels, 1)))
    return draft.node(f"{name}/output", joined)


def _candidate(operation: str, channels: int) -> tuple[Operation, ...]:
    return {
        "conv3x3-bn-relu": _conv_bn_relu(channels, 3),
        "conv1x1-bn-relu": _conv_bn_relu(channels, 1),
        "maxpool3x3": (MaxPool(3, 1, 1),),
    }[operation]


def _conv_bn_relu(channels: int, kernel: int) -> tuple[Operation, ...]:
    return Convolution(channels, kernel), BatchNorm(), ReLU()


def _pruned(genome: Genome) -> tuple[Matrix, tuple[int, ...]]:
    """The matrix without the edges of vertices off all paths from input to output, and the vertices on such paths."""
    edges = {edge for edge, bit in zip(EDGES, genome, strict=False) if bit == 1}
    kept = _on_paths(edges, OUTPUT)
    matrix = tuple(
        tuple(int((a, b) in edges and a in kept and b in kept) for b in range(VERTICES)) for a in range(VERTICES)
    )
    return matrix, kept


def _on_paths(edges: set[tuple[int, int]], output: int) -> tuple[int, ...]:
    """The vertices on paths from vertex 0 to the output, in order; none where there is no such path."""
    ahead, back = {0}, {output}
    for vertex in range(1, output + 1):
        if any((source, vertex) in edges for source in ahead):
            ahead.add(vertex)
    for vertex in reversed(range(output)):
        if any((vertex, target) in edges for target in back):
            back.add(vertex)
    return tuple(sorted(ahead & back))


def _grouped(bits: Sequence[object]) -> str:
    """The bits of all edges, with - between those of two targets."""
    return "-".join("".join(str(bit) for (_, end), bit in zip(EDGES, bits, strict=True) if end == target)
                    for target in range(1, VERTICES))  # fmt: skip


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
