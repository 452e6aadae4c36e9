"""From a graph to PyTorch: one builder for stand-alone networks and supernets.

A closed graph becomes straight-line code (a `torch.fx.GraphModule` that frees each tensor after its last use). In an
open one, each node that some route can do without is a module of its own which skips itself; `supernet(x, route)`.
Weights live at node/operation (`stage1.node2.conv.weight`), whichever form the graph has.
"""

from __future__ import annotations

import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from evonas import gates, operations
from evonas.gates import Route
from evonas.graph import INPUT, Graph, GraphError, Node, zero_stays
from evonas.operations import Operation, Shape
from evonas.support.streams import number


class Conv2d(nn.Conv2d):
    """Its weights are left to `initialise`: drawing them twice costs more than all else in building a network."""

    def reset_parameters(self) -> None:
        pass


class ThinPointwise(Conv2d):
    """A strided 1x1 convolution of fewer channels than a vector of the CPU holds.

    oneDNN writes past its memory when it computes the gradient of such weights in channels-last (fewer than 8 input
    channels with AVX2, 16 with AVX-512: github.com/uxlfoundation/oneDNN/issues/6035), which ends the process sooner or
    later. So on a CPU the pixels that count are taken first: the same numbers, by a convolution without stride.
    """

    CHANNELS = 16

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        rows, columns = self.stride
        return F.conv2d(DenseGradient.apply(x)[:, :, ::rows, ::columns], self.weight, self.bias)


class Linear(nn.Linear):
    """Its weights are left to `initialise`."""

    def reset_parameters(self) -> None:
        pass


class BatchNorm2d(nn.BatchNorm2d):
    """Made at identity; its statistics are there already when this is called."""

    def reset_parameters(self) -> None:
        if self.affine:
            self.weight.data.fill_(1.0)
            self.bias.data.zero_()


class DenseGradient(torch.autograd.Function):
    """The same tensor, whose gradient is laid out as it is.

    What concatenations, crops and means give back are views into larger tensors, or one value stretched: batch norms
    and ReLUs before them would take the slow way through memory, several times as long as one copy.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
        ctx.format = torch.channels_last if last else torch.contiguous_format
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=ctx.format)


def concatenated(images: Sequence[Tensor]) -> Tensor:
    """Side by side, along the channels."""
    return torch.cat([DenseGradient.apply(each) for each in images], 1)


class GlobalAverage(nn.Module):
    """(B, C, H, W) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return DenseGradient.apply(x).mean((2, 3))


class Zeros(nn.Module):
    """Zeros of the size that a stride leaves."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x)


class Crop(nn.Module):
    """Without the first rows and columns."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, x: Tensor) -> Tensor:
        return DenseGradient.apply(x)[:, :, self.rows :, self.columns :]


class DropPath(nn.Module):
    """An image's input becomes 0 with probability `rate`, which a training sets; else it is times 1 / (1 - rate)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.rate = share, 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class Channels(nn.Module):
    """Some of the channels of an image."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__()
        self.begin, self.end = begin, end

    def forward(self, x: Tensor) -> Tensor:
        return DenseGradient.apply(x)[:, self.begin : self.end]


class PadChannels(nn.Module):
    """Zeros behind the channels of an image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(DenseGradient.apply(x), (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class PadSize(nn.Module):
    """Zeros around an image, up to a size; what they surround keeps its place in the middle."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.height - x.shape[2], self.width - x.shape[3]
        return F.pad(DenseGradient.apply(x), (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class SqueezeExcite(nn.Module):
    """Each channel times a number between 0 and 1, made of the means of all channels."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.squeeze, self.excite = Linear(channels, units), Linear(units, channels)

    def forward(self, x: Tensor) -> Tensor:
        shares = self.excite(self.squeeze(x.mean((2, 3))).relu()).sigmoid()
        return x * shares[:, :, None, None]


MODULES: dict[type[Operation], Callable[[Any, Shape], nn.Module]] = {
    operations.Convolution: lambda op, shape: _convolution(op, shape[0]),
    operations.BatchNorm: lambda op, shape: BatchNorm2d(shape[0], affine=op.affine),
    operations.ReLU: lambda op, shape: nn.ReLU(),
    operations.MaxPool: lambda op, shape: nn.MaxPool2d(op.kernel, op.stride, op.padding),
    operations.AveragePool: lambda op, shape: nn.AvgPool2d(op.kernel, op.stride, op.padding, count_include_pad=False),
    operations.GlobalAveragePool: lambda op, shape: GlobalAverage(),
    operations.Flatten: lambda op, shape: nn.Flatten(),
    operations.Linear: lambda op, shape: Linear(shape[0], op.features, op.bias),
    operations.Dropout: lambda op, shape: nn.Dropout(op.rate),
    operations.DropPath: lambda op, shape: DropPath(op.share),
    operations.Identity: lambda op, shape: nn.Identity(),
    operations.Zero: lambda op, shape: Zeros(op.stride),
    operations.Crop: lambda op, shape: Crop(op.rows, op.columns),
    operations.FirstChannels: lambda op, shape: Channels(0, op.channels),
    operations.LastChannels: lambda op, shape: Channels(shape[0] - op.channels, shape[0]),
    operations.ShuffleChannels: lambda op, shape: nn.ChannelShuffle(op.groups),
    operations.PadChannels: lambda op, shape: PadChannels(op.channels),
    operations.PadSize: lambda op, shape: PadSize(op.height, op.width),
    operations.SqueezeExcite: lambda op, shape: SqueezeExcite(shape[0], op.units),
    operations.Resize: lambda op, shape: nn.Upsample((op.height, op.width), mode="nearest"),
}


def _convolution(op: operations.Convolution, channels: int) -> Conv2d:
    padding = operations.sides(op.padding or 0)
    pointwise = operations.sides(op.kernel) == (1, 1) and padding == (0, 0) and op.groups == 1
    thin = pointwise and operations.sides(op.stride) != (1, 1) and channels < ThinPointwise.CHANNELS
    kind = ThinPointwise if thin else Conv2d
    return kind(channels, op.channels, op.kernel, op.stride, padding, op.dilation, op.groups, op.bias)


def build(graph: Graph, *, seed: int = 0) -> fx.GraphModule:
    """The network of a graph, on the CPU, in training mode.

    forward(x) takes images (B, C, H, W) and gives logits (B, classes) or what the graph ends in; of an open graph,
    forward(x, route). Initial weights depend on the seed and on each parameter's name and shape alone; the global
    generator is left as it was. Building is by name too: a network and a supernet of one space agree in their keys.
    """
    _check_names(graph)
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
        steps = OrderedDict((name, MODULES[type(op)](op, shape)) for name, op, shape in graph.steps(node))
        _reuse_memory(list(steps.values()))
        if node.name in free:
            modules[target] = GatedNode(node, steps)
            values[node.name] = drawn.call_module(target, (weights, *inputs))
            continue
        value = _combine(drawn, node, inputs)
        if steps:
            modules[target] = nn.Sequential(steps)
            value = drawn.call_module(target, (value,))
        values[node.name] = value
        value.meta.setdefault("nodes", []).append(node.name)
    drawn.output(values[graph.output])
    network = _module(modules, drawn, "Supernet" if graph.is_open else "Network")
    network.meta["graph"] = whole
    initialise(network, seed)
    return network


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Draw the weights that nothing has set yet: He-normal convolutions, uniform linear layers, biases 0."""
    generator = torch.Generator()
    for path, module in network.named_modules():
        if isinstance(module, Conv2d | Linear):
            fan_in = math.prod(module.weight.shape[1:])
            generator.manual_seed(number(seed, f"{path}.weight"))
            if isinstance(module, Conv2d):
                module.weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)  # He et al. 2015, Eq. 10
            else:
                module.weight.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.zero_()


def extract(supernet: nn.Module, graph: Graph) -> fx.GraphModule:
    """The stand-alone network of a closed graph of the same space, with the supernet's weights and statistics."""
    network = build(graph)
    shared = supernet.state_dict()
    network.load_state_dict({name: shared[name] for name in network.state_dict()})
    return network.train(supernet.training)


def tapped(network: fx.GraphModule, node: str) -> fx.GraphModule:
    """The same modules, whose forward gives the output and what this node of a closed graph gives."""
    drawn = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    output = drawn.graph_copy(network.graph, copied)
    (found,) = (each for each in network.graph.nodes if node in each.meta.get("nodes", ()))
    drawn.output((output, copied[found]))
    return _module(network, drawn, "Tapped")


@cache
def _taken_names() -> frozenset[str]:
    """Methods, and the fields that a module has once it is made, such as `training`."""
    return frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))


def _check_names(graph: Graph) -> None:
    """A node becomes a module below its name, which must not hide what modules have."""
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
        self.node, self.joins = node.name, node.combine == "concat"

    def forward(self, weights: dict[str, list[Any] | None], *inputs: Tensor | None) -> Tensor | None:
        own = weights[self.node]
        if own is None:
            return None
        live = [(w, x) for w, x in zip(own, inputs, strict=True) if x is not None and not gates.is_closed(w)]
        return super().forward(concatenated([x for _, x in live]) if self.joins else _sum(live))


def _sum(terms: Sequence[tuple[Any, Tensor]]) -> Tensor:
    """Of tensors times their weights. Where weights are tensors it is made in one sweep over each input, without room
    for the products."""
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


def _combine(drawn: fx.Graph, node: Node, inputs: list[fx.Node]) -> fx.Node:
    if node.combine == "concat" and len(inputs) > 1:
        return drawn.call_function(concatenated, (inputs,))
    total = inputs[0]
    for term in inputs[1:]:
        total = drawn.call_function(operator.add, (total, term))
    return total


def _dispensable(graph: Graph) -> set[str]:
    """The nodes that not every route needs, or whose inputs hang on the route."""
    always = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in always:
            always.update(edge.source for edge in node.inputs if edge.gate == 1)
    open_inputs = {node.name for node in graph.nodes if any(edge.gate != 1 for edge in node.inputs)}
    return {node.name for node in graph.nodes if node.name not in always} | open_inputs


def _reuse_memory(modules: list[nn.Module]) -> None:
    """A ReLU may overwrite what a batch norm or convolution has just made: neither needs its output to go back."""
    for before, module in pairwise(modules):
        if isinstance(module, nn.ReLU) and isinstance(before, nn.BatchNorm2d | nn.Conv2d):
            module.inplace = True
