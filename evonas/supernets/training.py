"""A supernet in training: the loss on a route, a step of the weights, and the accuracy of a route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.gates import Route
from evonas.graph import Graph
from evonas.network import build
from evonas.recipe import Recipe
from evonas.scheduled import scheduled
from evonas.support.streams import number
from evonas.tasks.splits import Split
from evonas.tasks.task import measure
from evonas.training.train import autocast, keep_schedule, optimizer_of

RECALIBRATION = 20  # batches of the training split from which statistics are recomputed
STATISTICS = ("batch", "running", "recalibrated")

Batch = tuple[Tensor, Tensor]  # inputs and targets


class Bench(Protocol):
    """What a search that trains by itself needs from a run.

    train, validation   training split for the weights, and validation split for evaluating routes
    recipe              recipe for the weights; its epochs are those of the search
    memory              bytes that the training may take; None: no limit
    """

    @property
    def train(self) -> Split: ...
    @property
    def validation(self) -> Split: ...
    @property
    def memory(self) -> int | None: ...

    recipe: Recipe
    seed: int
    precision: str


@dataclass(frozen=True)
class GivenBench:
    """A bench of splits that are at hand."""

    train: Split
    validation: Split
    recipe: Recipe
    seed: int = 0
    precision: str = "float32"
    memory: int | None = None


def batch_size(bench: Bench) -> int:
    """The batch size for the training split: the recipe's, or the number of examples if there are fewer."""
    return min(bench.recipe.batch_size, len(bench.train))


class SupernetTraining:
    """The training of a supernet's weights on routes that a policy draws.

    statistics   batch norm statistics for the evaluation of a route: "batch" (of the present batch), "running"
                 (averages over all routes of the training), or "recalibrated" (of the route, from batches of the
                 training split)

    Running statistics are updated by steps of the weights only. Weights that are not on a route get no gradient and
    stay unchanged to the bit.
    """

    def __init__(self, graph: Graph, bench: Bench, *, statistics: str = "batch") -> None:
        if statistics not in STATISTICS:
            raise UserError(f"statistics is {statistics!r}; use one of {', '.join(STATISTICS)}")
        self.bench, self.recipe, self.statistics = bench, bench.recipe, statistics
        self.device, self.task = bench.train.device, bench.train.task
        self.supernet = build(graph, seed=number(bench.seed, "supernet"))
        self.supernet.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = list(self.supernet.parameters())
        self.optimizer = optimizer_of(self.weights, self.recipe)
        if isinstance(self.optimizer, torch.optim.SGD) and self.recipe.momentum:
            for each in self.weights:  # PyTorch's fused step fails if only some weights have a momentum yet
                self.optimizer.state[each]["momentum_buffer"] = torch.zeros_like(each)
        self.norms = [module for module in self.supernet.modules() if isinstance(module, nn.BatchNorm2d)]
        self.scheduled = scheduled(self.supernet)
        self.chances = [*self.scheduled, *(m for m in self.supernet.modules() if isinstance(m, nn.Dropout))]
        self.batch_size = batch_size(bench)
        self.steps = len(bench.train) // self.batch_size
        self.epochs = 0

    def state(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "supernet": self.supernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.supernet.load_state_dict(state["supernet"])
        self.optimizer.load_state_dict(state["optimizer"])

    # ---- what a policy asks for -----------------------------------------------------------------------------------

    def loss(self, batch: Batch, route: Route) -> Tensor:
        """The task's loss of a batch on a route."""
        inputs, targets = batch
        return self.task.loss(self._outputs(inputs, route).float(), targets, self.recipe)

    def _outputs(self, inputs: Tensor, route: Route) -> Tensor:
        with autocast(self.device, self.bench.precision):
            return self.supernet(inputs, route)

    def descend(self, batch: Batch, route: Route) -> Tensor:
        """Make one step of the weights on a batch and return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch, route)
        loss.backward()
        self.apply()
        return loss.detach()

    def apply(self) -> None:
        """Update the weights with their present gradients."""
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.weights, self.recipe.clip_norm)
        self.optimizer.step()

    @contextmanager
    def probing(self) -> Iterator[None]:
        """A context in which batch norms use the statistics of the batch and do not update their running ones."""
        for norm in self.norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in self.norms:
                norm.track_running_stats = True

    # ---- an epoch -------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[tuple[Batch, Callable[[], Batch]]]:
        """One epoch: each training batch with a function that draws a batch of the validation split. When that split is
        exhausted, it is reshuffled."""
        draws = torch.Generator(self.device).manual_seed(number(self.bench.seed, "supernet", "train", self.epochs))
        held = self.held_out("alpha")
        for step, batch in enumerate(self.bench.train.shuffled(self.batch_size, self.recipe, draws)):
            keep_schedule(self.recipe, self.epochs + (step + 0.5) / self.steps, self.optimizer, self.scheduled)
            yield batch, held.__next__

    def held_out(self, purpose: str) -> Iterator[Batch]:
        """An endless sequence of batches of the validation split, in an order that depends on purpose and epoch."""
        draws = torch.Generator(self.device).manual_seed(number(self.bench.seed, "supernet", purpose, self.epochs))
        while True:
            size = min(self.batch_size, len(self.bench.validation))
            yield from self.bench.validation.shuffled(size, self.recipe, draws)

    # ---- what a route is worth ------------------------------------------------------------------------------------

    @torch.no_grad()
    def score(self, route: Route, split: Split | None = None) -> float:
        """The task's first metric of a route on the validation split. It leaves the supernet unchanged, and does not
        depend on what was evaluated before."""
        split = split or self.bench.validation
        if self.statistics != "recalibrated":
            return self._score(route, split)
        kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in self.norms]
        momenta = [norm.momentum for norm in self.norms]
        try:
            self._recalibrate(route)
            return self._score(route, split)
        finally:
            for norm, buffers, momentum in zip(self.norms, kept, momenta, strict=True):
                norm.momentum = momentum
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])

    @torch.no_grad()
    def reward_on(self, batch: Batch, route: Route) -> float:
        """The first metric of a batch on a route, negative where less of it is better. Statistics are those of the
        batch or running ones; recalibration would cost more than everything else for so few examples."""
        inputs, targets = batch
        metric = self.task.metric
        with self._judging():
            total = metric.add(None, self._outputs(inputs, route), targets)
        return metric.sign * metric.value(total, len(targets))

    def _score(self, route: Route, split: Split) -> float:
        with self._judging():
            batches = split.batches(self.batch_size if self.statistics == "batch" else None)
            return measure(((self._outputs(inputs, route), targets) for inputs, targets in batches), split)[
                self.task.metric.name
            ]

    @contextmanager
    def _judging(self) -> Iterator[None]:
        was = self.supernet.training
        self.supernet.train(self.statistics == "batch")
        for module in self.chances:
            module.eval()
        with self.probing():
            yield
        self.supernet.train(was)

    def _recalibrate(self, route: Route) -> None:
        for norm in self.norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean, which does not depend on the order
        self.supernet.train()
        for module in self.chances:
            module.eval()
        for _, (inputs, _) in zip(range(RECALIBRATION), self.bench.train.batches(self.batch_size), strict=False):
            self._outputs(inputs, route)
