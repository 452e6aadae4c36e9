"""The tree of a Path-level EAS cell, and the decisions in which it grows (Cai et al. 2018, arXiv:1806.02639).

A node hands its input to branches and merges what they give; a branch is an edge, which is a layer, and perhaps a node
behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from evonas.morphisms.paths import IDENTITY
from evonas.space import Token

LAYER = "layer"  # the edge that a cell replaces
MERGES = NONE, ADD, CONCAT = ("none", "add", "concat")
COUNTS = ("2", "3")  # branches of a sum; of a concatenation there are two
ANSWERS = NO, YES = ("no", "yes")
MERGE, BRANCHES, EDGE, INSERT = "merge", "branches", "edge", "insert"  # kinds of decisions


@dataclass
class Branch:
    """An edge and what stands behind it.

    place   where it is in the cell, by which its node of the network is named
    node    None: nothing
    """

    edge: str
    place: str
    node: Tree | None = None

    @property
    def depth(self) -> int:
        """1 for the branches of the root."""
        return self.place.count("+then") + 1


@dataclass
class Tree:
    """A node of a cell, which has a single branch as long as nothing is decided."""

    branches: list[Branch]
    merge: str = NONE

    def __str__(self) -> str:
        """Equal for equal trees: a sum does not depend on the order of its branches."""
        words = [each.edge if each.node is None else f"{each.edge}:{each.node}" for each in self.branches]
        return (
            words[0]
            if self.merge == NONE
            else f"{self.merge}({','.join(sorted(words) if self.merge == ADD else words)})"
        )

    def edges(self) -> Iterator[Branch]:
        for branch in self.branches:
            yield branch
            if branch.node is not None:
                yield from branch.node.edges()


@dataclass(frozen=True)
class Change:
    """What a decision does to the network, at each of its layers.

    kind    MERGE, EDGE or INSERT
    place   of the branch in the cell
    value   `add2`, `add3`, `concat`; the edge; nothing
    """

    kind: str
    place: str
    value: str = ""


@dataclass
class Flow:
    """A cell in the making: the decisions that are open are a stack, so that a node's branches are done one after the
    other, each with all that grows behind it."""

    depth: int
    root: Tree = field(default_factory=lambda: Tree([Branch(LAYER, "")]))
    changes: list[Change] = field(default_factory=list)
    inserted: bool = False

    def __post_init__(self) -> None:
        self.open: list[tuple[str, Tree, Branch]] = [(MERGE, self.root, self.root.branches[0])]

    def decide(self, token: Token) -> None:
        """Answer the decision on top of the stack."""
        kind, tree, branch = self.open.pop()
        if kind == MERGE and token == ADD:
            self.open.append((BRANCHES, tree, branch))
        elif kind == MERGE:
            self._merge(tree, branch, str(token), 2 if token == CONCAT else 1)
        elif kind == BRANCHES:
            self._merge(tree, branch, ADD, int(str(token)))
        elif kind == EDGE:
            branch.edge = str(token)
            if token != IDENTITY:
                self.changes.append(Change(EDGE, branch.place, branch.edge))
        elif token == YES:
            self.inserted = True
            branch.node = Tree([Branch(IDENTITY, f"{branch.place}+then")])
            self.changes.append(Change(INSERT, branch.place))
            self.open.append((MERGE, branch.node, branch.node.branches[0]))

    def _merge(self, tree: Tree, branch: Branch, merge: str, count: int) -> None:
        tree.merge = merge
        if count > 1:
            tree.branches = [Branch(branch.edge, f"{branch.place}+{number + 1}") for number in range(count)]
            self.changes.append(Change(MERGE, branch.place, f"{merge}{count}" if merge == ADD else merge))
        waiting = [(INSERT, tree, each) for each in tree.branches if each.depth < self.depth]
        fresh = [(EDGE, tree, each) for each in tree.branches if each.edge == IDENTITY]
        self.open += [*reversed(waiting), *reversed(fresh)]  # edges are decided first
