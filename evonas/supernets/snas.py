"""SNAS (Xie, Zheng, Liu and Lin 2019, "SNAS: Stochastic Neural Architecture Search", arXiv:1812.09926)."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.gates import Is, Route
from evonas.graph import Graph
from evonas.operations import AveragePool, BatchNorm, Crop, MaxPool, ReLU, Zero
from evonas.supernets.policy import Relaxation
from evonas.supernets.training import SupernetTraining

CLIP = 10.0  # bound on the gradients of alpha (published code)
FREE = Zero, ReLU, BatchNorm, Crop  # of no cost in the published code
POOLING = MaxPool, AveragePool  # with as many FLOPs as a depthwise convolution of their size


class SNAS(Relaxation):
    """Each option has the weight Z, a sample of the concrete distribution; alpha and the weights learn together, from
    one loss on training images (section 2.2, equations 3 to 8).

        Z_k = exp((alpha_k + G_k) / temperature) / sum_l exp((alpha_l + G_l) / temperature)

    A draw is shared by a batch and all cells of a kind. The temperature falls linearly over the epochs, from 1 towards
    `cold` (published code, which trains for 150 epochs).

    The result is the cell of the epoch with the best validation accuracy (section 3.1).

    resource   eta, the weight of the cost of the drawn operations (section 2.3)
    """

    best_epoch = True

    def __init__(
        self, *args: Any, cold: float = 0.03, resource: float = 0.0, initial: float = 0.01, **settings: Any
    ) -> None:
        super().__init__(*args, initial=initial, **settings)
        if resource < 0 or not 0 < cold <= 1:
            raise UserError(f"resource is {resource} and cold {cold}; use at least 0, and above 0 to 1")
        with torch.no_grad():
            self.alpha.add_(1.0)  # as published; a softmax is invariant to it
        self.cold, self.temperature, self.resource = cold, 1.0, resource
        self._costs: Costs | None = None

    def begin(self, epoch: int, epochs: int) -> None:
        super().begin(epoch, epochs)
        self.temperature = (1 - epoch / epochs) * (1 - self.cold) + self.cold

    def draw(self) -> Tensor:
        """A sample Z, [decisions, options]."""
        return ((self.logits + self.gumbel()) / self.temperature).softmax(1)

    def step(self, training: SupernetTraining, batch: Any, held_out: Any) -> Tensor:
        """A step of alpha and the weights on one draw, one batch and one loss."""
        z = self.draw()
        loss = training.loss(batch, self.route(z))
        wanted = loss
        if self.resource:
            wanted = loss + self.resource * self.costs(training).of(z)
        self.learn_together(training, wanted, CLIP)
        return loss.detach()

    def route(self, z: Tensor) -> Route:
        return self.soft(z)

    def costs(self, training: SupernetTraining) -> Costs:
        if self._costs is None:
            self._costs = Costs(self, training.network.meta["graph"])
        return self._costs


class Costs:
    """The costs of the options of each decision wherever they occur in a supernet: weights, operations on numbers
    (FLOPs), and memory access, which counts what is read and written and the weights (section 2.3; units of the
    published code).

    amounts   costs, [3, places, options]; a place is a node where the options of one decision meet
    share     1 / number of places of the decision, [places]
    row       index of the decision, [places]
    """

    def __init__(self, policy: Relaxation, graph: Graph) -> None:
        rows = {decision.name: row for row, decision in enumerate(policy.asked)}
        found: dict[tuple[str, int], dict[int, tuple[float, float, float]]] = {}
        for node in graph.nodes:
            for edge in node.inputs:
                if isinstance(edge.gate, Is) and edge.gate.decision in rows:
                    row = rows[edge.gate.decision]
                    place = found.setdefault((node.name, row), {})
                    place[policy.options[row].index(edge.gate.option)] = _cost(graph, edge.source)
        width = policy.alpha.shape[1]
        device = policy.alpha.device
        self.row = torch.tensor([row for _, row in found], device=device)
        self.amounts = torch.tensor(
            [[[costs.get(option, (0.0, 0.0, 0.0))[kind] for option in range(width)] for costs in found.values()]
             for kind in range(3)],
            device=device,
        )  # fmt: skip
        self.share = 1 / self.row.bincount(minlength=len(rows))[self.row]

    def of(self, weights: Tensor) -> Tensor:
        """The log(cost) of the drawn options, averaged over the places of a decision, summed over decisions and
        averaged over the three kinds of cost; costs below 1 count as 1 (published code)."""
        spent = (weights[self.row] * self.amounts).sum(2).clamp_min(1).log()
        return (spent * self.share).sum(1).mean()


def _cost(graph: Graph, source: str) -> tuple[float, float, float]:
    """The cost of a candidate: that of its last node and of the nodes that only it reads."""
    readers: dict[str, set[str]] = {}
    for node in graph.nodes:
        for edge in node.inputs:
            readers.setdefault(edge.source, set()).add(node.name)
    known = {node.name: node for node in graph.nodes}
    own, ahead = {source}, [source]
    while ahead:
        for edge in known[ahead.pop()].inputs:
            if edge.source in known and readers[edge.source] <= own:
                own.add(edge.source)
                ahead.append(edge.source)
    size = flops = access = 0.0
    for name in own:
        for _, op, shape in graph.steps(known[name]):
            if isinstance(op, FREE):
                continue
            weights, written = op.parameters(shape), prod(op.shape(shape))
            size += weights
            flops += op.kernel**2 * written if isinstance(op, POOLING) else op.multiply_adds(shape)
            access += weights + prod(shape) + written
    return size, flops, access
