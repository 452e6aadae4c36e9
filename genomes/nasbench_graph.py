"""NAS-Bench-Graph's networks over graphs (Qin et al. 2022, arXiv:2206.09166, section 3.1).

Each of four nodes reads the input, or one node before it, and applies an operation; what no other node reads is joined
into the output. Equal networks have one canonical form, under which the table knows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.space import CodeError, Decision, Genome, Space
from evonas.support.text import brief

SKIP = "skip"
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", SKIP)  # the official names and order
NODES = 4
LINKS = tuple(Decision(f"link{node}", tuple(range(node)), ("link", node)) for node in range(2, NODES + 1))
ONE = "0012:gcn-gat-skip-fc"


@dataclass(frozen=True)
class NASBenchGraphSpace(Space):
    """Genomes are what nodes 2, 3 and 4 read (0: the input; node 1 always does), then the operations of all four. At
    least one operation is no skip.

    The space is searched on its table alone: evonas has no task on graphs, and decodes nothing here.
    """

    name: ClassVar[str] = "nasbench-graph"

    def next(self, prefix: Genome) -> Decision | None:
        place = len(prefix)
        if place < len(LINKS):
            return LINKS[place]
        node = place - len(LINKS) + 1
        if node > NODES:
            return None
        nothing = all(operation == SKIP for operation in prefix[len(LINKS) :])
        options = OPERATIONS[:-1] if nothing and node == NODES else OPERATIONS
        return Decision(f"operation{node}", options, ("operation", node, nothing))

    def format(self, genome: Genome) -> str:
        """`links:op-op-op-op` as the genome has them, in whatever order."""
        self.decisions(genome)
        return f"0{''.join(map(str, genome[: len(LINKS)]))}:{'-'.join(map(str, genome[len(LINKS) :]))}"

    def parse(self, code: str) -> tuple[int | str, ...]:
        found = re.fullmatch(r"0([01])([0-2])([0-3]):([a-z]+)-([a-z]+)-([a-z]+)-([a-z]+)", code, re.ASCII)
        if not found:
            raise CodeError(f"code {brief(code)!r} is not a network of NAS-Bench-Graph; one looks like {ONE}")
        genome = (*map(int, found.groups()[: len(LINKS)]), *found.groups()[len(LINKS) :])
        self.decisions(genome)
        return genome

    def key(self, genome: Genome) -> str:
        """The key of the table: the canonical form of the network, in the official notation. The genome is not
        checked."""
        links, operations = (0, *genome[: len(LINKS)]), genome[len(LINKS) :]
        found = [_canonical(child, links, operations, raw=True) for child in _readers(0, links)]
        trees = [tree for each in found for tree in each]
        for _ in range(NODES - sum(map(_size, trees))):  # what does nothing stands in front, one behind the other
            trees = [_Tree(SKIP, tuple(sorted(trees, key=_order)))]
        return _written(trees)

    def decode(self, genome: Genome) -> Graph:
        """Raises UserError, whatever the genome."""
        raise UserError(f"{self.name} has networks over graphs, which evonas does not build; search it on its table "
                        "(evonas compare --space nasbench-graph --table FILE)")  # fmt: skip


class _Tree(NamedTuple):
    """A node and those that read it."""

    operation: str
    readers: tuple[_Tree, ...] = ()


def _readers(node: int, links: Genome) -> list[int]:
    return [place for place, source in enumerate(links, 1) if source == node]


def _canonical(node: int, links: Genome, operations: Genome, *, raw: bool) -> list[_Tree]:
    """A node and all behind it, without skips that change nothing: a skip that others read hands on what it reads, and
    one of the bare input (`raw`) adds nothing to the output. A skip that nobody reads stays where it joins what it
    reads into the output beside other readers of that."""
    operation = str(operations[node - 1])
    raw = raw and operation == SKIP
    behind = [tree for child in _readers(node, links) for tree in _canonical(child, links, operations, raw=raw)]
    if operation == SKIP:
        return behind if raw or _readers(node, links) else [_Tree(SKIP)]
    if behind == [_Tree(SKIP)]:
        behind = []
    return [_Tree(operation, tuple(sorted(behind, key=_order)))]


def _size(tree: _Tree) -> int:
    return 1 + sum(map(_size, tree.readers))


def _order(tree: _Tree) -> tuple:
    """Larger trees first; equal ones by the official order of their operations."""
    return -_size(tree), OPERATIONS.index(tree.operation), tuple(map(_order, tree.readers))


def _written(trees: list[_Tree]) -> str:
    """`links:op-op-op-op`, the nodes level by level."""
    links, operations = [], []
    level = [(0, tree) for tree in sorted(trees, key=_order)]
    while level:
        following = []
        for source, tree in level:
            links.append(source)
            operations.append(tree.operation)
            following += [(len(links), reader) for reader in tree.readers]
        level = following
    return f"{''.join(map(str, links))}:{'-'.join(operations)}"
