"""The layers of a network: which may go, what of each may shrink, and which must have equally many channels.

A network's layers are its operations, in the order of its nodes. A sum wants equal shapes. So beside other paths a
layer keeps the height and width that it gives, whatever comes in; and all layers that give the channels of what is
added are a group, which has the channels of its first layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evonas.graph import INPUT, Edge, Graph, GraphError, Node
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Dropout,
    DropPath,
    Flatten,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Scale,
    Shape,
    SqueezeExcite,
    Zero,
)
from evonas.operations.layers import sides

FEWEST = 10  # channels to which a layer is made smaller, in the published code
KEEPS_CHANNELS = (
    BatchNorm, ReLU, MaxPool, AveragePool, GlobalAveragePool, Dropout, DropPath, Identity, Zero, Scale, SqueezeExcite,
)  # fmt: skip
SLIDES = (Convolution, MaxPool, AveragePool)
REMOVABLE = (Convolution, Linear, BatchNorm, ReLU, MaxPool, AveragePool, Dropout, Scale, SqueezeExcite)
KINDS = (Convolution, Linear, BatchNorm, ReLU, MaxPool, AveragePool, GlobalAveragePool, Flatten, Dropout)


def smaller(value: Any, multiplier: float, least: int = 1) -> Any:
    """A count, or one for each side, times a multiplier, rounded down, and no less than `least`."""
    if isinstance(value, tuple):
        return tuple(smaller(each, multiplier, least) for each in value)
    return max(int(value * multiplier + 1e-9), least)


def fewer(channels: int, multiplier: float, fewest: int = FEWEST) -> int:
    """Channels times a multiplier, and no less than so many, where there were more."""
    return max(smaller(channels, multiplier), min(fewest, channels))


@dataclass(frozen=True)
class Leaf:
    """One layer: an operation of a node.

    name        node and step: `stage1/block1/residual/conv_2`
    beside      other paths of the network go by it: it keeps the size that it gives
    removable   the network could do without it
    attributes  of kernel, stride, channels and padding those that may be multiplied, and would change by it
    fewest      channels that it may be left
    skip        of a layer beside other paths: the number of the last layer before them, and of the first after them,
                from 1; else (0, 0)
    """

    name: str
    operation: Operation
    beside: bool
    removable: bool
    attributes: tuple[str, ...]
    fewest: int = FEWEST
    skip: tuple[int, int] = (0, 0)

    def allows(self, attribute: str, multiplier: float, chosen: Mapping[str, float]) -> bool:
        """Whether an attribute may be multiplied so, after what was chosen for those before it."""
        operation: Any = self.operation
        if attribute == "kernel" and self.beside:
            return self._padding_for(smaller(operation.kernel, multiplier)) is not None
        if attribute == "padding" and not isinstance(operation, Convolution):  # of a pool: half of its kernel at most
            kernel = smaller(operation.kernel, chosen.get("kernel", 1.0))
            return 2 * smaller(operation.padding, multiplier, 0) <= kernel
        return True

    def changed(self, multipliers: Mapping[str, float]) -> Operation:
        """The operation with its attributes multiplied."""
        operation: Any = self.operation
        values: dict[str, Any] = {}
        for attribute, multiplier in multipliers.items():
            if attribute == "channels":
                name = "features" if isinstance(operation, Linear) else "channels"
                values[name] = fewer(getattr(operation, name), multiplier, self.fewest)
            else:
                least = 0 if attribute == "padding" else 1
                values[attribute] = smaller(getattr(operation, attribute), multiplier, least)
        if "kernel" in values and self.beside:
            values["padding"] = self._padding_for(values["kernel"])
        return replace(operation, **values)

    def _padding_for(self, kernel: int) -> int | None:
        """With which another kernel gives the same size; None: with none."""
        operation: Any = self.operation
        lost = getattr(operation, "dilation", 1) * (operation.kernel - kernel)
        padding = operation.padding - lost // 2
        return None if lost % 2 or padding < 0 or (self.is_pool and 2 * padding > kernel) else padding

    @property
    def is_pool(self) -> bool:
        return isinstance(self.operation, MaxPool | AveragePool)

    @property
    def numbers(self) -> tuple[int, int, int, int, int, int, int]:
        """What a policy reads of it: its kind, kernel, stride, channels, padding, and where the paths beside it begin
        and end (section 3.1 of N2N); 0 for what it has not."""
        return (*described(self.operation), *self.skip)


def described(operation: Operation) -> tuple[int, int, int, int, int]:
    """Kind (from 1; 0: another one), kernel, stride, channels and padding of an operation."""
    kind = next((number for number, each in enumerate(KINDS, 1) if isinstance(operation, each)), 0)
    channels = getattr(operation, "channels", getattr(operation, "features", 0))
    kernel, stride, padding = (_one(getattr(operation, name, 0)) for name in ("kernel", "stride", "padding"))
    return kind, kernel, stride, channels, padding


def _one(value: Any) -> int:
    return max(value) if isinstance(value, tuple) else value or 0


@dataclass(frozen=True)
class Plan:
    """A network and its layers, in order."""

    graph: Graph
    leaves: tuple[Leaf, ...]

    def with_operations(self, operations: Mapping[str, Operation]) -> Graph:
        """The network with these operations by the names of layers, and without the others; layers of a group have the
        channels of its first. Raises GraphError where it cannot be."""
        nodes = [
            replace(node, operations=tuple(operations[name] for name in names_of(node) if name in operations))
            for node in self.graph.nodes
        ]
        named = {node.name: [name for name in names_of(node) if name in operations] for node in self.graph.nodes}
        widths = Groups(self.graph.input_shape, nodes, named).widths(self.graph)
        sized: list[Node] = []
        shapes: dict[str, Shape] = {INPUT: self.graph.input_shape}
        for node in nodes:
            shape, made = Graph.infer(replace(node, operations=()), shapes), list[Operation]()
            for name, operation in zip(named[node.name], node.operations, strict=True):
                made.append(_sized(operation, widths.get(name), shape[0]))
                shape = Graph.infer(Node(node.name, (Edge(INPUT),), (made[-1],)), {INPUT: shape})
            sized.append(replace(node, operations=tuple(made)))
            shapes[node.name] = shape
        graph = Graph(self.graph.input_shape, tuple(sized))
        if graph.output_shape != self.graph.output_shape:
            raise GraphError(f"it ends in {graph.output_shape}, and not in {self.graph.output_shape}")
        return graph


def _sized(operation: Operation, width: int | None, channels: int) -> Operation:
    if _is_depthwise(operation):
        return replace(operation, channels=channels, groups=channels)  # type: ignore[call-arg]
    if width is None:
        return operation
    return replace(operation, **{"features" if isinstance(operation, Linear) else "channels": width})


def names_of(node: Node) -> list[str]:
    """The names of the layers of a node."""
    return [f"{node.name}/{step}" for step, _ in node.steps][len(node.fusion) :]


def _is_depthwise(operation: Operation) -> bool:
    return isinstance(operation, Convolution) and operation.groups > 1 and operation.groups == operation.channels


class Groups:
    """Layers that must have equally many channels, since what they give meets in sums.

    nodes   of the network
    named   the names of the operations of each node
    """

    def __init__(self, input_shape: tuple[int, ...], nodes: Iterable[Node], named: Mapping[str, list[str]]) -> None:
        self.inputs = input_shape[0]
        self._parent: dict[str, str] = {INPUT: INPUT}
        self.layers: dict[str, int] = {}  # that give channels, in order, with how many they have
        self._given: dict[str, set[str]] = {}  # what is made of the channels of others: a concatenation and the like
        self._fixed: set[str] = set()
        source = {INPUT: INPUT}
        for node in nodes:
            found = [source[edge.source] for edge in node.inputs]
            current = found[0]
            if node.combine == "concat" and len(found) > 1:
                current = self._made(f"{node.name} joined", found)
            else:
                for other in found[1:]:
                    self._join(current, other)
            for name, operation in zip(named[node.name], node.operations, strict=True):
                if isinstance(operation, KEEPS_CHANNELS) or _is_depthwise(operation):
                    continue
                if isinstance(operation, Linear) or (isinstance(operation, Convolution) and operation.groups == 1):
                    self.layers[name] = described(operation)[3]
                    self._parent[name] = current = name
                else:  # what it takes and gives depends on how many channels there are
                    current = self._made(name, [current])
                    if not isinstance(operation, Flatten):
                        self._fixed.add(current)
            source[node.name] = current
        self.output = current

    def widths(self, whole: Graph) -> dict[str, int]:
        """The channels of each layer: those of the first of its group, or of what they are added to."""
        frozen = self._frozen()
        firsts: dict[str, int] = {self._find(INPUT): self.inputs}
        firsts.setdefault(self._find(self.output), whole.output_shape[0])
        found = {}
        for name, own in self.layers.items():
            group = self._find(name)
            found[name] = own if group in frozen and group not in firsts else firsts.setdefault(group, own)
        return found

    def free(self) -> set[str]:
        """Layers that decide how many channels they, and their group, have."""
        frozen, seen, found = self._frozen(), {self._find(INPUT), self._find(self.output)}, set()
        for name in self.layers:
            group = self._find(name)
            if group not in frozen and group not in seen:
                found.add(name)
            seen.add(group)
        return found

    def is_fixed(self, name: str) -> bool:
        """Whether a layer gives channels of which there must be as many as there are."""
        return name in self.layers and self._find(name) in self._frozen()

    def _frozen(self) -> set[str]:
        """Groups that cannot change: with what is made of others' channels in them, all that it is made of."""
        frozen = set(map(self._find, self._fixed))
        members: dict[str, set[str]] = {}
        for name in self._parent:
            members.setdefault(self._find(name), set()).add(name)
        frozen |= {group for group, names in members.items() if len(names) > 1 and names & set(self._given)}
        waiting = list(frozen)
        while waiting:
            for name in members[waiting.pop()]:
                for other in map(self._find, self._given.get(name, ())):
                    if other not in frozen:
                        frozen.add(other)
                        waiting.append(other)
        return frozen

    def _made(self, name: str, of: Iterable[str]) -> str:
        self._parent[name] = name
        self._given[name] = set(of)
        return name

    def _find(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def _join(self, one: str, other: str) -> None:
        self._parent[self._find(other)] = self._find(one)


def plan_of(graph: Graph, fewest: int = FEWEST) -> Plan:
    """The layers of a network, each of which may be left so many channels."""
    groups = Groups(graph.input_shape, graph.nodes, {node.name: names_of(node) for node in graph.nodes})
    free, last = groups.free(), groups.output
    place = {INPUT: 0} | {node.name: number for number, node in enumerate(graph.nodes, 1)}
    spans = [(place[edge.source], place[node.name]) for node in graph.nodes for edge in node.inputs]
    beside = {name for name, at in place.items() if any(first < at < then for first, then in spans)}
    leaves: list[Leaf] = []
    for node in graph.nodes:
        for name, (operation, shape) in zip(names_of(node), graph.chain(node), strict=True):
            by = node.name in beside
            given = operation.shape(shape)
            needed = (by and given[1:] != shape[1:]) or (given[0] != shape[0] and groups.is_fixed(name))
            removable = isinstance(operation, REMOVABLE) and name != last and not needed
            wide = name in free and described(operation)[3] > fewest
            leaves.append(Leaf(name, operation, by, removable, _attributes(operation, by, wide), fewest))
    return Plan(graph, tuple(_with_skips(leaves)))


def _attributes(operation: Operation, beside: bool, wide: bool) -> tuple[str, ...]:
    """What may be multiplied, and would change by it."""
    found = []
    if isinstance(operation, SLIDES):
        plain = isinstance(operation.kernel, int) and isinstance(operation.padding, int)
        if max(sides(operation.kernel)) > 1 and (plain or not beside):
            found.append("kernel")
        if not beside and max(sides(operation.stride)) > 1:
            found.append("stride")
    if wide:
        found.append("channels")
    if isinstance(operation, SLIDES) and not beside and max(sides(operation.padding or 0)) > 0:
        found.append("padding")
    return tuple(found)


def _with_skips(leaves: list[Leaf]) -> Iterable[Leaf]:
    """Each with the numbers of the layers between which it lies beside other paths."""
    for number, leaf in enumerate(leaves, 1):
        if not leaf.beside:
            yield leaf
            continue
        before = max((n for n, other in enumerate(leaves[: number - 1], 1) if not other.beside), default=0)
        after = next((n for n, other in enumerate(leaves, 1) if n > number and not other.beside), len(leaves))
        yield replace(leaf, skip=(before, after))
