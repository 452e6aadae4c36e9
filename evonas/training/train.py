"""Training a network on a split that lies on the device as tensors. One code for CPU and CUDA."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from evonas.errors import UserError
from evonas.network import build, tapped
from evonas.recipe import Recipe
from evonas.scheduled import Scheduled, scheduled
from evonas.support.stopwatch import UNWATCHED, Unwatched
from evonas.support.streams import number
from evonas.tasks.splits import Split
from evonas.tasks.task import measure
from evonas.training.auxiliary import head
from evonas.training.average import averaged
from evonas.training.distillation import Guide, distilled
from evonas.training.optimizers import SGD, Adam, RMSprop


class TrainingFailed(RuntimeError):
    """A network that cannot be trained. `kind` is nan, memory or time."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Training:
    """A training in progress, one epoch at a time, on the device where the data lie.

    epochs      that have been trained
    precision   float32, or bfloat16 for what autocast holds safe: convolutions and linear layers (weights, batch norm
                and loss stay float32)
    splits      parts of each batch that go through the network one after the other, to save memory; the gradients are
                those of the whole batch, but batch norms see a part at a time
    teacher     that the recipe's distillation imitates
    watch       is told of the sections data, forward, backward and optimizer

    Shuffling, augmentation and dropout of an epoch draw from streams of the seed and its number; the global generators
    are left as they were. So `state` holds no generator, and a training that goes on from one equals one that never
    stopped, on a CPU to the bit.
    """

    def __init__(
        self,
        network: nn.Module,
        split: Split,
        recipe: Recipe,
        *,
        seed: int,
        precision: str = "float32",
        splits: int = 1,
        teacher: Guide | None = None,
        watch: Unwatched = UNWATCHED,
    ) -> None:
        if recipe.distills and teacher is None:
            raise UserError("the recipe distils, and there is no teacher; give one, or take recipe.by_labels()")
        self.device = split.device
        network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.split, self.recipe = network, split, recipe
        self.seed, self.precision, self.splits, self.watch = seed, precision, splits, watch
        self.teacher = teacher if recipe.distills else None
        self.head, nodes = _auxiliary(network, recipe, seed, self.device)
        nodes += recipe.features
        self.tapped = tapped(network, *nodes) if nodes else None  # type: ignore[arg-type]  # built of a graph
        self.weights = [*network.parameters(), *(self.head.parameters() if self.head else ())]
        self.optimizer = optimizer_of(self.weights, recipe)
        self.batch_size = min(recipe.batch_size, len(split))
        self.steps = len(split) // self.batch_size
        self.scheduled = scheduled(network)
        self.average = averaged(network, recipe.average) if recipe.average else None
        self.epochs = 0

    @property
    def judged(self) -> nn.Module:
        """The network that is judged and kept: with the moving average of the weights, where the recipe has one."""
        return self.network if self.average is None else self.average.module

    @property
    def settled(self) -> bool:
        """Whether the network computes what it will in the end, with other weights (`Scheduled.settled`)."""
        return all(module.settled for module in self.scheduled)

    def state(self) -> dict[str, Any]:
        found = {
            "epochs": self.epochs,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.head:
            found["auxiliary"] = self.head.state_dict()
        if self.average:
            found["average"] = self.average.state_dict()
        return found

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.network.load_state_dict(state["network"])
        if self.head:
            self.head.load_state_dict(state["auxiliary"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def epoch(self, *, deadline: float | None = None, clock: Callable[[], float] = time.monotonic) -> float:
        """Train the next epoch; its mean loss.

        Raises TrainingFailed when the loss stops being finite, when memory runs out, and when `clock` passes `deadline`
        (seconds).
        """
        try:
            loss = self._epoch(deadline, clock)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise TrainingFailed("memory", f"out of memory: {_first_line(error)}") from error
        except RuntimeError as error:
            if "not enough memory" in str(error) or "can't allocate memory" in str(error):  # the CPU allocator's words
                raise TrainingFailed("memory", f"out of memory: {_first_line(error)}") from error
            raise
        self.epochs += 1
        return loss

    def _epoch(self, deadline: float | None, clock: Callable[[], float]) -> float:
        network, recipe, device, watch = self.network, self.recipe, self.device, self.watch
        where = f"in epoch {self.epochs + 1} of {recipe.epochs}"
        seed = number(self.seed, "epoch", self.epochs)
        generator = torch.Generator(device).manual_seed(seed)
        total = torch.zeros((), device=device)
        network.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)  # of dropout
            watch.begin("data")
            for step, (inputs, targets) in enumerate(self.split.shuffled(self.batch_size, recipe, generator)):
                keep_schedule(recipe, self.epochs + (step + 0.5) / self.steps, self.optimizer, self.scheduled)
                self.optimizer.zero_grad(set_to_none=True)
                for some, theirs in zip(inputs.chunk(self.splits), targets.chunk(self.splits), strict=True):
                    watch.begin("forward")
                    loss = self._loss(some, theirs) * (len(some) / len(inputs))
                    watch.begin("backward")
                    loss.backward()
                    total += loss.detach()
                watch.begin("optimizer")
                if recipe.clip_norm:
                    nn.utils.clip_grad_norm_(self.weights, recipe.clip_norm)
                self.optimizer.step()
                if self.average:
                    self.average.update_parameters(network)
                watch.begin("data")
                if deadline is not None and clock() > deadline:
                    raise TrainingFailed("time", f"over its time limit {where}")
        for module in self.scheduled:
            module.pause()
        mean = total.item() / self.steps  # read once an epoch: reading waits for the device
        if not math.isfinite(mean):
            raise TrainingFailed("nan", f"the loss is not finite {where}")
        return mean

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        task, recipe = self.split.task, self.recipe
        with autocast(self.device, self.precision):
            wanted = None if self.teacher is None else self.teacher(inputs, recipe.features)
            outputs, *inner = (self.network(inputs),) if self.tapped is None else self.tapped(inputs)
            second = None if self.head is None else self.head(inner.pop(0))
        if wanted is None or recipe.hard:
            loss = task.loss(outputs.float(), targets, recipe)
            if second is not None:
                loss = loss + recipe.auxiliary * task.loss(second.float(), targets, recipe)
        if wanted is not None:
            taught = distilled(recipe, [outputs, *inner], wanted)
            loss = recipe.hard * loss + taught if recipe.hard else taught
        for module in self.scheduled:
            if (penalty := module.penalty()) is not None:
                loss = loss + penalty
        return loss


def _auxiliary(
    network: nn.Module, recipe: Recipe, seed: int, device: torch.device
) -> tuple[nn.Module | None, tuple[str, ...]]:
    """The second head and the node that feeds it, where the recipe and the network's graph have one."""
    graph = network.meta.get("graph") if isinstance(network, fx.GraphModule) else None
    if not recipe.auxiliary or graph is None or graph.auxiliary is None:
        return None, ()
    made = build(head(graph.shapes[graph.auxiliary], graph.output_shape[0]), seed=number(seed, "auxiliary"))
    return made.to(device=device, memory_format=torch.channels_last), (graph.auxiliary,)  # type: ignore[call-overload]


def evaluate(network: nn.Module, split: Split, *, precision: str = "float32") -> dict[str, float]:
    """Every metric of the task, for the network in evaluation mode."""
    return measure(_answers(network, split, precision), split)


def final_test(network: nn.Module, split: Split) -> tuple[dict[str, float], dict[str, np.ndarray] | None]:
    """The same in float32, as the network is handed over and predicts; and what the task keeps of the answers:
    `predictions` (N, ...) and `targets` (N, ...), in the order of the split; None: nothing."""
    kept: list[Tensor] = []

    def answers() -> Iterator[tuple[Tensor, Tensor]]:
        for outputs, targets in _answers(network, split, "float32"):
            if (predictions := split.task.predictions(outputs)) is not None:
                kept.append(predictions.cpu())
            yield outputs, targets

    measures = measure(answers(), split)
    if not kept:
        return measures, None
    return measures, {"predictions": torch.cat(kept).numpy(), "targets": split.targets.cpu().numpy()}


@torch.inference_mode()
def _answers(network: nn.Module, split: Split, precision: str) -> Iterator[tuple[Tensor, Tensor]]:
    network.eval()
    for inputs, targets in split.batches():
        with autocast(split.device, precision):
            found = network(inputs)
        yield found, targets


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 for what autocast holds safe, or nothing where the precision is float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def keep_schedule(recipe: Recipe, now: float, optimizer: torch.optim.Optimizer, modules: Iterable[Scheduled]) -> None:
    """The learning rate, and what changes in the network, at this moment in epochs from the start."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate(recipe.moment(now))
    for module in modules:
        module.keep(recipe, now)


def optimizer_of(weights: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """As a recipe wants it."""
    if recipe.optimizer == "adam":
        return Adam(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    if recipe.optimizer == "rmsprop":
        # epsilon as mobile networks are trained (tensorflow/tpu), but PyTorch adds it outside of the root, and begins
        # the mean of the squares at 0 instead of 1
        return RMSprop(
            weights, lr=recipe.learning_rate, alpha=0.9, eps=1e-3, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
    return SGD(
        weights,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
