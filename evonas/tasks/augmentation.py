"""Random changes of a batch of images on its device, by tensor operations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from evonas.recipe import Recipe


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


def _draw(options: int, shape: tuple[int, ...], images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(options, shape, generator=generator, device=images.device)
