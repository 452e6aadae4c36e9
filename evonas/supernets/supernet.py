"""A supernet, and what a route through it is worth by its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from evonas.errors import UserError
from evonas.gates import Route
from evonas.graph import Graph
from evonas.network import build
from evonas.scheduled import scheduled
from evonas.support.streams import number
from evonas.tasks.splits import Split
from evonas.tasks.task import measure
from evonas.training.train import autocast

RECALIBRATION = 20  # batches of the training split from which statistics are recomputed
STATISTICS = ("batch", "running", "recalibrated")

Batch = tuple[Tensor, Tensor]  # inputs and targets


def initial_seed(seed: int) -> int:
    """The seed of a supernet's initial weights, which follows from the seed of its run."""
    return number(seed, "supernet")


class Supernet:
    """A supernet on the device of its data.

    train, validation   training split, from which statistics are recomputed, and the one on which routes are judged
    seed         of its initial weights
    batch_size   examples of a batch where its statistics count
    statistics   batch norm statistics for the evaluation of a route: "batch" (of the present batch), "running"
                 (averages over all routes of the training), or "recalibrated" (of the route, from batches of the
                 training split)

    Raises UserError for other statistics.
    """

    def __init__(
        self,
        graph: Graph,
        train: Split,
        validation: Split,
        *,
        seed: int = 0,
        batch_size: int = 64,
        statistics: str = "batch",
        precision: str = "float32",
    ) -> None:
        if statistics not in STATISTICS:
            raise UserError(f"statistics is {statistics!r}; use one of {', '.join(STATISTICS)}")
        self.train, self.validation = train, validation
        self.batch_size, self.statistics, self.precision = batch_size, statistics, precision
        self.device, self.task = train.device, train.task
        self.network = build(graph, seed=seed)
        self.network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.scheduled = scheduled(self.network)
        self.chances = [*self.scheduled, *(m for m in self.network.modules() if isinstance(m, nn.Dropout))]

    def outputs(self, inputs: Tensor, route: Route) -> Tensor:
        with autocast(self.device, self.precision):
            return self.network(inputs, route)

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

    # ---- what a route is worth ------------------------------------------------------------------------------------

    def score(self, route: Route, split: Split | None = None) -> float:
        """The task's first metric of a route, as `measures` has it."""
        return self.measures(route, split)[self.task.metric.name]

    @torch.no_grad()
    def measures(self, route: Route, split: Split | None = None) -> dict[str, float]:
        """Every metric of the task for a route on the validation split, or another one. It leaves the supernet
        unchanged, and does not depend on what was evaluated before."""
        split = split or self.validation
        if self.statistics != "recalibrated":
            return self._measured(route, split)
        kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in self.norms]
        momenta = [norm.momentum for norm in self.norms]
        try:
            self._recalibrate(route)
            return self._measured(route, split)
        finally:
            for norm, buffers, momentum in zip(self.norms, kept, momenta, strict=True):
                norm.momentum = momentum
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])

    @torch.no_grad()
    def reward_on(self, batch: Batch, route: Route) -> float:
        """The first metric of a batch on a route, negative where less of it is better. Statistics are the running ones,
        where routes are judged by them, else those of the batch; recalibration would cost more than everything else for
        so few examples."""
        inputs, targets = batch
        metric = self.task.metric
        with self._judging(by_batch=self.statistics != "running"):
            total = metric.add(None, self.outputs(inputs, route), targets)
        return metric.sign * metric.value(total, len(targets))

    def _measured(self, route: Route, split: Split) -> dict[str, float]:
        with self._judging(by_batch=self.statistics == "batch"):
            batches = split.batches(self.batch_size if self.statistics == "batch" else None)
            return measure(((self.outputs(inputs, route), targets) for inputs, targets in batches), split)

    @contextmanager
    def _judging(self, *, by_batch: bool) -> Iterator[None]:
        was = self.network.training
        self.network.train(by_batch)
        for module in self.chances:
            module.eval()
        with self.probing():
            yield
        self.network.train(was)

    def _recalibrate(self, route: Route) -> None:
        was = self.network.training
        for norm in self.norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean, which does not depend on the order
        self.network.train()
        for module in self.chances:
            module.eval()
        for _, (inputs, _) in zip(range(RECALIBRATION), self.train.batches(self.batch_size), strict=False):
            self.outputs(inputs, route)
        self.network.train(was)
