"""Nodes written anew, for graphs that do the same with less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evonas.nodes import Edge, Node
from evonas.operations import Operation, Zero


def zero_stays(ops: Iterable[Operation], zero: bool = False) -> bool:
    """Whether operations give zeros, whatever comes in, or where zeros come in."""
    for operation in ops:
        zero = isinstance(operation, Zero) or (zero and operation.keeps_zero)
    return zero


def first_steps_shared(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The first operation of nodes that begin with the same one, on the same input, as a node before the first."""
    hands_on: dict[str, str] = {}  # a node that does nothing any more -> its input
    begins: dict[tuple[str, Operation], list[str]] = {}
    begin_of: dict[str, tuple[str, Operation]] = {}
    for node in nodes:
        if len(node.inputs) == 1 and node.inputs[0].gate == 1:
            source = hands_on.get(node.inputs[0].source, node.inputs[0].source)
            if not node.operations:
                hands_on[node.name] = source
            elif node.operations[0].pure:
                begin_of[node.name] = source, node.operations[0]
                begins.setdefault(begin_of[node.name], []).append(node.name)
    taken = {node.name for node in nodes}
    rewritten = []
    for node in nodes:
        begin = begin_of.get(node.name)
        if begin is not None and len(users := begins[begin]) > 1:
            source, operation = begin
            name = f"{users[0]}+{operation.name}"
            while name in taken:
                name += "+"
            if node.name == users[0]:
                rewritten.append(Node(name, (Edge(source),), (operation,)))
            node = replace(node, inputs=(Edge(name),), operations=node.operations[1:], combine="sum")
        rewritten.append(node)
    return tuple(rewritten)


def nodes_alive(nodes: list[Node], output: str) -> tuple[Node, ...]:
    """The nodes on a path to the output."""
    needed = {output}
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(edge.source for edge in node.inputs)
    return tuple(node for node in nodes if node.name in needed)
