"""Splits of a task's data as tensors on the device: one permutation an epoch, whole batches at a time.

Images stay as they came, uint8 mostly, and are normalised by the batch: a fourth of the memory, for a tenth of a per
cent of a step. On a CUDA device, data that would take more than a quarter of its memory stay in pinned host memory, and
a batch is copied while the device still works on the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from evonas.recipe import Recipe
from evonas.tasks.task import Task

CPU_BATCH = 400_000  # values of the inputs of one batch of an evaluation: more of them fall out of the caches
LARGEST_BATCH, SMALLEST_BATCH = 1000, 16  # inputs of one batch of an evaluation


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs (N, ...), uint8 or float32, and targets (N, ...) on the device where networks are trained.

    task        what is learnt of them
    mean, std   (1, C, 1, 1) in the units of the inputs, or None where they are normalised already
    streamed    the inputs lie in host memory, and go to the device by the batch
    weights     (N,), above 0: how often each example is drawn in an epoch, relative to the others; None: once each
    """

    inputs: Tensor
    targets: Tensor
    task: Task
    mean: Tensor | None = None
    std: Tensor | None = None
    streamed: bool = False
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, rows: slice) -> Split:
        """Some of the examples; the memory is shared."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows], weights=weights)

    @property
    def device(self) -> torch.device:
        return self.targets.device

    @property
    def null(self) -> float:
        """What the best answer scores, by the first metric, that does not look at its input."""
        return self.task.metric.null(self.targets)

    def normalised(self, inputs: Tensor) -> Tensor:
        """(x - mean) / std as float32."""
        return normalised(inputs, self.mean, self.std)

    def batches(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples once, in order, for an evaluation: normalised, images in channels-last format, with targets.

        size   examples of a batch, at least, where its statistics count; None: what is fastest
        """
        if size is not None:
            count = max(len(self) // size, 1)
            ends = [len(self) * number // count for number in range(count + 1)]
        else:
            size = batch_size(self.inputs.shape[1:], self.device.type)
            ends = [*range(0, len(self), size), len(self)]
        for start, end in pairwise(ends):
            inputs = self.inputs[start:end].to(self.device, non_blocking=True)
            yield channels_last(self.normalised(inputs)), self.targets[start:end]

    def shuffled(self, size: int, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in a random order, augmented, in channels-last format. A smaller last batch is left out: its
        statistics would be poorer. Where the recipe balances the classes, as many examples are drawn with replacement,
        of each class as often as of any other. Where the examples have weights, each is drawn as often as its weight
        says."""
        if recipe.balanced:
            weights = torch.ones(len(self), device=self.device) if self.weights is None else self.weights
            each = 1 / self.targets.bincount(weights.double())
            order = torch.multinomial(each[self.targets] * weights, len(self), replacement=True, generator=generator)
        elif self.weights is not None:
            order = as_often(self.weights, generator)
        else:
            order = torch.randperm(len(self), generator=generator, device=self.device)
        steps = len(self) // size
        chosen = order[: steps * size].view(steps, size)
        for inputs, rows in zip(self._taken(chosen), chosen, strict=True):
            inputs, targets = self.task.augmented(self.normalised(inputs), self.targets[rows], recipe, generator)
            yield channels_last(inputs), targets

    def _taken(self, chosen: Tensor) -> Iterator[Tensor]:
        """The inputs of each row of indices, on the device."""
        if not self.streamed:
            for rows in chosen:
                yield self.inputs.index_select(0, rows)
            return
        # Two buffers take turns: one is filled while the device copies from the other. Before it is filled again, the
        # copy from it must have ended.
        pinned = self.device.type == "cuda"
        shape = (chosen.shape[1], *self.inputs.shape[1:])
        buffers = [torch.empty(shape, dtype=self.inputs.dtype, pin_memory=pinned) for _ in range(2)]
        copied: list[torch.cuda.Event | None] = [None, None]
        for number, rows in enumerate(chosen.cpu()):
            turn = number % 2
            if (before := copied[turn]) is not None:
                before.synchronize()
            torch.index_select(self.inputs, 0, rows, out=buffers[turn])
            inputs = buffers[turn].to(self.device, non_blocking=True, copy=True)
            if pinned:
                copied[turn] = torch.cuda.Event()
                copied[turn].record()  # type: ignore[union-attr]
            yield inputs


@dataclass(frozen=True, eq=False)
class Splits:
    """The data of a task on one device. `whole` is the training and the validation split, which share its memory."""

    whole: Split
    train: Split
    validation: Split
    test: Split


def as_often(weights: Tensor, generator: torch.Generator) -> Tensor:
    """As many rows as there are weights, (N,), in a random order, each as often as N times its share of the weights,
    rounded up or down at random: systematic sampling (Madow and Madow 1944). Equal weights draw each once."""
    count = len(weights)
    ends = weights.double().cumsum(0) / weights.double().sum() * count
    start = torch.rand((), dtype=torch.float64, generator=generator, device=weights.device)
    drawn = torch.searchsorted(ends, torch.arange(count, device=weights.device) + start, right=True)
    order = torch.randperm(count, generator=generator, device=weights.device)
    return drawn.clamp(max=count - 1)[order]


def batch_size(shape: Sequence[int], device: str) -> int:
    """How many inputs of this shape are fastest at a time where nothing is learnt."""
    if device != "cpu":
        return LARGEST_BATCH
    return min(max(CPU_BATCH // prod(shape), SMALLEST_BATCH), LARGEST_BATCH)


def normalised(inputs: Tensor, mean: Tensor | None, std: Tensor | None) -> Tensor:
    """(x - mean) / std as float32, with mean and std (1, C, 1, 1); where there are none, x."""
    if mean is None or std is None:
        return inputs.float()
    return torch.sub(inputs, mean).div_(std)


def channels_last(inputs: Tensor) -> Tensor:
    """Images in the layout in which convolutions are fastest; other inputs as they are, but contiguous."""
    return inputs.contiguous(memory_format=torch.channels_last if inputs.dim() == 4 else torch.contiguous_format)
