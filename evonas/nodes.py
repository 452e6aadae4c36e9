"""The nodes of a graph, and the edges between them."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evonas.errors import UserError
from evonas.gates import Gate
from evonas.operations import Attention, Blend, Operation

INPUT = "input"
RESERVED = ("self", "route_gates", "__debug__")  # what the code of a network has by these names
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+=-]*")


class GraphError(UserError):
    """A graph that cannot be: a name that clashes, shapes that do not fit. The message names the node."""


@dataclass(frozen=True)
class Edge:
    source: str
    gate: Gate = 1


@dataclass(frozen=True)
class Node:
    """`name` may have folders (`stage1/node2`); `combine` is "sum", "concat", "attention", which is a mean with
    learned weights (`evonas.operations.Attention`), or "blend", by which a second input comes in little by little
    (`evonas.operations.Blend`)."""

    name: str
    inputs: tuple[Edge, ...]
    operations: tuple[Operation, ...] = ()
    combine: str = "sum"

    @property
    def fusion(self) -> tuple[Operation, ...]:
        """The operation by which several inputs are joined, where that has weights."""
        if self.combine == "blend":
            return (Blend(),)
        return (Attention(len(self.inputs)),) if self.combine == "attention" and len(self.inputs) > 1 else ()

    @property
    def steps(self) -> Iterator[tuple[str, Operation]]:
        """The operations under the names of their modules: conv, conv_2, ...; before them that which joins the inputs,
        if one does."""
        count: dict[str, int] = {}
        for operation in (*self.fusion, *self.operations):
            nth = count[operation.name] = count.get(operation.name, 0) + 1
            yield (operation.name if nth == 1 else f"{operation.name}_{nth}"), operation


def check_name(name: str) -> None:
    for segment in name.split("/"):
        if not _SEGMENT.fullmatch(segment):
            raise GraphError(f"{name!r}: use letters, digits and _+=- in node names, with / between folders")
        if keyword.iskeyword(segment):
            raise GraphError(f"{name!r}: {segment!r} is a Python keyword; choose another name")
        if segment in RESERVED:
            raise GraphError(
                f"{name!r}: {segment!r} means something else in the code of a network; choose another name"
            )


def check_folders(names: Iterable[str], nodes: Iterable[Node]) -> None:
    """Modules live at node/operation: no node may lie in a folder that is another node."""
    taken = set(names)
    for node in nodes:
        parts = node.name.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in taken:
                raise GraphError(f"{node.name}: {'/'.join(parts[:depth])!r} is a node and cannot be a folder as well")
