"""The architecture: an immutable graph of named nodes, without weights and without torch.

A node sums (or concatenates) its inputs, each times a gate, then applies its operations in turn. Shapes are inferred
as a graph is made, so a graph that exists is valid. Names are stable identities: weights are shared, inherited and
saved by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from evonas import gates, operations
from evonas.gates import Gate
from evonas.nodes import INPUT, Edge, GraphError, Node, check_folders, check_name
from evonas.operations import JOINS, Convolution, DropPath, Identity, Operation, Recorded, Shape, Zero
from evonas.rewriting import first_steps_shared, nodes_alive, zero_stays
from evonas.support.schema import checked

LARGEST_SIDE = 1 << 24  # of an input that is read from a file

__all__ = ["INPUT", "Draft", "Edge", "Graph", "GraphError", "Node"]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order. The data enter as the node "input"; the last node is the output.

    auxiliary   a node behind which a training may place a second classifier, which the network itself does not have

    Raises GraphError for a name that clashes with another or with Python, an input that is not an earlier node,
    shapes that cannot be summed or concatenated, and an operation that its input does not fit.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    auxiliary: str | None = None
    shapes: Mapping[str, Shape] = field(init=False, compare=False, repr=False)  # of each node's output

    def __post_init__(self) -> None:
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for node in self.nodes:
            if node.name in shapes:
                raise GraphError(f"{node.name}: two nodes have this name")
            check_name(node.name)
            shapes[node.name] = self.infer(node, shapes)
        check_folders(shapes, self.nodes)
        if self.auxiliary is not None and self.auxiliary not in shapes:
            raise GraphError(f"the auxiliary classifier stands behind {self.auxiliary!r}, which is no node")
        object.__setattr__(self, "shapes", shapes)

    @classmethod
    def infer(cls, node: Node, shapes: Mapping[str, Shape]) -> Shape:
        """The shape of a node's output, from those of earlier nodes. Raises GraphError where they do not fit."""
        shape = cls._combined(node, shapes)
        for operation in node.operations:
            try:
                shape = operation.shape(shape)
            except ValueError as error:
                raise GraphError(f"{node.name}: {error}") from None
            if min(shape, default=0) < 1:
                raise GraphError(f"{node.name}: {operation} gives the shape {shape}")
        return shape

    @staticmethod
    def _combined(node: Node, shapes: Mapping[str, Shape]) -> Shape:
        """The shape in which the inputs of a node meet."""
        if not node.inputs:
            raise GraphError(f"{node.name}: a node needs an input")
        for edge in node.inputs:
            if edge.source not in shapes:
                raise GraphError(f"{node.name}: its input {edge.source!r} is not an earlier node")
        found = [shapes[edge.source] for edge in node.inputs]
        if node.combine == "blend" and (len(found) != 2 or any(edge.gate != 1 for edge in node.inputs)):
            raise GraphError(f"{node.name}: blend joins two inputs without gates")
        if node.combine in ("sum", "attention", "blend"):
            if len(set(found)) > 1:
                raise GraphError(
                    f"{node.name}: its inputs cannot be summed, their shapes differ: {_listed(node, found)}"
                )
            if node.combine == "attention" and node.fusion and len(found[0]) != 3:
                raise GraphError(f"{node.name}: attention joins images, and its inputs are {_listed(node, found)}")
            return found[0]
        if node.combine not in JOINS:
            raise GraphError(f"{node.name}: combine is {node.combine!r}; use one of {', '.join(JOINS)}")
        if len({shape[1:] for shape in found}) > 1:
            raise GraphError(f"{node.name}: its inputs differ in size: {_listed(node, found)}")
        if any(edge.gate != 1 for edge in node.inputs):
            raise GraphError(f"{node.name}: gates stand on sums; put a sum before the concatenation")
        return (sum(shape[0] for shape in found), *found[0][1:])

    @property
    def output(self) -> str:
        return self.nodes[-1].name if self.nodes else INPUT

    @property
    def output_shape(self) -> Shape:
        return self.shapes[self.output]

    @cached_property
    def is_open(self) -> bool:
        """Some gate waits for a route: the network is a supernet."""
        return any(not isinstance(edge.gate, int) for node in self.nodes for edge in node.inputs)

    # ---- counting -------------------------------------------------------------------------------------------------

    def chain(self, node: Node) -> Iterator[tuple[Operation, Shape]]:
        """The operations that follow one another in a node, each with the shape of its input."""
        return ((operation, shape) for _, operation, shape in islice(self.steps(node), len(node.fusion), None))

    def steps(self, node: Node) -> Iterator[tuple[str, Operation, Shape]]:
        """Each operation of a node, that which joins its inputs included: module name, operation, shape of its input
        (or of each of them)."""
        shape = self._combined(node, self.shapes)
        for name, operation in node.steps:
            yield name, operation, shape
            shape = operation.shape(shape)

    @cached_property
    def parameters(self) -> int:
        """Weights of all nodes; of an open graph, of all candidates."""
        return sum(op.parameters(shape) for node in self.nodes for _, op, shape in self.steps(node))

    @cached_property
    def parameters_in_training(self) -> int:
        """Those that a training has to hold: more than in the end, where some operation sheds weights on its way."""
        return sum(op.parameters_in_training(shape) for node in self.nodes for _, op, shape in self.steps(node))

    @cached_property
    def multiply_adds(self) -> int:
        """Those of convolutions and linear layers for one image; in an open graph, those of all candidates."""
        return sum(op.multiply_adds(shape) for node in self.nodes for _, op, shape in self.steps(node))

    @property
    def depthwise(self) -> bool:
        """Some convolution does not see all channels."""
        return any(isinstance(op, Convolution) and op.groups > 1 for node in self.nodes for op in node.operations)

    @property
    def unknown(self) -> list[str]:
        """The operations whose classes are not there, by name."""
        return [op.name for node in self.nodes for op in node.operations if isinstance(op, Recorded)]

    # ---- rewriting ------------------------------------------------------------------------------------------------

    def simplified(self, *, training: bool = False) -> Graph:
        """The same function without what does nothing: dead nodes, identities, and zeros in sums.

        training   keep what matters in training alone: paths to be dropped, and the place of an auxiliary classifier
        """
        nothing = (Identity,) if training else (Identity, DropPath)
        stands_for: dict[str, str] = {}  # a node that does nothing -> the node that it repeats
        zeros: set[str] = set()  # nodes whose output is zero whatever the data
        kept: list[Node] = []
        for node in self.nodes:
            edges = tuple(Edge(stands_for.get(edge.source, edge.source), edge.gate) for edge in node.inputs)
            ops = tuple(op for op in node.operations if not isinstance(op, nothing))
            if node.combine == "sum":  # a zero adds nothing; one stays where there is nothing else
                edges = tuple(edge for edge in edges if edge.source not in zeros) or edges[:1]
            fed_zeros = all(edge.source in zeros for edge in edges)
            if (fed_zeros or any(isinstance(op, Zero) for op in ops)) and zero_stays(ops, fed_zeros):
                zeros.add(node.name)
            if not ops and len(edges) == 1 and edges[0].gate == 1:
                stands_for[node.name] = edges[0].source
            else:
                kept.append(Node(node.name, edges, ops, node.combine))
        alive = nodes_alive(kept, stands_for.get(self.output, self.output))
        place = stands_for.get(self.auxiliary or "", self.auxiliary)
        found = training and any(node.name == place for node in alive)
        return Graph(self.input_shape, alive, place if found else None)

    def shared(self) -> Graph:
        """The same function, in which what several nodes begin with is done once: operations that depend on nothing but
        an input which these nodes have in common become a node of their own, named after the first of them.

        Names and order of all operations with weights stay as they are.
        """
        nodes = self.nodes
        while (further := first_steps_shared(nodes)) != nodes:
            nodes = further
        return Graph(self.input_shape, nodes, self.auxiliary)

    # ---- identity -------------------------------------------------------------------------------------------------

    def digest(self) -> str:
        """16 hex digits, equal for graphs that are isomorphic once simplified: names and order of nodes do not count.

        Each node's label is refined by its inputs, then by its consumers, until no more nodes are told apart
        (Weisfeiler-Lehman refinement of a directed graph).
        """
        graph = self.simplified()
        labels = {INPUT: _hash(INPUT, *graph.input_shape)}
        labels |= {node.name: _hash(node.combine, *map(_written, node.operations)) for node in graph.nodes}
        consumers: dict[str, list[tuple[str, str]]] = {name: [] for name in labels}
        for node in graph.nodes:
            for edge in node.inputs:
                consumers[edge.source].append((str(edge.gate), node.name))
        classes = 0
        while len(set(labels.values())) > classes:
            classes = len(set(labels.values()))
            for node in graph.nodes:
                seen = sorted(str(edge.gate) + labels[edge.source] for edge in node.inputs)
                labels[node.name] = _hash(labels[node.name], "from", *seen)
            for name in [node.name for node in reversed(graph.nodes)] + [INPUT]:
                seen = sorted(gate + labels[consumer] for gate, consumer in consumers[name])
                labels[name] = _hash(labels[name], "to", *seen)
        return _hash(labels[graph.output], *sorted(labels.values()))

    # ---- text and JSON --------------------------------------------------------------------------------------------

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints: a line for each node."""
        printer.text(str(self))

    def __str__(self) -> str:
        rows = [(INPUT, "", "", "x".join(map(str, self.input_shape)))]
        for node in self.nodes:
            joined = {"sum": " + ", "concat": ", ", "attention": " ~ ", "blend": " < "}[node.combine]
            inputs = joined.join(e.source if e.gate == 1 else f"[{e.gate}] {e.source}" for e in node.inputs)
            shape = "x".join(map(str, self.shapes[node.name]))
            rows.append((node.name, inputs, ", ".join(map(str, node.operations)), shape))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines.append(f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds")
        return "\n".join(line.rstrip() for line in lines)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, from which `from_json` gives an equal graph. An operation that is not evonas's own is `Recorded`
        in a process that does not have its class."""
        return {
            "input_shape": list(self.input_shape),
            "nodes": [
                {
                    "name": node.name,
                    "inputs": [[edge.source, gates.to_json(edge.gate)] for edge in node.inputs],
                    "operations": [operations.to_json(op, shape) for op, shape in self.chain(node)],
                    "combine": node.combine,
                }
                for node in self.nodes
            ],
            "auxiliary": self.auxiliary,
        }

    @classmethod
    def from_json(cls, data: Any) -> Graph:
        """The inverse of `to_json`. Raises UserError for anything else: a graph that was read from a file is data, from
        which source is printed and networks are built."""
        text = checked(data, _GraphText, "the graph")
        try:
            nodes = tuple(
                Node(
                    node.name,
                    tuple(Edge(source, gates.from_json(gate)) for source, gate in node.inputs),
                    tuple(map(operations.from_json, node.operations)),
                    node.combine,
                )
                for node in text.nodes
            )
            return cls(text.input_shape, nodes, text.auxiliary)
        except GraphError:
            raise
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise GraphError(f"the graph cannot be read: {error}") from None


class _NodeText(Struct):
    name: str
    inputs: list[tuple[str, Any]]
    operations: list[dict[str, Any]]
    combine: Literal["sum", "concat", "attention", "blend"]


class _GraphText(Struct):
    """What `Graph.to_json` gives."""

    input_shape: tuple[Annotated[int, Meta(ge=1, le=LARGEST_SIDE)], ...]
    nodes: list[_NodeText]
    auxiliary: str | None = None


class Draft:
    """A graph in the making, for decoders: an edge whose gate is closed is left out, and so is a node without inputs.

    `node` returns the name under which later nodes refer to the new one, or None where it was left out; None may be
    given as an input, and counts as a closed edge.
    """

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = tuple(input_shape)
        self.nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {INPUT: self.input_shape}  # of the first nodes, as far as somebody has asked

    def shape(self, name: str) -> Shape:
        """The shape of a node's output: decoders that adapt widths and sizes ask for it."""
        for node in self.nodes[len(self._shapes) - 1 :]:
            self._shapes[node.name] = Graph.infer(node, self._shapes)
        return self._shapes[name]

    def node(
        self,
        name: str,
        inputs: Iterable[str | tuple[str | None, Gate] | None],
        *operations: Operation,
        combine: str = "sum",
    ) -> str | None:
        pairs = (item if isinstance(item, tuple) else (item, 1) for item in inputs)
        edges = tuple(Edge(source, gate) for source, gate in pairs if source is not None and gate != 0)
        if not edges:
            return None
        self.nodes.append(Node(name, edges, tuple(operations), combine))
        return name

    def then(self, name: str | None, *operations: Operation) -> str | None:
        """More operations at the end of a node, which must be the last one added; None is passed on."""
        if name is None:
            return None
        last = self.nodes.pop()
        if last.name != name:
            raise GraphError(f"{name} is not the last node; that is {last.name}")
        self._shapes.pop(name, None)
        self.nodes.append(replace(last, operations=(*last.operations, *operations)))
        return name

    def candidate(self, name: str, source: str | None, gate: Gate, *operations: Operation) -> tuple[str | None, Gate]:
        """A node that is one of several choices, and the gated edge from it, for the sum in which the choices meet.

        Where the gate is closed there is no node.
        """
        return (self.node(name, [source], *operations) if gate != 0 else None), gate

    def graph(self, auxiliary: str | None = None) -> Graph:
        """The finished graph; its output is the node that was added last."""
        return Graph(self.input_shape, tuple(self.nodes), auxiliary)


def _listed(node: Node, shapes: Iterable[Shape]) -> str:
    return ", ".join(
        f"{edge.source} {'x'.join(map(str, shape))}" for edge, shape in zip(node.inputs, shapes, strict=True)
    )


@lru_cache(maxsize=1000)
def _written(operation: Operation) -> str:
    return str(operation.written())


def _hash(*parts: object) -> str:
    return blake2b("|".join(map(str, parts)).encode(), digest_size=8).hexdigest()
