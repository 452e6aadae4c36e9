"""Which channels of a graph are one and the same: what is added channel by channel, or passes through a depthwise
convolution, is as wide before as after, and where one of its channels is copied, all of them are.

A *point* of a graph is a node and how many of its operations have been carried out; (INPUT, 0) is the input. Each point
has channels; after `flatten`, each channel stands for as many features as it had pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from evonas.errors import UserError
from evonas.graph import INPUT, Graph
from evonas.operations import (
    ACTIVATIONS,
    AveragePool,
    BatchNorm,
    Convolution,
    Crop,
    Dropout,
    DropPath,
    FadingDropout,
    FirstChannels,
    Flatten,
    GlobalAveragePool,
    Identity,
    LastChannels,
    Linear,
    MaxPool,
    Operation,
    PadChannels,
    PadSize,
    ReLU,
    Resize,
    Scale,
    Shape,
    ShuffleChannels,
    SqueezeExcite,
    Zero,
)

Point = tuple[str, int]
Index = np.ndarray  # for each channel, the channel of the parent that it is a copy of; NEW: of none
NEW = -1

EACH_BY_ITSELF = (AveragePool, BatchNorm, Crop, Dropout, DropPath, FadingDropout, GlobalAveragePool, Identity, MaxPool,
                  PadSize, ReLU, Resize, Scale, Zero, *ACTIVATIONS)  # fmt: skip


class MorphismError(UserError):
    """A change of a network that cannot be made without changing what it computes. The message says why."""


def is_depthwise(operation: Operation, shape: Shape) -> bool:
    return isinstance(operation, Convolution) and operation.groups == shape[0] == operation.channels > 1


def is_dense(operation: Operation) -> bool:
    """Whether each output depends on all channels of the input by a weight of its own."""
    return isinstance(operation, Linear) or (isinstance(operation, Convolution) and operation.groups == 1)


def passes(operation: Operation, shape: Shape) -> bool:
    """Whether channels come out as they went in, each by itself or, as of squeeze and excite, scaled."""
    return isinstance(operation, (*EACH_BY_ITSELF, Flatten, SqueezeExcite)) or is_depthwise(operation, shape)


class Channels:
    """The channels of each point of a closed graph, each with the number of the class to which it belongs."""

    def __init__(self, graph: Graph) -> None:
        if graph.is_open:
            raise MorphismError("a supernet cannot be widened; choose one of its networks first")
        self.graph = graph
        self.repeats: dict[Point, int] = {}  # features for each channel
        self._labels: dict[Point, np.ndarray] = {}
        self._equal: list[tuple[np.ndarray, np.ndarray]] = []
        self._fixed: list[tuple[np.ndarray, str]] = []  # channels that cannot be copied, and why
        self._count = 0
        self._set((INPUT, 0), self._fix(self._new(graph.input_shape[0]), "they are those of the input"))
        for node in graph.nodes:
            self._join(node.name)
            for position, (operation, shape) in enumerate(graph.chain(node)):
                self._carry_out(operation, shape, (node.name, position))
        self._fix(self._labels[self._end(graph.output)], "they are the network's outputs")

    def _end(self, name: str) -> Point:
        return (INPUT, 0) if name == INPUT else (name, len(self._nodes[name].operations))

    @cached_property
    def _nodes(self) -> dict:
        return {node.name: node for node in self.graph.nodes}

    def _new(self, count: int) -> np.ndarray:
        self._count += count
        return np.arange(self._count - count, self._count)

    def _fix(self, labels: np.ndarray, reason: str) -> np.ndarray:
        self._fixed.append((labels, reason))
        return labels

    def _set(self, point: Point, labels: np.ndarray, repeat: int = 1) -> None:
        self._labels[point], self.repeats[point] = labels, repeat

    def _join(self, name: str) -> None:
        """The inputs of a node meet."""
        node = self._nodes[name]
        ends = [self._end(edge.source) for edge in node.inputs]
        found, repeats = [self._labels[end] for end in ends], [self.repeats[end] for end in ends]
        if len(set(repeats)) > 1:
            for labels in found:
                self._fix(labels, f"{name} joins images that were flattened at different sizes")
            found = [np.repeat(each, repeat) for each, repeat in zip(found, repeats, strict=True)]
            repeats = [1] * len(found)
        if node.combine == "concat":
            self._set((name, 0), np.concatenate(found), repeats[0])
            return
        self._equal += [(found[0], each) for each in found[1:]]
        if node.fusion and node.combine == "attention":
            self._fix(found[0], f"the attention of {name} weighs images by them")
        self._set((name, 0), found[0], repeats[0])

    def _carry_out(self, operation: Operation, shape: Shape, point: Point) -> None:
        labels, repeat = self._labels[point], self.repeats[point]
        name, after = point[0], (point[0], point[1] + 1)
        gives = operation.shape(shape)
        match operation:
            case _ if is_dense(operation):
                self._set(after, self._new(gives[0]))
            case Flatten():
                self._set(after, labels, repeat * (prod(shape) // shape[0]))
            case _ if passes(operation, shape):
                self._set(after, labels, repeat)
            case PadChannels():
                zeros = self._fix(self._new(gives[0] - shape[0]), f"{name} fills them up with zeros")
                self._set(after, np.concatenate([labels, zeros]))
            case FirstChannels():
                self._set(after, labels[: operation.channels])
            case LastChannels():
                self._set(after, labels[len(labels) - operation.channels :])
            case ShuffleChannels():
                self._set(after, shuffled(labels, operation.groups))
            case _:
                self._fix(labels, f"{operation} in {name} works on fixed groups of them")
                self._set(after, self._fix(self._new(gives[0]), f"{operation} in {name} makes them in fixed groups"))

    @cached_property
    def _class_of(self) -> np.ndarray:
        """label -> class."""
        none = [np.empty(0, int)]
        ones = np.concatenate(none + [one for one, _ in self._equal])
        others = np.concatenate(none + [other for _, other in self._equal])
        links = coo_array((np.ones(len(ones)), (ones, others)), shape=(self._count, self._count))
        return connected_components(links, directed=False)[1]

    @cached_property
    def classes(self) -> dict[Point, np.ndarray]:
        return {point: self._class_of[labels] for point, labels in self._labels.items()}

    @cached_property
    def _points(self) -> dict[int, list[Point]]:
        """class -> where it occurs."""
        found: dict[int, list[Point]] = {}
        for point, classes in self.classes.items():
            for each in set(classes.tolist()):
                found.setdefault(each, []).append(point)
        return found

    def _together(self, wanted: list[int]) -> Iterator[tuple[Point, list[int] | None]]:
        """The points at which one of these classes occurs, and where all of them stand there in a row."""
        points = dict.fromkeys(point for each in wanted for point in self._points[each])
        return ((point, _runs(self.classes[point].tolist(), wanted)) for point in points)

    @cached_property
    def _reasons(self) -> dict[int, str]:
        """class -> why it cannot be copied."""
        return {each: reason for labels, reason in self._fixed for each in self._class_of[labels].tolist()}

    def refusal(self, point: Point) -> str | None:
        """Why the channels made at a point cannot become more; None: they can."""
        wanted = self.classes[point].tolist()
        for each in wanted:
            if each in self._reasons:
                return f"its channels cannot become more: {self._reasons[each]}"
        if len(set(wanted)) < len(wanted):
            return "some of its channels are added to others of its own"
        for (name, _), starts in self._together(wanted):
            if starts is None:
                return f"only some of its channels are joined with others in {name}; widen those that make them"
        return None

    def copied(self, point: Point, index: Sequence[int]) -> dict[Point, Index]:
        """Where the channels made at a point, which may become more, become those of `index`: for each point at which
        channels change, which channel each is a copy of."""
        wanted = self.classes[point].tolist()
        copies = np.asarray(index)
        changed = {}
        for each, starts in self._together(wanted):
            assert starts is not None, "they may become more"
            parts, last = [], 0
            for start in starts:
                parts += [np.arange(last, start), np.where(copies == NEW, NEW, start + copies)]
                last = start + len(wanted)
            changed[each] = np.concatenate([*parts, np.arange(last, len(self.classes[each]))])
        return changed


def _runs(found: list[int], wanted: list[int]) -> list[int] | None:
    """Where in a row of classes the wanted ones stand, one after the other; None: some stand elsewhere."""
    starts, position, inside = [], 0, set(wanted)
    while position < len(found):
        if found[position] in inside:
            if found[position : position + len(wanted)] != wanted:
                return None
            starts.append(position)
            position += len(wanted)
        else:
            position += 1
    return starts


def shuffled(channels: np.ndarray, groups: int) -> np.ndarray:
    """The first of each of so many equal groups, then the second of each, and so on."""
    return channels.reshape(groups, -1).T.ravel()
