"""How much memory a training takes, from the graph alone: what autograd keeps, played through forward and backward.

Each operation says what it keeps until its gradient is known: a convolution its input, a ReLU its output, max pooling
the places of its maxima too. A sum keeps nothing, but one whose weights are learnt keeps its inputs. The peak lies near
the end of the forward pass. Held against measured peaks in `benchmarks/memory.py`. It does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from evonas.gates import Is
from evonas.graph import INPUT, Edge, Graph
from evonas.operations import Operation
from evonas.recipe import Recipe
from evonas.training.auxiliary import head

FLOAT = 4  # bytes of a float32
BYTES = {"float32": 4, "bfloat16": 2}  # of a value between two operations
# What allocators take for what is asked of them, and on a CPU the copies that autocast makes: measured with glibc; a
# guess for CUDA.
SPARE = {"cpu": {"float32": 1.28, "bfloat16": 1.4}, "cuda": {"float32": 1.1, "bfloat16": 1.1}}


def training_bytes(
    graph: Graph,
    recipe: Recipe,
    *,
    device: str = "cpu",
    precision: str = "float32",
    splits: int = 1,
    teacher: Graph | None = None,
) -> int:
    """Bytes that training the network of a graph takes at its peak, above what the process and its data take.

    Weights, their gradients and the optimizer's state, and the largest sum of tensors between the operations that are
    alive at once, for a batch (of which `splits` parts go through one after the other), with what the allocator wastes.
    A teacher keeps its weights; its tensors go before the network's come, but for those that both are compared by.
    """
    graph = graph.simplified(training=True).shared()
    size = -(-recipe.batch_size // splits)
    live = _peak(graph, size, BYTES[precision])
    weights = graph.parameters_in_training
    if recipe.auxiliary and graph.auxiliary is not None:
        second = head(graph.shapes[graph.auxiliary], graph.output_shape[0])
        live += _peak(second, size, BYTES[precision])
        weights += second.parameters
    held = _held(weights, recipe)
    if teacher is not None:
        whole = teacher.simplified().shared()
        nodes = (whole.output, *recipe.features)
        wanted = sum(size * prod(whole.shapes[name]) * BYTES[precision] for name in nodes if name in whole.shapes)
        live = max(live + 2 * wanted, _peak(whole, size, BYTES[precision], backward=False))  # twice: own gradients
        held += teacher.parameters * FLOAT
    return int(SPARE[device][precision] * (held + live))


def supernet_bytes(
    graph: Graph, recipe: Recipe, *, paths: int | None = None, device: str = "cpu", precision: str = "float32"
) -> int:
    """Bytes for a training of a supernet in whose steps all candidates run and are weighed, or, with `paths`, so many
    of those that a decision chooses among: the largest everywhere."""
    run = (graph if paths is None else _largest_paths(graph, paths)).simplified(training=True).shared()
    live = _peak(run, recipe.batch_size, BYTES[precision])
    return int(SPARE[device][precision] * (_held(graph.parameters_in_training, recipe) + live))


def _largest_paths(graph: Graph, count: int) -> Graph:
    """The graph with so many candidates wherever more meet in a sum and depend on one decision: those whose operations
    give most."""
    size = {INPUT: 0} | {
        node.name: sum(prod(op.shape(shape)) for _, op, shape in graph.steps(node)) for node in graph.nodes
    }
    nodes = []
    for node in graph.nodes:
        found: dict[str, list[Edge]] = {}
        for edge in node.inputs:
            found.setdefault(edge.gate.decision if isinstance(edge.gate, Is) else str(edge), []).append(edge)
        largest = [sorted(edges, key=lambda edge: -size[edge.source])[:count] for edges in found.values()]
        nodes.append(replace(node, inputs=tuple(edge for edges in largest for edge in edges)))
    return Graph(graph.input_shape, tuple(nodes), graph.auxiliary)


def _held(weights: int, recipe: Recipe) -> int:
    """Bytes of weights, their gradients, and what the optimizer keeps of each."""
    return weights * FLOAT * (3 if recipe.optimizer == "sgd" else 4)


def splits_within(graph: Graph, recipe: Recipe, limit: int, **settings: Any) -> int | None:
    """The fewest equal parts of a batch with which a training stays within `limit` bytes; None where even two images at
    a time are too much. `settings` as of `training_bytes`."""
    splits = 1
    while recipe.batch_size // splits >= 2:
        if training_bytes(graph, recipe, splits=splits, **settings) <= limit:
            return splits
        splits *= 2
    return None


@dataclass(eq=False)
class _Tensor:
    """A tensor between two operations. `users`: who still wants it, in the forward pass or for a gradient."""

    bytes: int
    users: int = 0
    gradient: int | None = None  # bytes that only its gradient holds, once there is one


@dataclass(frozen=True)
class _Step:
    """An operation that was carried out: what it makes of its inputs (nothing new, where it works in place), what it
    keeps for its gradient, and bytes that it keeps besides. `weighs`: each input has a gradient of its own."""

    inputs: tuple[_Tensor, ...]
    output: _Tensor | None
    kept: tuple[_Tensor, ...] = ()
    besides: int = 0
    weighs: bool = False


def _peak(graph: Graph, size: int, width: int, *, backward: bool = True) -> int:
    """Bytes of the tensors of one training step that are alive at once, at most; without `backward`, of one forward
    pass of which no gradient is wanted."""
    images = _Tensor(size * prod(graph.input_shape) * FLOAT)
    steps = list(_steps(graph, images, size, width))
    for step in steps:
        for tensor in (*step.inputs, *(step.kept if backward else ())):
            tensor.users += 1
    alive = peak = images.bytes
    for step in steps:  # forward: what nobody wants any more goes
        alive += (step.output.bytes if step.output else 0) + step.besides * backward
        peak = max(peak, alive)
        alive -= _released(step.inputs)
    if not backward:
        return peak
    for step in reversed(steps):  # backward: gradients come, and what was kept for them goes
        if step.output is not None:
            handed = step.output.gradient or 0
            for tensor in step.inputs:
                if tensor is images:
                    continue
                if len(step.inputs) == 1 or step.weighs:  # a tensor of its own, or one that is added to what is there
                    peak = max(peak, alive + tensor.bytes)
                    alive += tensor.bytes * (tensor.gradient is None)
                    tensor.gradient = tensor.bytes
                elif tensor.gradient is None:  # a sum hands on its gradient, a concatenation its parts
                    tensor.gradient = min(handed, tensor.bytes)
                    handed -= tensor.gradient
            alive -= handed
        alive -= _released(step.kept) + step.besides
    return peak


def _released(tensors: tuple[_Tensor, ...]) -> int:
    freed = 0
    for tensor in tensors:
        tensor.users -= 1
        freed += tensor.bytes * (tensor.users == 0)
    return freed


def _steps(graph: Graph, images: _Tensor, size: int, width: int) -> Iterator[_Step]:
    """What is carried out for a batch of this size, in order, with values of so many bytes."""
    values = {INPUT: images}
    for node in graph.nodes:
        weighed = tuple(values[edge.source] for edge in node.inputs if not isinstance(edge.gate, int))
        value, *others = [values[edge.source] for edge in node.inputs if isinstance(edge.gate, int)] or weighed[:1]
        if weighed:
            total = _Tensor(weighed[0].bytes)
            yield _Step(weighed, total, weighed, weighs=True)
            value, others = total, [value, *others] * (value is not weighed[0])
        if others and node.combine == "concat":
            joined = _Tensor(value.bytes + sum(other.bytes for other in others))
            yield _Step((value, *others), joined)
            value = joined
        elif others and node.fusion:
            joined = _Tensor(value.bytes)
            yield _Step((value, *others), joined, (value, *others), weighs=True)
            value = joined
        else:
            for other in others:
                total = _Tensor(value.bytes)
                yield _Step((value, other), total)
                value = total
        before: Operation | None = None
        for operation, shape in graph.chain(node):
            if operation.overwrites and before is not None and before.overwritable:
                yield _Step((), None, (value,))
            elif not operation.view:
                made = _Tensor(size * prod(operation.shape(shape)) * width)
                kept = {"input": (value,), "output": (made,), "nothing": ()}[operation.keeps]
                yield _Step((value,), made, kept, made.bytes // width * operation.keeps_besides)
                value = made
            before = operation
        values[node.name] = value
