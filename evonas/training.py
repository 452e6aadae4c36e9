"""Training a network on images that lie on the device as tensors. One code for CPU and CUDA."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from evonas.auxiliary import head
from evonas.data import ImageData, Source, load
from evonas.network import DropPath, build, tapped
from evonas.recipe import Recipe
from evonas.streams import number

EVALUATION_BATCH = 1000


class TrainingFailed(RuntimeError):
    """A network that cannot be trained. `kind` is nan, memory or time."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, eq=False)
class Part:
    """Images (N, C, H, W), normalised float32 in the device's memory format, and labels (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: Part) -> Part:
        return Part(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))


@dataclass(frozen=True, eq=False)
class Task:
    """Image classification on one device: the training, validation and test parts of a data set."""

    train: Part
    validation: Part
    test: Part
    classes: int


@lru_cache(maxsize=4)
def task_on(source: Source, device: str) -> Task:
    """The data of a source, normalised once and resident on the device; a worker keeps them between evaluations."""
    data = load(source)
    return Task(
        _part(data, data.x_train, data.y_train, device),
        _part(data, data.x_validation, data.y_validation, device),
        _part(data, data.x_test, data.y_test, device),
        len(data.classes),
    )


def _part(data: ImageData, images: object, labels: object, device: str) -> Part:
    mean, std = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (data.mean, data.std))
    x = (torch.as_tensor(images).float() - mean) / std
    return Part(x.to(device, memory_format=torch.channels_last), torch.as_tensor(labels).to(device))


def train(
    network: nn.Module,
    part: Part,
    recipe: Recipe,
    *,
    seed: int,
    validation: Part | None = None,
    precision: str = "float32",
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[float]:
    """Train in place; the accuracy on `validation` after each epoch (nothing where there is none).

    Raises TrainingFailed as `Training.epoch` does.
    """
    training = Training(network, part, recipe, seed=seed, precision=precision)
    curve = []
    while training.epochs < recipe.epochs:
        training.epoch(deadline=deadline, clock=clock)
        if validation is not None:
            curve.append(accuracy(network, validation, precision=precision))
    return curve


class Training:
    """A training in progress, one epoch at a time, on the device where the images lie.

    epochs      that have been trained
    precision   float32, or bfloat16 for what autocast holds safe: convolutions and linear layers (weights, batch norm
                and loss stay float32)

    Shuffling, augmentation and dropout of an epoch draw from streams of the seed and its number; the global generators
    are left as they were. So `state` holds no generator, and a training that goes on from one equals one that never
    stopped, on a CPU to the bit.
    """

    def __init__(
        self, network: nn.Module, part: Part, recipe: Recipe, *, seed: int, precision: str = "float32"
    ) -> None:
        self.device = part.images.device
        network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, self.part, self.recipe = network, part, recipe
        self.seed, self.precision = seed, precision
        self.head, self.tapped = _auxiliary(network, recipe, seed, self.device)
        self.weights = [*network.parameters(), *(self.head.parameters() if self.head else ())]
        self.optimizer = _optimizer(self.weights, recipe)
        self.batch_size = min(recipe.batch_size, len(part))
        self.steps = len(part) // self.batch_size  # a smaller last batch is left out: its statistics would be poorer
        self.paths = [module for module in network.modules() if isinstance(module, DropPath)]
        self.epochs = 0

    def state(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        } | ({"auxiliary": self.head.state_dict()} if self.head else {})

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]
        self.network.load_state_dict(state["network"])
        if self.head:
            self.head.load_state_dict(state["auxiliary"])
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
        network, recipe, device = self.network, self.recipe, self.device
        where = f"in epoch {self.epochs + 1} of {recipe.epochs}"
        seed = number(self.seed, "epoch", self.epochs)
        generator = torch.Generator(device).manual_seed(seed)
        total = torch.zeros((), device=device)
        network.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)  # of dropout
            for step, (images, labels) in enumerate(
                _batches(self.part, self.batch_size, self.steps, recipe, generator)
            ):
                now = self.epochs + (step + 0.5) / self.steps
                for group in self.optimizer.param_groups:
                    group["lr"] = recipe.rate(now)
                for path in self.paths:
                    path.rate = recipe.drop_path * path.share * now / recipe.epochs
                loss = self._loss(images, labels)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if recipe.clip_norm:
                    nn.utils.clip_grad_norm_(self.weights, recipe.clip_norm)
                self.optimizer.step()
                total += loss.detach()
                if deadline is not None and clock() > deadline:
                    raise TrainingFailed("time", f"over its time limit {where}")
        for path in self.paths:
            path.rate = 0.0
        mean = total.item() / self.steps  # read once an epoch: reading waits for the device
        if not math.isfinite(mean):
            raise TrainingFailed("nan", f"the loss is not finite {where}")
        return mean

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        def of(logits: Tensor) -> Tensor:
            return F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)

        with autocast(self.device, self.precision):
            if self.head is None:
                logits = self.network(images)
            else:
                logits, middle = self.tapped(images)
                second = self.head(middle)
        return of(logits) if self.head is None else of(logits) + self.recipe.auxiliary * of(second)


def _auxiliary(
    network: nn.Module, recipe: Recipe, seed: int, device: torch.device
) -> tuple[nn.Module | None, nn.Module]:
    """The second classifier and the network that feeds it, where the recipe and the network's graph have one."""
    if not recipe.auxiliary or not isinstance(network, fx.GraphModule):
        return None, network
    graph = network.meta.get("graph")
    if graph is None or graph.auxiliary is None:
        return None, network
    made = build(head(graph.shapes[graph.auxiliary], graph.output_shape[0]), seed=number(seed, "auxiliary"))
    return made.to(device=device, memory_format=torch.channels_last), tapped(network, graph.auxiliary)  # type: ignore[call-overload]


@torch.inference_mode()
def accuracy(network: nn.Module, part: Part, *, precision: str = "float32") -> float:
    """The share of images that the network, in evaluation mode, puts into the right class."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=part.labels.device)
    for start in range(0, len(part), EVALUATION_BATCH):
        with autocast(part.images.device, precision):
            logits = network(part.images[start : start + EVALUATION_BATCH])
        right += (logits.argmax(1) == part.labels[start : start + EVALUATION_BATCH]).sum()
    return right.item() / len(part)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 for what autocast holds safe, or nothing where the precision is float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _optimizer(weights: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(
        weights,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


# ---- batches and augmentation, whole batches at a time --------------------------------------------------------------


def _batches(
    part: Part, batch_size: int, steps: int, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in a random order."""
    order = torch.randperm(len(part), generator=generator, device=part.labels.device)
    for step in range(steps):
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = part.images[chosen]
        if recipe.crop:
            images = random_crop(images, recipe.crop, generator)
        if recipe.flip:
            images = random_flip(images, generator)
        if recipe.cutout:
            images = cutout(images, recipe.cutout, generator)
        yield images, part.labels[chosen]


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to `padding` pixels along both axes; what comes in is 0, the mean colour."""
    count, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    windows = padded.permute(0, 2, 3, 1).unfold(1, height, 1).unfold(2, width, 1)  # (B, shifts, shifts, C, H, W)
    down, right = _draw(2 * padding + 1, (2, count), images, generator)
    each = torch.arange(count, device=images.device)
    return windows[each, down, right].contiguous(memory_format=torch.channels_last)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability 1/2."""
    mirrored = _draw(2, (len(images), 1, 1, 1), images, generator).bool()
    return torch.where(mirrored, images.flip(3), images)


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of `side` pixels set to 0 in each image, its centre anywhere (DeVries and Taylor 2017)."""
    count, _, height, width = images.shape
    top = _draw(height, (count, 1, 1, 1), images, generator) - side // 2
    left = _draw(width, (count, 1, 1, 1), images, generator) - side // 2
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - top
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - left
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return images.masked_fill(inside, 0.0)


def _draw(options: int, shape: tuple[int, ...], images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(options, shape, generator=generator, device=images.device)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
