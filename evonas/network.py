"""From a graph to PyTorch: one builder for stand-alone networks and supernets.

A closed graph becomes straight-line code (a `torch.fx.GraphModule` that frees each tensor after its last use). In an
open one, each node that some route can do without is a module of its own which skips itself; `supernet(x, route)`.
Weights live at node/operation (`stage1.node2.conv.weight`), whichever form the graph has.
"""

from __future__ import annotations

import json
import math
import operator
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn

from evonas import gates, operations
from evonas.errors import UserError
from evonas.gates import Route
from evonas.graph import INPUT, Graph, GraphError, Node
from evonas.modules import Conv2d, DenseGradient, Linear, seeded
from evonas.operations import OPERATIONS, Call, Operation, Shape, is_own
from evonas.rewriting import zero_stays
from evonas.scheduled import LearnedGroupConv2d, finished
from evonas.support.call import Printed, merged
from evonas.support.streams import number


def build(graph: Graph, *, seed: int = 0, trust: bool = False) -> fx.GraphModule:
    """The network of a graph, on the CPU, in training mode.

    forward(x) takes images (B, C, H, W) and gives logits (B, classes) or what the graph ends in; of an open graph,
    forward(x, route). Initial weights depend on the seed and on each parameter's name and shape alone; the global
    generator is left as it was. Building is by name too: a network and a supernet of one space agree in their keys.
    `meta` has the graph, and under `stands_for` how often the graph does what a module does once for several nodes.

    trust   run the source that a graph has of operations whose classes are not there; else they are a UserError
    """
    check_names(graph)
    if not trust:
        _refuse_unknown(graph)
    whole, graph = graph, graph.shared()
    free = _dispensable(graph) if graph.is_open else set()
    modules: dict[str, nn.Module] = {}
    drawn = fx.Graph()
    values = {INPUT: drawn.placeholder("x")}
    if graph.is_open:
        route = drawn.placeholder("route")
        modules["route_gates"] = RouteGates(graph)
        weights = drawn.call_module("route_gates", (route,))
    for node in graph.nodes:
        inputs = [values[edge.source] for edge in node.inputs]
        target = node.name.replace("/", ".")
        steps = OrderedDict((name, _made(op, shape, seed, f"{target}.{name}")) for name, op, shape in graph.steps(node))
        _reuse_memory(node, list(steps.values())[len(node.fusion) :])
        if node.name in free:
            modules[target] = GatedNode(node, steps)
            values[node.name] = drawn.call_module(target, (weights, *inputs))
            continue
        joined: Any = inputs if node.fusion else _combine(drawn, node, inputs)  # what fuses them takes all of them
        if steps:
            modules[target] = nn.Sequential(steps)
        value: fx.Node = drawn.call_module(target, (joined,)) if steps else joined
        values[node.name] = value
        value.meta.setdefault("nodes", []).append(node.name)
    drawn.output(values[graph.output])
    network = _module(modules, drawn, "Supernet" if graph.is_open else "Network")
    network.meta["graph"] = whole
    network.meta["stands_for"] = _stands_for(whole, graph)
    initialise(network, seed)
    return network


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Draw the weights that nothing has set yet: He-normal convolutions, uniform linear layers, biases 0."""
    generator = torch.Generator()
    for path, module in network.named_modules():
        if isinstance(module, Conv2d | LearnedGroupConv2d | Linear):
            fan_in = math.prod(module.weight.shape[1:])
            generator.manual_seed(number(seed, f"{path}.weight"))
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)  # He et al. 2015, Eq. 10
            else:
                module.weight.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.zero_()


def check(graph: Graph) -> None:
    """Hold the operations of a graph that are not evonas's own against what they say of themselves.

    Raises UserError, naming the operation, where its name is that of another one or of a method of modules, where its
    module cannot be made or run, gives another shape, has another number of parameters or overwrites its input, and
    where it cannot be written as JSON or printed, so that an export would fail.
    """
    _refuse_unknown(graph)
    for operation in [operation for node in graph.nodes for operation in node.operations]:
        _check_registered(operation)
    steps = [(operation, shape) for node in graph.nodes for _, operation, shape in graph.steps(node)]
    merged(_checked_call(*step) for step in dict.fromkeys(steps) if not is_own(step[0]))


def _check_registered(operation: Operation) -> None:
    kind = type(operation)
    name = getattr(kind, "name", None)
    if name is None or OPERATIONS[name].__qualname__ != kind.__qualname__:
        raise UserError(f"{kind.__qualname__}: give it a `name` of its own")
    if name in _taken_names():
        raise UserError(f"{kind.__qualname__}: {name!r} is what PyTorch calls a method or field of modules; choose "
                        "another name")  # fmt: skip


def _checked_call(operation: Operation, shape: Shape) -> Call:
    """The call of an operation that keeps its word, for a batch of two inputs of this shape."""
    told = f"the operation {operation.name!r}, for an input of {shape}"
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    given = inputs.clone()
    with _explained(f"{told}: its module cannot be made"):
        call = operation.module(shape)
        if not isinstance(call, Call):
            raise UserError(f"`module` returns {call!r}; return Call(CLASS, ...), which is not yet made")
        module = finished(seeded(call, seed=0).eval())
    with _explained(f"{told}: its module cannot be run"), torch.no_grad():
        output = module(given)
        gives = tuple(output.shape)
    if gives != (2, *operation.shape(shape)):
        raise UserError(f"{told}: its module gives {gives[1:]}, and `shape` says {operation.shape(shape)}")
    if not torch.equal(given, inputs):
        raise UserError(f"{told}: its module overwrites its input, which other nodes may need; leave out `inplace`")
    with _explained(f"{told}: it cannot be exported"), torch.no_grad():
        printed = Printed(call.source(), call.definitions()).make().eval()
        printed.load_state_dict(module.state_dict())
        if not torch.allclose(printed(inputs), output, rtol=1e-5, atol=1e-6):
            raise UserError(f"{call.source()} gives other outputs than the module that was made")
    with _explained(f"{told}: it cannot be counted or written as JSON"):
        data = json.loads(json.dumps(operations.to_json(operation, shape)))
        if operations.from_json(data).written() != operation.written():
            raise UserError(f"{operation!r} comes back as {operations.from_json(data)!r}; use fields of plain values")
        says = operation.parameters(shape)
    if (count := sum(weight.numel() for weight in module.parameters())) != says:
        raise UserError(f"{told}: its module has {count:,} parameters, and `parameters` says {says:,}")
    return call


@contextmanager
def _explained(told: str) -> Iterator[None]:
    """Errors within are raised as UserError, which says where."""
    try:
        yield
    except Exception as error:  # a user's operation may raise anything
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{told}: {reason}") from error


def extract(supernet: nn.Module, graph: Graph) -> fx.GraphModule:
    """The stand-alone network of a closed graph of the same space, with the supernet's weights and statistics."""
    network = build(graph)
    shared = supernet.state_dict()
    network.load_state_dict({name: shared[name] for name in network.state_dict()})
    return network.train(supernet.training)


def tapped(network: fx.GraphModule, *nodes: str) -> fx.GraphModule:
    """The same modules, whose forward gives the output and what each of these nodes of a closed graph gives."""
    drawn = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    output = drawn.graph_copy(network.graph, copied)
    found = {name: each for each in network.graph.nodes for name in each.meta.get("nodes", ())}
    drawn.output((output, *(copied[found[node]] for node in nodes)))
    return _module(network, drawn, "Tapped")


@cache
def _taken_names() -> frozenset[str]:
    """Methods, and the fields that a module has once it is made, such as `training`."""
    return frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))


def check_names(graph: Graph) -> None:
    """A node becomes a module below its name, which must not hide what modules have. Raises GraphError."""
    for node in graph.nodes:
        if taken := [segment for segment in node.name.split("/") if segment in _taken_names()]:
            raise GraphError(
                f"{node.name}: {taken[0]!r} is what PyTorch calls a method or field of modules; choose another name"
            )


def _module(root: nn.Module | dict[str, Any], drawn: fx.Graph, name: str) -> fx.GraphModule:
    """A module whose graph does not refer to it: else a network would stay in memory, with its weights, until the
    garbage collector comes by, and a search would seem to leak."""
    module = fx.GraphModule(root, drawn, class_name=name)
    module.graph.owning_module = None
    return module


class RouteGates(nn.Module):
    """route -> {node: the weight of each of its inputs, or None where the route does not need the node}."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.zeros = {node.name for node in graph.nodes if zero_stays(node.operations)}

    def forward(self, route: Route) -> dict[str, list[Any] | None]:
        weights: dict[str, list[Any] | None] = {}
        needed = {self.graph.output}
        for node in reversed(self.graph.nodes):
            weights[node.name] = None
            if node.name in needed:
                try:
                    found = weights[node.name] = [gates.value(edge.gate, route) for edge in node.inputs]
                except KeyError as error:
                    raise ValueError(f"the route says nothing about the decision {error}") from None
                live = {
                    edge.source for edge, weight in zip(node.inputs, found, strict=True) if not gates.is_closed(weight)
                }
                if not live:
                    raise ValueError(f"the route needs node {node.name!r} but leaves it without an input")
                if node.combine == "sum" and len(live) > 1 and (nothing := live & self.zeros):
                    live = live - nothing or {min(nothing)}  # zeros add nothing to a sum
                    weights[node.name] = [
                        weight if edge.source in live else 0 for edge, weight in zip(node.inputs, found, strict=True)
                    ]
                needed.update(live)
        return weights


class GatedNode(nn.Sequential):
    """A node of a supernet that some routes do without: it skips itself there, and its weights get no gradient."""

    def __init__(self, node: Node, steps: OrderedDict[str, nn.Module]) -> None:
        super().__init__(steps)
        self.node, self.joins, self.fuses = node.name, node.combine == "concat", bool(node.fusion)

    def forward(self, weights: dict[str, list[Any] | None], *inputs: Tensor | None) -> Tensor | None:
        own = weights[self.node]
        if own is None:
            return None
        live = [(w, x) for w, x in zip(own, inputs, strict=True) if x is not None and not gates.is_closed(w)]
        if self.fuses:
            return super().forward(live)
        return super().forward(concatenated([x for _, x in live]) if self.joins else _sum(live))


def _sum(terms: Sequence[tuple[Any, Tensor]]) -> Tensor:
    """The sum of tensors times their weights. Where weights are tensors it is made in one sweep over each input,
    without room for the products."""
    weighted = [(w, x) for w, x in terms if isinstance(w, Tensor)]
    total = WeightedSum.apply(torch.stack([w for w, _ in weighted]), *[x for _, x in weighted]) if weighted else None
    for weight, x in terms:
        if not isinstance(weight, Tensor):
            term = x if weight == 1 else weight * x
            total = term if total is None else total + term
    assert total is not None, "a node that is needed has an input"
    return total


class WeightedSum(torch.autograd.Function):
    """sum of w_i x_i, for weights [n] and n tensors of one shape."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *terms: Tensor) -> Tensor:
        ctx.save_for_backward(weights, *terms)
        scales = weights.to(terms[0].dtype).unbind()
        total = terms[0] * scales[0]
        for scale, x in zip(scales[1:], terms[1:], strict=True):
            total.addcmul_(x, scale)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *terms = ctx.saved_tensors
        scales = weights.to(gradient.dtype).unbind()
        own = None
        if ctx.needs_input_grad[0]:
            own = torch.stack([_dot(gradient, x) for x in terms]).to(weights.dtype)
        needed = ctx.needs_input_grad[1:]
        return own, *[gradient * scale if wanted else None for scale, wanted in zip(scales, needed, strict=True)]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The sum of the products. In one sweep, without room for them, where memory has both in the same order."""
    if a.dtype == b.dtype == torch.float32 and a.stride() == b.stride() and a.dim() == 4:
        rows, columns = (each.permute(0, 2, 3, 1) for each in (a, b))
        if rows.is_contiguous():
            return torch.dot(rows.flatten(), columns.flatten())
    return (a * b).sum(dtype=torch.float32)


def concatenated(images: Sequence[Tensor]) -> Tensor:
    """Side by side, along the channels."""
    return torch.cat([DenseGradient.apply(each) for each in images], 1)


def _stands_for(whole: Graph, shared: Graph) -> dict[str, int]:
    """The modules of nodes that sharing has made: how many nodes of the whole graph begin with what each does."""
    own = {INPUT, *(node.name for node in whole.nodes)}
    counts: dict[str, int] = {}
    for node in reversed(shared.nodes):
        for edge in node.inputs:
            if edge.source not in own:
                counts[edge.source] = counts.get(edge.source, 0) + counts.get(node.name, 1)
    return {name.replace("/", "."): count for name, count in counts.items()}


def _combine(drawn: fx.Graph, node: Node, inputs: list[fx.Node]) -> fx.Node:
    if node.combine == "concat" and len(inputs) > 1:
        return drawn.call_function(concatenated, (inputs,))
    total = inputs[0]
    for term in inputs[1:]:
        total = drawn.call_function(operator.add, (total, term))
    return total


def _dispensable(graph: Graph) -> set[str]:
    """The nodes that not every route needs, or whose inputs depend on the route."""
    always = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in always:
            always.update(edge.source for edge in node.inputs if edge.gate == 1)
    open_inputs = {node.name for node in graph.nodes if any(edge.gate != 1 for edge in node.inputs)}
    return {node.name for node in graph.nodes if node.name not in always} | open_inputs


def _made(operation: Operation, shape: Shape, seed: int, path: str) -> nn.Module:
    """The module of an operation; the weights of evonas's own are drawn later, when their names are known."""
    call = operation.module(shape)
    return call.make() if is_own(operation) else seeded(call, number(seed, path))


def _refuse_unknown(graph: Graph) -> None:
    if graph.unknown:
        raise UserError(f"the network has the operation {graph.unknown[0]!r}, which is not one of evonas's, and its "
                        "class is not known here; import the file that defines it first, or let the source run that "
                        "is kept with the network (--trust; trust=True)")  # fmt: skip


def _reuse_memory(node: Node, modules: list[nn.Module]) -> None:
    """A ReLU may overwrite what a batch norm or convolution has just made: neither needs its output to go back."""
    for (before, operation), module in zip(pairwise(node.operations), modules[1:], strict=True):
        if operation.overwrites and before.overwritable:
            module.inplace = True  # type: ignore[assignment]  # a field that it has, as the operation says
