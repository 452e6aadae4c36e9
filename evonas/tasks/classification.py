"""Image classification: one class an image, judged by the accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from evonas.tasks.images import ImageTask
from evonas.tasks.task import Metric

if TYPE_CHECKING:
    import numpy as np
    import torch
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


class OfConfusion(Metric):
    """A metric of the confusion matrix, which grows batch by batch: classes (rows), and what was said (columns)."""

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The cell of the matrix into which each example falls, (B,), counted row by row."""
        return targets * outputs.shape[1] + outputs.argmax(1)

    def add(self, total: Tensor | None, outputs: Tensor, targets: Tensor) -> Tensor:
        size = outputs.shape[1]
        found = self.each(outputs, targets).bincount(minlength=size * size).view(size, size)
        return found if total is None else total + found


class BalancedAccuracy(OfConfusion):
    """The mean, over the classes that occur, of the share of their images that are put into the right class: a class
    counts as much as any other, however few images it has."""

    name = "balanced_accuracy"

    def value(self, total: Tensor, count: int) -> float:
        each = total.sum(1)
        return (total.diagonal()[each > 0] / each[each > 0]).double().mean().item()

    def null(self, targets: Tensor) -> float:
        """One class is right throughout, the others never."""
        return 1 / int((targets.bincount() > 0).sum())


class MacroF1(OfConfusion):
    """The mean, over the classes that occur or were said, of the harmonic mean of precision and recall."""

    name = "macro_f1"

    def value(self, total: Tensor, count: int) -> float:
        both = total.sum(0) + total.sum(1)
        return (2 * total.diagonal()[both > 0] / both[both > 0]).double().mean().item()

    def null(self, targets: Tensor) -> float:
        """Whoever always says the most frequent class has its F1, and 0 for the others."""
        counts = targets.bincount()
        share = int(counts.max()) / len(targets)
        return 2 * share / (1 + share) / int((counts > 0).sum())


@dataclass(frozen=True)
class ImageClassification(ImageTask):
    """A class for each image, by the cross-entropy of logits (B, classes)."""

    name: ClassVar[str] = "image-classification"
    metrics: ClassVar[tuple[Metric, ...]] = (Accuracy(), BalancedAccuracy(), MacroF1())

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (len(self.images.classes),)

    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
        import torch.nn.functional as F

        weight = _class_weights(self, outputs.device) if recipe.class_weights else None
        return F.cross_entropy(outputs, targets, weight, label_smoothing=recipe.label_smoothing)

    def class_counts(self) -> np.ndarray:
        import numpy as np

        found = self.images
        weights = None if found.weights is None else found.weights / found.weights.mean()  # as often as it is drawn
        return np.bincount(found.y, weights, minlength=len(found.classes))

    def predictions(self, outputs: Tensor) -> Tensor:
        """The probability of each class."""
        return outputs.float().softmax(1)

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


@lru_cache(maxsize=4)
def _class_weights(task: ImageClassification, device: torch.device) -> Tensor:
    """Inverse to how often a class occurs; 1 in the mean over the images (King and Zeng 2001, and scikit-learn's
    `balanced`)."""
    import torch

    counts = torch.as_tensor(task.class_counts(), device=device, dtype=torch.float32)
    return counts.sum() / (counts.count_nonzero() * counts.where(counts > 0, 1.0))
