"""Morphisms that replace a layer by several branches side by side (Path-level EAS; Cai et al. 2018, arXiv:1806.02639,
section 3.1). Changes inside a branch make them differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from evonas.graph import Graph
from evonas.morphisms.channels import EACH_BY_ITSELF, Index, MorphismError, is_dense, is_depthwise
from evonas.morphisms.morphism import Morphism, whole, width_of
from evonas.morphisms.rewrite import Rewrite, Source, carried_out, changed, path_of, repeats_in
from evonas.nodes import Edge, Node
from evonas.operations import Convolution, FirstChannels, Flatten, LastChannels, Operation, Scale, Shape


@dataclass(frozen=True)
class Branches(Morphism):
    """A node becomes several branches, which are merged under its name.

    place   the node
    count   of branches
    """

    count: int

    @property
    def value(self) -> str:
        return str(self.count)

    @classmethod
    def read(cls, place: str, value: str) -> Branches:
        return cls(place, whole(value))

    def check(self, graph: Graph) -> Node:
        """The node that is replaced."""
        if self.count < 2:
            raise MorphismError(f"{self.count} branches are none; use at least 2")
        node = next((node for node in graph.nodes if node.name == self.place), None)
        if node is None:
            raise MorphismError(f"there is no node {self.place!r}")
        if node.fusion:
            raise MorphismError(
                f"{self.place} joins its inputs by weights of its own, which branches would have to share"
            )
        if not node.operations:
            raise MorphismError(f"{self.place} has no operation that could be carried out in branches")
        taken = {each.name for each in graph.nodes}
        if taken & {self.branch(number) for number in range(self.count)} or f"{self.place}+in" in taken:
            raise MorphismError(f"{self.place} has been replaced by branches already; replace one of these")
        return node

    def branch(self, number: int) -> str:
        return f"{self.place}+{number + 1}"

    def merged(self, graph: Graph, node: Node, branches: Sequence[tuple[Node, dict[str, Source]]],
               merge: Node) -> Rewrite:  # fmt: skip
        """The graph with the branches and their merge in place of the node."""
        inputs, before = node.inputs, []
        if len(inputs) > 1:  # joined once for all branches
            before = [Node(f"{self.place}+in", inputs, (), node.combine)]
            inputs = (Edge(before[0].name),)
        new = [*before, *(replace(branch, inputs=inputs, combine="sum") for branch, _ in branches), merge]
        child = [each for old in graph.nodes for each in (new if old is node else [old])]
        return Rewrite(changed(graph, child), {path: each for _, sources in branches for path, each in sources.items()})

    def merge(self, combine: str, *operations: Operation) -> Node:
        edges = tuple(Edge(self.branch(number)) for number in range(self.count))
        return Node(self.place, edges, operations, combine)

    def enough(self, channels: int) -> None:
        if channels < self.count:
            raise MorphismError(f"{self.place} has {channels} channels, too few for {self.count} branches")

    def slices(self, channels: int) -> list[Index]:
        """The channels of each branch: the first ones have one more, where they do not divide."""
        return np.array_split(np.arange(channels), self.count)

    def as_branch(
        self, node: Node, number: int, chain: Sequence[tuple[Operation, Shape]], points: dict[int, Index]
    ) -> tuple[Node, dict[str, Source]]:
        """A branch with the node's operations, of which those at `points` have only some of the channels; the sources
        of all its modules."""
        made, some = carried_out(node, chain, points, repeats_in(chain), "share")
        branch = replace(made, name=self.branch(number))
        old = [step for step, _ in node.steps]
        sources = {}
        for step, was in zip([step for step, _ in branch.steps], old, strict=True):
            path = path_of(node.name, was)
            sources[path_of(branch.name, step)] = some.get(path, Source(path))
        return branch, sources


@dataclass(frozen=True)
class AddCopies(Branches):
    """Copies of the node side by side; their outputs are averaged (add-copy)."""

    kind = "add-copies"

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node = self.check(graph)
        chain = list(graph.chain(node))
        branches = [self.as_branch(node, number, chain, {}) for number in range(self.count)]
        return self.merged(graph, node, branches, self.merge("sum", Scale(1 / self.count)))


@dataclass(frozen=True)
class ConcatCopies(Branches):
    """Each branch makes some of the outputs of the node's last convolution; they are concatenated (concat-copy)."""

    kind = "concat-copies"

    def check(self, graph: Graph) -> Node:
        node = super().check(graph)
        chain, last = list(graph.chain(node)), self.last(node)
        if last is None:
            raise MorphismError(f"{self.place} has no convolution over all channels; split its channels instead")
        if not all(by_itself(*each) for each in chain[last + 1 :]):
            raise MorphismError(f"{self.place} mixes the outputs of its last convolution, of which a branch has a part")
        self.enough(width_of(chain[last][0]))
        return node

    @staticmethod
    def last(node: Node) -> int | None:
        """The position of the last layer that reads all channels."""
        return max((place for place, each in enumerate(node.operations) if is_dense(each)), default=None)

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node = self.check(graph)
        chain, last = list(graph.chain(node)), self.last(node)
        assert last is not None, "it was checked"
        parts = self.slices(width_of(chain[last][0]))
        branches = [
            self.as_branch(node, number, chain, dict.fromkeys(range(last + 1, len(chain) + 1), part))
            for number, part in enumerate(parts)
        ]
        return self.merged(graph, node, branches, self.merge("concat"))


@dataclass(frozen=True)
class ConcatSplit(Branches):
    """Each branch does with some of the channels what the node did with all of them, each by itself or in groups; they
    are concatenated (concat-split)."""

    kind = "concat-split"

    def check(self, graph: Graph) -> Node:
        node = super().check(graph)
        chain = list(graph.chain(node))
        if not all(by_itself(*each) or self.in_groups(each[0]) for each in chain):
            raise MorphismError(f"{self.place} mixes channels, of which a branch has a part; copy it instead")
        if len(chain[0][1]) != 3:
            raise MorphismError(f"{self.place} reads features, not images, whose channels can be split")
        self.enough(chain[0][1][0])
        return node

    def in_groups(self, operation: Operation) -> bool:
        """Whether it is a convolution whose groups can be dealt out."""
        return isinstance(operation, Convolution) and operation.groups % self.count == 0

    def apply(self, graph: Graph, rng: Random) -> Rewrite:
        node = self.check(graph)
        chain = list(graph.chain(node))
        widths = [chain[0][1][0]]  # at each place
        for operation, _ in chain:
            widths.append(operation.channels if isinstance(operation, Convolution) else widths[-1])
        points = [self.slices(width) for width in widths]
        branches = []
        for number, part in enumerate(points[0]):
            here = {place: parts[number] for place, parts in enumerate(points)}
            branch, sources = self.as_branch(node, number, chain, here)
            taken = (FirstChannels(int(part[-1]) + 1), LastChannels(len(part)))
            branches.append((replace(branch, operations=(*taken, *branch.operations)), sources))
        return self.merged(graph, node, branches, self.merge("concat"))


def by_itself(operation: Operation, shape: Shape) -> bool:
    """Whether each channel of the output depends on one of the input alone."""
    return isinstance(operation, (*EACH_BY_ITSELF, Flatten)) or is_depthwise(operation, shape)
