"""Labelled images as tensors on the device: one permutation an epoch, whole batches augmented by tensor operations.

Images stay as they came, uint8 mostly, and are normalised by the batch: a fourth of the memory, for a tenth of a per
cent of a step. On a CUDA device, data that would take more than a quarter of its memory stay in pinned host memory, and
a batch is copied while the device still works on the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evonas.data.shared import shared
from evonas.data.sources import ImageData, Source
from evonas.recipe import Recipe

STREAMED_ABOVE = 0.25  # of the memory of a CUDA device
CPU_BATCH = 400_000  # values of the images of one batch of an evaluation: more of them fall out of the caches
LARGEST_BATCH, SMALLEST_BATCH = 1000, 16  # images of one batch of an evaluation


@dataclass(frozen=True, eq=False)
class Part:
    """Images (N, C, H, W), uint8 or float32, and labels (N,) on the device where networks are trained.

    mean, std   (1, C, 1, 1) in the units of the images, or None where they are normalised already
    streamed    the images lie in host memory, and go to the device by the batch
    """

    images: Tensor
    labels: Tensor
    mean: Tensor | None = None
    std: Tensor | None = None
    streamed: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Part:
        """Some of the images; the memory is shared."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    @property
    def device(self) -> torch.device:
        return self.labels.device

    @property
    def most_frequent(self) -> float:
        """The share of the most frequent class: the accuracy of who always names it."""
        return int(self.labels.bincount().max()) / len(self)

    def normalised(self, images: Tensor) -> Tensor:
        """(x - mean) / std as float32."""
        if self.mean is None or self.std is None:
            return images.float()
        return torch.sub(images, self.mean).div_(self.std)

    def batches(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All images once, in order, for an evaluation: normalised, in channels-last format, with their labels.

        size   images of a batch, at least, where its statistics count; None: what is fastest
        """
        if size is not None:
            count = max(len(self) // size, 1)
            ends = [len(self) * number // count for number in range(count + 1)]
        else:
            size = LARGEST_BATCH
            if self.device.type == "cpu":
                size = min(max(CPU_BATCH // prod(self.images.shape[1:]), SMALLEST_BATCH), LARGEST_BATCH)
            ends = [*range(0, len(self), size), len(self)]
        for start, end in pairwise(ends):
            images = self.images[start:end].to(self.device, non_blocking=True)
            yield _channels_last(self.normalised(images)), self.labels[start:end]

    def shuffled(self, size: int, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in a random order, augmented, in channels-last format. A smaller last batch is left out: its
        statistics would be poorer."""
        order = torch.randperm(len(self), generator=generator, device=self.device)
        steps = len(self) // size
        chosen = order[: steps * size].view(steps, size)
        for images, rows in zip(self._taken(chosen), chosen, strict=True):
            yield _channels_last(augmented(self.normalised(images), recipe, generator)), self.labels[rows]

    def _taken(self, chosen: Tensor) -> Iterator[Tensor]:
        """The images of each row of indices, on the device."""
        if not self.streamed:
            for rows in chosen:
                yield self.images.index_select(0, rows)
            return
        # Two buffers take turns: one is filled while the device copies from the other. Before it is filled again, the
        # copy from it must have ended.
        pinned = self.device.type == "cuda"
        shape = (chosen.shape[1], *self.images.shape[1:])
        buffers = [torch.empty(shape, dtype=self.images.dtype, pin_memory=pinned) for _ in range(2)]
        copied: list[torch.cuda.Event | None] = [None, None]
        for number, rows in enumerate(chosen.cpu()):
            turn = number % 2
            if (before := copied[turn]) is not None:
                before.synchronize()
            torch.index_select(self.images, 0, rows, out=buffers[turn])
            images = buffers[turn].to(self.device, non_blocking=True, copy=True)
            if pinned:
                copied[turn] = torch.cuda.Event()
                copied[turn].record()  # type: ignore[union-attr]
            yield images


@dataclass(frozen=True, eq=False)
class Task:
    """Image classification on one device. `whole` is the training and the validation part, which share its memory."""

    whole: Part
    train: Part
    validation: Part
    test: Part
    classes: int
    fingerprint: str


@lru_cache(maxsize=4)
def task_on(source: Source, device: str, fingerprint: str | None = None) -> Task:
    """The data of a source on a device; a worker keeps them between evaluations. On a CPU they are the loaded arrays,
    or the ones that all processes of a host share: see `shared`, also for the fingerprint."""
    data = shared(source, fingerprint)
    streamed = device == "cuda" and data.nbytes > STREAMED_ABOVE * torch.cuda.get_device_properties(0).total_memory
    whole = _part(data, data.x, data.y, device, streamed)
    test = _part(data, data.x_test, data.y_test, device, streamed)
    train, validation = whole[: data.training], whole[data.training :]
    return Task(whole, train, validation, test, len(data.classes), data.fingerprint)


def _part(data: ImageData, images: np.ndarray, labels: np.ndarray, device: str, streamed: bool) -> Part:
    mean, std = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (data.mean, data.std))
    x, y = torch.as_tensor(images), torch.as_tensor(labels)
    return Part(x.pin_memory() if streamed else x.to(device), y.to(device), mean.to(device), std.to(device), streamed)


# ---- augmentation ---------------------------------------------------------------------------------------------------


def augmented(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """A normalised batch as the recipe wants it."""
    if recipe.crop:
        images = random_crop(images, recipe.crop, generator)
    if recipe.flip:
        images = random_flip(images, generator)
    if recipe.cutout:
        images = cutout(images, recipe.cutout, generator)
    return images


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to `padding` pixels along both axes; what comes in is 0, the mean colour."""
    count, _, height, width = images.shape
    windows = F.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # (B, C, shifts, shifts, H, W)
    down, right = _draw(2 * padding + 1, (2, count), images, generator)
    return windows[torch.arange(count, device=images.device), :, down, right]


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


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _draw(options: int, shape: tuple[int, ...], images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(options, shape, generator=generator, device=images.device)
