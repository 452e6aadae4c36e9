"""Cells as the literature publishes them, independent of a skeleton: genotypes, their notations, and published ones.

States 0 and 1 of a cell are its inputs, the outputs of the two cells before it: 0 the older, 1 the newer. This is the
order of DARTS; slim and tpu (NASNet, AmoebaNet, PNASNet) use the opposite one, and `from_lists` and `to_lists` convert.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evonas.genomes.notation import data, whole
from evonas.graph import Graph
from evonas.space import CodeError, Genome, Space, Token
from evonas.support.text import brief

CELLS = ("normal", "reduce")
FORM = ("normal", "normal_concat", "reduce", "reduce_concat")  # the parameters of DARTS's Genotype
LISTS = ("operations", "hiddenstate_indices", "used_hiddenstates")  # of a cell in slim and tpu
Node = tuple[tuple[str, int], ...]  # the (operation, input) pairs that a node sums
Joined = Callable[[Sequence[Node]], tuple[int, ...]]  # which states are concatenated, of the nodes of a cell
SLIM = {  # names in slim and tpu -> names here
    "none": "skip_connect", "separable_3x3_2": "sep_conv_3x3", "separable_5x5_2": "sep_conv_5x5",
    "separable_7x7_2": "sep_conv_7x7", "avg_pool_3x3": "avg_pool_3x3", "max_pool_3x3": "max_pool_3x3",
    "1x7_7x1": "conv_7x1_1x7", "1x3_3x1": "conv_3x1_1x3", "dilated_3x3_2": "dil_conv_3x3", "1x1": "conv_1x1",
    "3x3": "conv_3x3", "max_pool_5x5": "max_pool_5x5", "max_pool_7x7": "max_pool_7x7",
}  # fmt: skip


class Cell(NamedTuple):
    """The (operation, input) pairs of each node, the states whose concatenation is the output, and the nodes that
    concatenate their pairs instead of adding them."""

    nodes: Sequence[Sequence[tuple[str, int]]]
    concat: Sequence[int]
    joins: Sequence[int] = ()


@dataclass(frozen=True)
class Genotype:
    """Cells as they are published: the (operation, input) pairs of each node, and the nodes that are concatenated.

    Decoding accepts any number of pairs per node from one, repeated inputs, and `none`. `joins` are the nodes that
    concatenate their pairs instead of adding them, as nodes of NASNet may.
    """

    normal: tuple[Node, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Node, ...]
    reduce_concat: tuple[int, ...]
    normal_joins: tuple[int, ...] = ()
    reduce_joins: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for cell in CELLS:
            nodes, _, joins = self.cell(cell)
            if strange := [state for state in joins if not 2 <= state < len(nodes) + 2]:
                raise CodeError(f"{cell} cell: state {strange[0]} cannot join; nodes are 2 to {len(nodes) + 1}")
            for number, pairs in enumerate(nodes, 2):
                if not pairs:
                    raise CodeError(f"{cell} cell: node {number} has no input; write 0:none for one that adds nothing")
                for _, source in pairs:
                    if not 0 <= source < number:
                        raise CodeError(f"{cell} cell: node {number} has the input {source}; use 0 to {number - 1}")
            strange = [state for state in getattr(self, f"{cell}_concat") if not 0 <= state < len(nodes) + 2]
            if strange or not getattr(self, f"{cell}_concat"):
                raise CodeError(
                    f"{cell} cell: it concatenates {strange or 'nothing'}; use states 0 to {len(nodes) + 1}"
                )

    def cell(self, kind: str) -> Cell:
        """The normal or the reduce cell."""
        return Cell(*(getattr(self, kind + part) for part in ("", "_concat", "_joins")))

    @classmethod
    def of_pairs(cls, form: Mapping[str, Any], joined: Joined | None = None) -> Genotype:
        """A genotype from the form that DARTS publishes: normal, normal_concat, reduce and reduce_concat.

        The pairs of a cell follow one another, two for each node, or stand in a list for each node; a third entry of a
        pair, its weight in the search, says nothing here. normal_joins and reduce_joins are optional, and what else
        the form has is not of the cells.

        joined   says which states are concatenated where the form has None for it, as GDAS's; without it they are
                 required

        Raises CodeError for another form.
        """

        def concat(cell: str, nodes: Sequence[Node]) -> tuple[int, ...]:
            if (found := form.get(f"{cell}_concat")) is None and joined is not None:
                return joined(nodes)
            return _states(found, f"{cell}_concat")

        if missing := [name for name in CELLS if name not in form]:
            raise CodeError(f"not a genotype of DARTS: it has no {missing[0]}; give {', '.join(FORM)}")
        normal, reduce = (_of_pairs(form[cell], cell) for cell in CELLS)
        joins = (_states(form.get(f"{cell}_joins", ()), f"{cell}_joins") for cell in CELLS)
        return cls(normal, concat("normal", normal), reduce, concat("reduce", reduce), *joins)

    def to_pairs(self) -> dict[str, Any]:
        """The inverse of `of_pairs`. The pairs of a cell stand in a list for each node where not all nodes have two."""
        pairs: dict[str, list] = {}
        for cell in CELLS:
            nodes = [[list(pair) for pair in node] for node in self.cell(cell).nodes]
            flat = all(len(node) == 2 for node in nodes)
            pairs[cell] = [pair for node in nodes for pair in node] if flat else nodes
        joins = {f"{cell}_joins": list(self.cell(cell).joins) for cell in CELLS if self.cell(cell).joins}
        return {
            "normal": pairs["normal"], "normal_concat": list(self.normal_concat),
            "reduce": pairs["reduce"], "reduce_concat": list(self.reduce_concat),
        } | joins  # fmt: skip

    @classmethod
    def from_lists(cls, normal: Mapping[str, Sequence], reduce: Mapping[str, Sequence]) -> Genotype:
        """A genotype from slim's and tpu's lists: `operations`, `hiddenstate_indices` and `used_hiddenstates` of each
        cell.

        Two entries make a block; a state whose flag is 0 is part of the output. In these lists 0 is the newer input.
        """

        def cell(lists: Mapping[str, Sequence]) -> tuple[tuple[Node, ...], tuple[int, ...]]:
            if missing := [name for name in LISTS if name not in lists]:
                raise CodeError(f"not lists of slim: there is no {missing[0]}; give {', '.join(LISTS)}")
            named = lists["operations"]
            sources = [_turned(state) for state in _states(lists["hiddenstate_indices"], "hiddenstate_indices")]
            strange = [name for name in named if name not in SLIM]
            if strange or len(named) != len(sources) or len(named) % 2:
                raise CodeError(f"not lists of slim: {strange or 'two operations and two states make a block'}; "
                                f"operations are {', '.join(SLIM)}")  # fmt: skip
            pairs = [(SLIM[name], source) for name, source in zip(named, sources, strict=True)]
            joined = sorted(_turned(state) for state, used in enumerate(lists["used_hiddenstates"]) if not used)
            return tuple(tuple(pairs[at : at + 2]) for at in range(0, len(pairs), 2)), tuple(joined)

        return cls(*cell(normal), *cell(reduce))

    def to_lists(self) -> dict[str, dict[str, list]]:
        """The inverse of `from_lists`, for cells with two pairs per node. Raises CodeError for an operation that slim
        and tpu lack, and for nodes that join."""
        if self.normal_joins or self.reduce_joins:
            raise CodeError("slim and tpu only add; they have no notation for nodes that join")
        names = {own: theirs for theirs, own in SLIM.items()}
        lists: dict[str, dict[str, list]] = {}
        for kind in CELLS:
            nodes, joined = getattr(self, kind), getattr(self, f"{kind}_concat")
            pairs = [pair for node in nodes for pair in node]
            if missing := {operation for operation, _ in pairs} - set(names):
                raise CodeError(f"slim and tpu have no name for {', '.join(sorted(missing))}")
            lists[kind] = {
                "operations": [names[operation] for operation, _ in pairs],
                "hiddenstate_indices": [_turned(source) for _, source in pairs],
                "used_hiddenstates": [int(_turned(state) not in joined) for state in range(len(nodes) + 2)],
            }
        return lists

    @classmethod
    def read(cls, code: str, joined: Joined) -> Genotype:
        """Read a code as `str` gives it, the name of a published genotype, or DARTS's form: as JSON, or as Python
        prints it, `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), ...)`.

        joined   says which states are concatenated, for the form that does not state it
        """
        if code in published():
            return published()[code].genotype
        if code.lstrip().startswith("{") or "Genotype(" in code:
            found = data(code, {"Genotype": FORM})
            if not isinstance(found, dict):
                raise CodeError(f"{brief(code)!r} is not a genotype of DARTS; give {', '.join(FORM)}")
            return cls.of_pairs(found, joined)
        normal, found, reduced = code.partition(" reduce ")
        if not code.startswith("normal ") or not found:
            raise CodeError(f"code {brief(code)!r} is not a genotype; give a published one ({', '.join(published())}), "
                            "its JSON, or `normal 0:op 1:op | ... reduce ...`")  # fmt: skip
        (first, joins), (second, others) = _nodes(normal.removeprefix("normal ")), _nodes(reduced)
        return cls(first, joined(first), second, joined(second), joins, others)

    def __str__(self) -> str:
        """The operations by node, such as `normal 0:sep_conv_3x3 1:skip_connect | ... reduce ...`, with & between those
        that are concatenated instead of added."""
        words = []
        for kind in CELLS:
            nodes, _, joins = self.cell(kind)
            words.append(f"{kind} " + " | ".join(
                (" & " if state in joins else " ").join(f"{source}:{op}" for op, source in pairs)
                for state, pairs in enumerate(nodes, 2)
            ))  # fmt: skip
        return " ".join(words)

    def check(self, operations: Collection[str]) -> None:
        """Raise CodeError for an operation that is not among these."""
        for cell in CELLS:
            for operation, _ in (pair for pairs in getattr(self, cell) for pair in pairs):
                if operation not in operations:
                    raise CodeError(f"{cell} cell: unknown operation {brief(operation)!r}; use {', '.join(operations)}")

    def drawn(self) -> dict[str, Cell]:
        """Both cells by their captions, as `plots.cells` takes them."""
        return {
            "normal cell": self.cell("normal"),
            "reduction cell (operations on 0 and 1 halve the size)": self.cell("reduce"),
        }


@dataclass(frozen=True)
class GenotypeSpace(Space, ABC):
    """A space whose genomes are cells with a published form. A subclass defines the two conversions and the network of
    a genotype, which may lie outside the space."""

    @abstractmethod
    def genotype(self, genome: Genome) -> Genotype:
        """The cells of a genome in the form in which they are published."""

    @abstractmethod
    def genome(self, genotype: Genotype) -> tuple[Token, ...]:
        """The genome of a genotype. Raises CodeError for one outside the space."""

    @abstractmethod
    def decode_genotype(self, genotype: Genotype) -> Graph:
        """The network of any genotype whose operations the skeleton has. Raises CodeError for others."""

    @staticmethod
    @abstractmethod
    def genotype_of(code: str) -> Genotype:
        """The genotype that a code denotes, as in `parse`. It may lie outside the space."""

    def format(self, genome: Genome) -> str:
        """The operations by node, as `str` of a `Genotype` writes them."""
        return str(self.genotype(genome))

    def parse(self, code: str) -> tuple[Token, ...]:
        """Read a code as `format` gives it, the name of a published genotype (DARTS_V2), or DARTS's form, as JSON or as
        Python prints it."""
        return self.genome(self.genotype_of(code))

    def read(self, code: str) -> tuple[str, Graph]:
        """Read a code like `parse`, and decode genotypes outside the space (repeated inputs, other outputs) too."""
        genotype = self.genotype_of(code)
        try:
            written = self.format(self.genome(genotype))
        except CodeError:
            written = code if code in published() else json.dumps(genotype.to_pairs())
        return written, self.decode_genotype(genotype)

    def cells_of(self, code: str) -> Mapping[str, Cell]:
        return self.genotype_of(code).drawn()


def unused(nodes: Sequence[Sequence[tuple[str, int]]]) -> tuple[int, ...]:
    """The states that no node takes, which a searched cell of the NASNet space concatenates."""
    taken = {source for pairs in nodes for _, source in pairs}
    return tuple(state for state in range(len(nodes) + 2) if state not in taken)


@dataclass(frozen=True)
class Published:
    """A genotype from the literature, with the network in which it was published."""

    genotype: Genotype
    source: str


@cache
def published() -> dict[str, Published]:
    """Published genotypes by name."""
    path = Path(__file__).with_name("genotypes.json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: Published(Genotype.of_pairs(entry), entry["source"]) for name, entry in entries.items()}


def _nodes(text: str) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes of a cell in text form, and the numbers of those that join."""
    nodes, joins = [], []
    for state, node in enumerate(text.split("|"), 2):
        words = [side.strip() for side in node.split("&")] if "&" in node else node.split()
        if "&" in node:
            joins.append(state)
        pairs = [(operation, whole(source)) for source, _, operation in (word.partition(":") for word in words)]
        if not pairs or any(source is None for _, source in pairs):
            raise CodeError(f"{brief(node.strip())!r} is not a node; write input:operation for each edge, like "
                            "0:sep_conv_3x3, and 0:none for a node that adds nothing")  # fmt: skip
        nodes.append(tuple((operation, source) for operation, source in pairs if source is not None))
    return tuple(nodes), tuple(joins)


def _of_pairs(found: Any, cell: str) -> tuple[Node, ...]:
    """The nodes of a cell from its pairs, or from lists of pairs."""
    match found:
        case [[str(), *_], *_]:
            if len(found) % 2:
                raise CodeError(f"the {cell} cell has {len(found)} pairs; give two for each node, or a list a node")
            found = [found[at : at + 2] for at in range(0, len(found), 2)]
        case [*_]:
            pass
        case _:
            raise CodeError(f"{cell} is {brief(repr(found))}; give a list of pairs such as ['sep_conv_3x3', 0]")
    nodes: list[Node] = []
    for node in found:
        if not isinstance(node, list | tuple):
            raise CodeError(f"the {cell} cell has the node {brief(repr(node))}; give a list of pairs")
        nodes.append(tuple(_pair(pair, cell) for pair in node))
    return tuple(nodes)


def _pair(pair: Any, cell: str) -> tuple[str, int]:
    match pair:
        case [str() as operation, int() as source] | [str() as operation, int() as source, None | int() | float()]:
            if not isinstance(source, bool):
                return operation, source
    raise CodeError(f"the {cell} cell has {brief(repr(pair))}; a pair is an operation and an input, which is a whole "
                    "number, such as ['sep_conv_3x3', 0]")  # fmt: skip


def _states(found: Any, name: str) -> tuple[int, ...]:
    if not isinstance(found, list | tuple) or any(type(state) is not int for state in found):
        raise CodeError(f"{name} is {brief(repr(found))}; give the numbers of states, such as [2, 3, 4, 5]")
    return tuple(found)


def _turned(state: int) -> int:
    """The number of a state when the two inputs of a cell are counted in the opposite order."""
    return 1 - state if state < 2 else state
