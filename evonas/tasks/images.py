"""Tasks whose inputs are images that evonas can read: named sets, .npz files, folders, arrays."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evonas.data.shared import shared
from evonas.data.sources import ImageData, Source
from evonas.data.symmetry import mirrors
from evonas.tasks.task import DataDiffer, Task

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from evonas.recipe import Recipe
    from evonas.tasks.splits import Split, Splits

STREAMED_ABOVE = 0.25  # of the memory of a CUDA device


@dataclass(frozen=True)
class ImageTask(Task):
    """A task on labelled images. A subclass gives `name`, `metrics`, `output_shape` and `loss`, and, where labels are
    not what is learnt, `targets`.

    source    what names the data, and how they are split
    decides   the name of the metric by which networks are selected; None: the first
    """

    source: Source
    fingerprint: str | None = None
    decides: str | None = None

    @property
    def images(self) -> ImageData:
        """The images and labels. Raises UserError where they cannot be had."""
        return shared(self.source, self.fingerprint)

    @property
    def data(self) -> str:
        return self.source.name

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.images.input_shape

    def identified(self) -> ImageTask:
        return replace(self, fingerprint=self.images.fingerprint)

    @property
    def counts(self) -> tuple[int, int, int]:
        found = self.images
        return len(found.y_train), len(found.y_validation), len(found.y_test)

    def about(self) -> str:
        train, validation, test = self.counts
        whole = (f"{train} training, {validation} validation and {test} test images of "
                 f"{'x'.join(map(str, self.input_shape))}")  # fmt: skip
        return "\n".join([whole, *self.images.notes])

    def splits(self, device: str) -> Splits:
        return _on_device(self, device)

    def targets(self, labels: Tensor) -> Tensor:
        """What is to be learnt, (N, ...), of the labels (N,)."""
        return labels

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]: ...

    def augmented(
        self, inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images are cropped, mirrored and blanked at random; their targets stay as they are."""
        from evonas.tasks.augmentation import augmented

        return augmented(inputs, recipe, generator), targets

    def augmentation(self) -> dict[str, Any]:
        """Pictures are shifted by an eighth of their smaller side, and mirrored where that leaves what they show. Those
        of a single row or column are rows of numbers, which have places of their own."""
        side = min(self.input_shape[1:])
        return {"crop": round(side / 8), "flip": side > 1 and _mirrors(self)}

    def shown(self, chosen: Sequence[int]) -> np.ndarray:
        """Test pictures, without what is transparent in them; values of no known range from the least to the most."""
        import numpy as np

        found = self.images
        images = found.x_test[list(chosen)].astype(np.float64)
        images = images[:, :1] if found.input_shape[0] < 3 else images[:, :3]
        low, high = (0.0, 255 * found.pixel) if found.pixel else (images.min(), images.max())
        images = ((images - low) / ((high - low) or 1.0)).clip(0, 1).transpose(0, 2, 3, 1)
        return images[..., 0] if images.shape[-1] == 1 else images

    def preprocessing(self) -> dict[str, Any]:
        found = self.images
        whole = found.x.dtype == "uint8"
        return {"mean": found.mean, "std": found.std, "pixel": found.pixel, "whole": whole, "classes": None}


@lru_cache(maxsize=4)
def _mirrors(task: ImageTask) -> bool:
    return mirrors(task.images)


@lru_cache(maxsize=4)
def _on_device(task: ImageTask, device: str) -> Splits:
    """A worker keeps the data between evaluations. On a CPU they are the loaded arrays, or those that all processes of
    a host share."""
    import torch

    from evonas.tasks.splits import Splits

    found = task.images
    if task.fingerprint not in (None, found.fingerprint):
        raise DataDiffer(f"{task.data} on {socket.gethostname()} holds other images than those that the search began "
                         "with; give all hosts the same")  # fmt: skip
    streamed = device == "cuda" and found.nbytes > STREAMED_ABOVE * torch.cuda.get_device_properties(0).total_memory
    whole = _split(task, found.x, found.y, device, streamed)
    if found.weights is not None:
        whole = replace(whole, weights=torch.as_tensor(found.weights, device=device))
    test = _split(task, found.x_test, found.y_test, device, streamed)
    return Splits(whole, whole[: found.training], whole[found.training :], test)


def _split(task: ImageTask, images: np.ndarray, labels: np.ndarray, device: str, streamed: bool) -> Split:
    import torch

    from evonas.tasks.splits import Split

    found = task.images
    mean, std = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (found.mean, found.std))
    x, y = torch.as_tensor(images), task.targets(torch.as_tensor(labels))
    x = x.pin_memory() if streamed else x.to(device)
    return Split(x, y.to(device), task, mean.to(device), std.to(device), streamed)
