"""The changes that a graph allows, kind by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evonas.graph import INPUT, Graph
from evonas.morphisms.branches import Branches
from evonas.morphisms.channels import is_dense
from evonas.morphisms.morphism import channels_of, not_negative, place_of
from evonas.morphisms.paths import EDGES, IDENTITY, LINEAR, POST, PRE, Insert, Replace
from evonas.morphisms.skips import Skip
from evonas.operations import Operation

Places = dict[str, tuple[str, ...]]  # place -> the values with which the change can be made there
Wider = Callable[[Operation], Sequence[int]]  # the widths that a layer may get


def layers(graph: Graph) -> Iterator[tuple[str, Operation]]:
    """The convolutions and linear layers that can become wider, with their places."""
    channels = channels_of(graph)
    for node in graph.nodes:
        for position, operation in enumerate(node.operations):
            if is_dense(operation) and channels.refusal((node.name, position + 1)) is None:
                yield place_of(node, position), operation


def wider(graph: Graph, widths: Wider) -> Places:
    """Layers that can become wider, and how wide."""
    found = {place: tuple(map(str, widths(operation))) for place, operation in layers(graph)}
    return {place: values for place, values in found.items() if values}


def deeper(graph: Graph, kernels: Sequence[int]) -> Places:
    """Places behind a ReLU, and the kernels of what can be inserted there. After what hands on what is not negative
    there is none of its own: it would compute the same as one behind the ReLU itself."""
    found: Places = {}
    shapes = {(node.name, place): shape for node in graph.nodes for place, (_, shape) in enumerate(graph.chain(node))}
    for node in graph.nodes:
        for position, operation in enumerate(node.operations):
            if operation.name == "relu" and (node.name, position + 1) in not_negative(graph):
                image = len(shapes[node.name, position]) == 3
                found[place_of(node, position)] = tuple(map(str, kernels)) if image else ("1",)
    return found


def skips(graph: Graph, kind: type[Skip]) -> Places:
    """Nodes that can be given a second input, and the earlier nodes that can be it."""
    found: Places = {}
    earlier = [INPUT]
    for node in graph.nodes:
        sources = tuple(source for source in earlier if kind(node.name, source).is_possible(graph))
        if sources:
            found[node.name] = sources
        earlier.append(node.name)
    return found


def branches(graph: Graph, kind: type[Branches], counts: Sequence[int]) -> Places:
    """Nodes that can be replaced by so many branches."""
    found = {node.name: tuple(str(n) for n in counts if kind(node.name, n).is_possible(graph)) for node in graph.nodes}
    return {name: values for name, values in found.items() if values}


def insertions(graph: Graph) -> Places:
    """Nodes behind which one can be inserted that does nothing."""
    return {node.name: (IDENTITY,) for node in graph.nodes if Insert(node.name).is_possible(graph)}


def replacements(graph: Graph) -> Places:
    """Steps that do nothing, and the layers that they can become while the network computes what it did."""
    found: Places = {}
    for node in graph.nodes:
        for position, (operation, shape) in enumerate(graph.chain(node)):
            if operation.name == IDENTITY and len(shape) == 3:
                place = place_of(node, position)
                made = (
                    Replace(place, edge, order) for edge in EDGES if edge != IDENTITY for order in (POST, LINEAR, PRE)
                )
                found[place] = tuple(dict.fromkeys(each.value for each in made if each.exact(graph)))
    return found
