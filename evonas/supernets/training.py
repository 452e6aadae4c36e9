"""A supernet in training: the loss on a route, a step of the weights, and batches for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from evonas.evaluation.limits import Limits
from evonas.gates import Route
from evonas.graph import Graph
from evonas.recipe import Recipe
from evonas.supernets.supernet import Batch, Supernet, initial_seed
from evonas.support.streams import number
from evonas.tasks.splits import Split
from evonas.training.train import keep_schedule, optimizer_of

NO_LIMITS = Limits()


class Bench(Protocol):
    """What a search that trains by itself needs from a run.

    train, validation   training split for the weights, and validation split for evaluating routes
    recipe              recipe for the weights; its epochs are those of the search
    memory              bytes that the training may take; None: no limit
    limits              of the networks that are searched for
    """

    @property
    def train(self) -> Split: ...
    @property
    def validation(self) -> Split: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def seed(self) -> int: ...
    @property
    def precision(self) -> str: ...


@dataclass(frozen=True)
class GivenBench:
    """A bench of splits that are at hand."""

    train: Split
    validation: Split
    recipe: Recipe
    seed: int = 0
    precision: str = "float32"
    memory: int | None = None
    limits: Limits = NO_LIMITS


def stage_of(bench: Bench, nth: int, stages: int) -> GivenBench:
    """What the nth of several supernets that are trained one after another, counted from 0, has of a bench: an equal
    share of the epochs, and, from the second one on, a seed of its own."""
    return GivenBench(
        bench.train,
        bench.validation,
        bench.recipe.lasting(bench.recipe.epochs // stages),
        number(bench.seed, "stage", nth) if nth else bench.seed,
        bench.precision,
        bench.memory,
    )


def batch_size(bench: Bench) -> int:
    """The batch size for the training split: the recipe's, or the number of examples if there are fewer."""
    return min(bench.recipe.batch_size, len(bench.train))


class SupernetTraining(Supernet):
    """A supernet whose weights are trained on routes that a policy draws.

    statistics   batch norm statistics for the evaluation of a route: see `Supernet`
    together     examples of a forward pass, where a step has several; None: a whole batch of the recipe

    Running statistics are updated by steps of the weights only. Weights that are not on a route get no gradient and
    stay unchanged to the bit.
    """

    def __init__(self, graph: Graph, bench: Bench, *, statistics: str = "batch", together: int | None = None) -> None:
        super().__init__(
            graph,
            bench.train,
            bench.validation,
            seed=initial_seed(bench.seed),
            batch_size=together or batch_size(bench),
            statistics=statistics,
            precision=bench.precision,
        )
        self.bench, self.recipe = bench, bench.recipe
        self.weights = list(self.network.parameters())
        self.optimizer = optimizer_of(self.weights, self.recipe)
        if isinstance(self.optimizer, torch.optim.SGD) and self.recipe.momentum:
            for each in self.weights:  # PyTorch's fused step fails if only some weights have a momentum yet
                self.optimizer.state[each]["momentum_buffer"] = torch.zeros_like(each)
        self.step_size = batch_size(bench)
        self.steps = len(bench.train) // self.step_size
        self.epochs = 0

    def state(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "supernet": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.network.load_state_dict(state["supernet"])
        self.optimizer.load_state_dict(state["optimizer"])

    # ---- what a policy asks for -----------------------------------------------------------------------------------

    def loss(self, batch: Batch, route: Route) -> Tensor:
        """The task's loss of a batch on a route."""
        inputs, targets = batch
        return self.task.loss(self.outputs(inputs, route).float(), targets, self.recipe)

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

    # ---- an epoch -------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[tuple[Batch, Callable[[], Batch]]]:
        """One epoch: each training batch with a function that draws a batch of the validation split. When that split is
        exhausted, it is reshuffled."""
        draws = torch.Generator(self.device).manual_seed(number(self.bench.seed, "supernet", "train", self.epochs))
        held = self.held_out("alpha")
        for step, batch in enumerate(self.bench.train.shuffled(self.step_size, self.recipe, draws)):
            keep_schedule(self.recipe, self.epochs + (step + 0.5) / self.steps, self.optimizer, self.scheduled)
            yield batch, held.__next__

    def held_out(self, purpose: str) -> Iterator[Batch]:
        """An endless sequence of batches of the validation split, in an order that depends on purpose and epoch."""
        draws = torch.Generator(self.device).manual_seed(number(self.bench.seed, "supernet", purpose, self.epochs))
        while True:
            size = min(self.step_size, len(self.bench.validation))
            yield from self.bench.validation.shuffled(size, self.recipe, draws)
