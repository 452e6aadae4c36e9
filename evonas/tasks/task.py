"""A task: the data, the head in which a network must end, the loss, and the metrics by which it is judged.

What trains or judges networks asks the task; nothing outside of this folder computes a loss or a metric from outputs
and targets, or knows what a target is. A task of one's own is a frozen dataclass with a name: a subclass of `Task`, or
of `ImageTask` (`evonas.tasks.images`) where its inputs are images that evonas can read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from evonas.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from evonas.recipe import Recipe
    from evonas.tasks.splits import Split, Splits


class Metric(ABC):
    """One number that says how good outputs are: by default the mean of `each` over all examples.

    name   as it stands in tables and records, such as "accuracy"
    sign   1 where more is better, -1 where less is

    A metric that is not a mean over examples (intersection over union, average precision) replaces `add` and `value`.
    """

    name: ClassVar[str]
    sign: ClassVar[int] = 1

    @abstractmethod
    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The value of each example of a batch, (B,)."""

    @abstractmethod
    def null(self, targets: Tensor) -> float:
        """What the best answer scores that does not look at its input: who does no better has learnt nothing."""

    def add(self, total: Tensor | None, outputs: Tensor, targets: Tensor) -> Tensor:
        """The running total after one more batch; before the first one it is None."""
        import torch

        each = self.each(outputs, targets)
        found = each.sum(dtype=torch.int64 if each.dtype == torch.bool else torch.float64)
        return found if total is None else total + found

    def value(self, total: Tensor, count: int) -> float:
        """The value over all `count` examples."""
        return total.item() / count

    def better(self, value: float, other: float) -> bool:
        return self.sign * value > self.sign * other

    def best(self, values: Iterable[float]) -> float:
        return max(values, key=lambda value: self.sign * value)


class Task(ABC):
    """What networks learn, as a plain value that travels to workers and stands in a run's config.

    name         of this kind of task
    metrics      all are measured, and one decides: networks are selected by it
    decides      its name; None: the first of them
    fingerprint  of the data, which every worker must have alike; None: whatever it finds

    A task keeps its data on a device once per process; `splits` gives them.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    decides: str | None = None
    fingerprint: str | None

    @property
    def metric(self) -> Metric:
        """The metric that decides."""
        return next((metric for metric in self.metrics if metric.name == self.decides), self.metrics[0])

    def deciding(self, name: str) -> Task:
        """The same task, whose networks are selected by another of its metrics.

        Raises UserError where it has none of this name, or a task of one's own has no field `decides`.
        """
        if name not in (known := [metric.name for metric in self.metrics]):
            raise UserError(f"{self.name} has no metric {name!r}; it has {', '.join(known)}")
        if name == self.metric.name:
            return self
        if "decides" not in {each.name for each in fields(self)}:  # type: ignore[arg-type]
            raise UserError(f"networks of {self.name} are selected by {self.metric.name}; give the class of the task a "
                            "field `decides: str | None = None`, or put another metric first")  # fmt: skip
        return replace(self, decides=name)  # type: ignore[type-var]

    @property
    @abstractmethod
    def data(self) -> str:
        """The name of the data."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the batch."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what a network gives for one input."""

    @abstractmethod
    def identified(self) -> Task:
        """The same task with the fingerprint of its data. Raises UserError where they cannot be had."""

    @abstractmethod
    def splits(self, device: str) -> Splits:
        """The splits of the data on a device. Raises DataDiffer where this host has other data than the fingerprint
        says."""

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int, int]:
        """Examples for training, validation and test."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
        """What a training minimises, for a batch of outputs in float32."""

    def augmented(
        self, inputs: Tensor, targets: Tensor, recipe: Recipe, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """A batch as it is trained on, inputs and targets changed together."""
        return inputs, targets

    def augmentation(self) -> dict[str, Any]:
        """Fields of a recipe that suit these data, such as crop and flip, for recipes that leave them to the data."""
        return {}

    def class_counts(self) -> np.ndarray | None:
        """How many examples there are of each class, by its number in the targets (N,); None: there are no classes, and
        a recipe can neither weight nor balance them."""
        return None

    def predictions(self, outputs: Tensor) -> Tensor | None:
        """What is kept of a batch of outputs on the test split, (B, ...) as float32, so that it can be said what a
        network is worth beyond its metrics: of a task with classes, the probability of each (B, classes). None:
        nothing."""
        return None

    def shown(self, chosen: Sequence[int]) -> np.ndarray | None:
        """Some examples of the test split as pictures, (N, H, W) or (N, H, W, 3) from 0 to 1; None: they are none."""
        return None

    def preprocessing(self) -> dict[str, Any]:
        """What goes with a trained network: how an input becomes what the network takes, and what its outputs mean
        (`classes`: their names; None: plain numbers)."""
        return {"mean": None, "std": None, "pixel": None, "whole": False, "classes": None}

    def about(self) -> str:
        """The data in a few words."""
        train, validation, test = self.counts
        return f"{train} training, {validation} validation and {test} test examples"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values, from which the class makes an equal task."""
        return asdict(self)  # type: ignore[call-overload]


class DataDiffer(RuntimeError):
    """A host holds other data than those that a run began with."""


def measure(outputs: Iterable[tuple[Tensor, Tensor]], split: Split) -> dict[str, float]:
    """Every metric over batches of (outputs, targets) that go once through a split."""
    metrics = split.task.metrics
    totals: list[Tensor | None] = [None] * len(metrics)
    for found, targets in outputs:
        totals = [metric.add(total, found, targets) for metric, total in zip(metrics, totals, strict=True)]
    return {
        metric.name: metric.value(total, len(split))
        for metric, total in zip(metrics, totals, strict=True)
        if total is not None
    }
