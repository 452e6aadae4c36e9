"""What becomes of a graph and of its weights where it is changed, without a tensor: for each module of the child, which
module of the parent it comes from, and which of that module's channels each of its own is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np

from evonas.graph import Graph
from evonas.morphisms.channels import NEW, Index, MorphismError, is_dense, shuffled
from evonas.nodes import Node
from evonas.operations import (
    BatchNorm,
    Convolution,
    FirstChannels,
    Flatten,
    LastChannels,
    Linear,
    Operation,
    PadChannels,
    Shape,
    ShuffleChannels,
    SqueezeExcite,
)

Columns = Literal["share", "zero", "drawn"]


@dataclass(frozen=True, eq=False)
class Take:
    """A tensor whose slices are those of a tensor of the parent.

    rows     for each slice of the first dimension, which one of the parent's it is; NEW: as drawn. None: all, in order
    columns  the same of the second dimension, where slices are read rather than made
    reads    how new columns are read: share: those that are copies of one share its weights equally; zero: new ones
             count nothing; drawn: as drawn, and copies are not shared, so that the function is another one
    """

    rows: Index | None = None
    columns: Index | None = None
    reads: Columns = "share"


@dataclass(frozen=True, eq=False)
class Source:
    """Where a module of the child comes from.

    module   of the parent; None: of none
    tensors  how its tensors are made of the parent's; those that are not named are the same
    identity the module has no parent and does nothing: a convolution or linear layer that hands on what it gets, a
             batch norm that undoes itself
    """

    module: str | None
    tensors: Mapping[str, Take] = field(default_factory=dict)
    identity: bool = False


@dataclass(frozen=True)
class Rewrite:
    """A graph that computes what its parent does, once `evonas.morphisms.weights` has carried the weights over.

    sources  by module of the child, as `path_of` says; modules that are not named are those of the same name
    """

    graph: Graph
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class Heritage:
    """How a network comes from another one.

    rewrites  one after the other
    names     of them, which say how it comes about
    noise     of what has been copied, as a share of the deviation of its weights; of what hands on, a tenth of that
    imitation epochs in which the network learns its parent's outputs before its training, as where some rewrite is not
              exact
    """

    rewrites: tuple[Rewrite, ...]
    names: tuple[str, ...]
    noise: float = 0.0
    imitation: int = 0


def path_of(node: str, step: str) -> str:
    """The module that carries out a step of a node, as in a network's state_dict."""
    return f"{node.replace('/', '.')}.{step}"


def changed(graph: Graph, nodes: Iterable[Node]) -> Graph:
    """The graph with other nodes."""
    return Graph(graph.input_shape, tuple(nodes), graph.auxiliary)


def renamed(before: Node, after: Node, places: Sequence[int]) -> Iterator[tuple[str, Source]]:
    """The sources of a node's steps, some of which have other names than in its parent: `places` has for each operation
    of the child its place in the parent, or NEW."""
    old = [step for step, _ in before.steps][len(before.fusion) :]
    new = [step for step, _ in after.steps][len(after.fusion) :]
    for step, place in zip(new, places, strict=True):
        if place == NEW:
            yield path_of(after.name, step), Source(None, identity=True)
        elif (after.name, step) != (before.name, old[place]):
            yield path_of(after.name, step), Source(path_of(before.name, old[place]))


def follow(
    operation: Operation, shape: Shape, goes_in: Index | None, comes_out: Index | None, repeat: int, reads: Columns
) -> tuple[Operation, dict[str, Take]]:
    """An operation whose channels have changed before or behind it, and what becomes of its tensors.

    shape    of its input in the parent
    repeat   features for each channel of its input

    Raises MorphismError for one that cannot follow.
    """
    if goes_in is None and comes_out is None:
        return operation, {}
    if is_dense(operation):
        wide = None if goes_in is None else spread(goes_in, repeat)
        takes = {"weight": Take(comes_out, wide, reads)}
        if getattr(operation, "bias", False) and comes_out is not None:
            takes["bias"] = Take(comes_out)
        return operation if comes_out is None else with_width(operation, len(comes_out)), takes
    if comes_out is None:  # a part of the channels is taken, in which nothing has changed
        return operation, {}
    assert goes_in is not None, "what comes out has come in"
    if isinstance(operation, Convolution):  # some of its groups
        takes = {"weight": Take(comes_out)} | ({"bias": Take(comes_out)} if operation.bias else {})
        groups = operation.groups * len(comes_out) // operation.channels
        return replace(operation, channels=len(comes_out), groups=groups), takes
    if isinstance(operation, BatchNorm):
        names = ["running_mean", "running_var"] + ["weight", "bias"] * operation.affine
        return operation, {name: Take(spread(comes_out, repeat)) for name in names}
    if isinstance(operation, SqueezeExcite):
        return operation, {
            "squeeze.weight": Take(None, goes_in, reads),
            "excite.weight": Take(comes_out),
            "excite.bias": Take(comes_out),
        }
    if isinstance(operation, PadChannels | FirstChannels | LastChannels):
        return replace(operation, channels=len(comes_out)), {}
    if isinstance(operation, ShuffleChannels) and (
        len(goes_in) % operation.groups or not np.array_equal(shuffled(goes_in, operation.groups), comes_out)
    ):
        raise MorphismError(f"{operation} would give the channels another order")
    return operation, {}


def with_width(operation: Operation, channels: int) -> Operation:
    """A convolution or linear layer with so many channels."""
    return replace(operation, **{"features" if isinstance(operation, Linear) else "channels": channels})


def spread(index: Index, repeat: int) -> Index:
    """The index of features, so many of which each channel has."""
    if repeat == 1:
        return index
    wide = index[:, None] * repeat + np.arange(repeat)
    wide[index == NEW] = NEW
    return wide.ravel()


def carried_out(
    node: Node,
    chain: Sequence[tuple[Operation, Shape]],
    points: Mapping[int, Index],
    repeats: Mapping[int, int],
    reads: Columns,
) -> tuple[Node, dict[str, Source]]:
    """A node whose channels have changed at some of its points, and the sources of its modules."""
    operations, sources = [], {}
    steps: list[Any] = [step for step, _ in node.steps][len(node.fusion) :]
    for position, ((operation, shape), step) in enumerate(zip(chain, steps, strict=True)):
        new, takes = follow(operation, shape, points.get(position), points.get(position + 1), repeats[position], reads)
        operations.append(new)
        if takes:
            path = path_of(node.name, step)
            sources[path] = Source(path, takes)
    return replace(node, operations=tuple(operations)), sources


def repeats_in(chain: Sequence[tuple[Operation, Shape]]) -> dict[int, int]:
    """How many features each channel of an image has at each place of a chain of operations."""
    repeats, repeat = {}, 1
    for position, (operation, shape) in enumerate(chain):
        repeats[position] = repeat
        if isinstance(operation, Flatten):
            repeat *= prod(shape[1:])
    return repeats
