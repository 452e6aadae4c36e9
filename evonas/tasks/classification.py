"""Image classification: one class an image, judged by the accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evonas.tasks.images import ImageTask
from evonas.tasks.task import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from evonas.recipe import Recipe


NAMED = 10  # so many classes are named with their counts


class Accuracy(Metric):
    """The share of images that are put into the right class."""

    name = "accuracy"

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.argmax(1) == targets

    def null(self, targets: Tensor) -> float:
        """The share of the most frequent class."""
        return int(targets.bincount().max()) / len(targets)


@dataclass(frozen=True)
class ImageClassification(ImageTask):
    """A class for each image, by the cross-entropy of logits (B, classes)."""

    name: ClassVar[str] = "image-classification"
    metrics: ClassVar[tuple[Metric, ...]] = (Accuracy(),)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.images.classes),)

    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
        import torch.nn.functional as F

        return F.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)

    def groups(self, targets: Tensor) -> dict[str, Tensor]:
        """The classes."""
        return {name: targets == label for label, name in enumerate(self.images.classes)}

    def about(self) -> str:
        """The images, and how many there are of each class."""
        import numpy as np

        found = self.images
        counts = np.bincount(np.concatenate([found.y, found.y_test]), minlength=len(found.classes))
        order = np.argsort(-counts, kind="stable")
        each = [f"{found.classes[label]} {counts[label]}" for label in order]
        if len(each) > NAMED:
            each = [*each[: NAMED // 2], "...", *each[-NAMED // 2 :]]
        always = f"whoever always says {found.classes[order[0]]} is right in {counts.max() / counts.sum():.1%}"
        return f"{super().about()}\n{len(counts)} classes: {', '.join(each)}; {always}"

    def preprocessing(self) -> dict[str, Any]:
        return super().preprocessing() | {"classes": self.images.classes}
