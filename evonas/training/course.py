"""The course of a training by a recipe, with its restarts and its curve: it may stop after any epoch, and go on."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from evonas.recipe import Recipe
from evonas.support.stopwatch import UNWATCHED, Unwatched
from evonas.tasks.splits import Split
from evonas.training.distillation import Guide
from evonas.training.train import Training, TrainingFailed, evaluate

RESTARTED = 0.4  # times the learning rate (Baker et al. 2017; Zhong et al. 2018)


def train(
    network: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    **settings: Any,
) -> list[dict[str, float]]:
    """Train in place, to the end; every metric of the task on the validation split after each epoch.

    settings   as of `Course`

    Raises TrainingFailed as `Training.epoch` does.
    """
    course = Course(network, split, recipe, **settings)
    course.go(recipe.epochs, deadline=deadline, clock=clock)
    return course.curve


class Course:
    """A training in place. A restart, of the recipe's `restarts`, follows a first epoch that has learnt nothing or
    whose loss was not finite.

    validation  after each epoch the network is judged on it; None: it never is, and then there is no restart either
    epochs      that have been trained, since the last restart
    curve       every metric of the task on the validation split after each epoch, those before a restart included
    losses      mean training losses of the same epochs

    `state` is what a training goes on from: it then equals one that never stopped, on a CPU to the bit.
    """

    def __init__(
        self,
        network: nn.Module,
        split: Split,
        recipe: Recipe,
        *,
        seed: int,
        validation: Split | None = None,
        precision: str = "float32",
        splits: int = 1,
        teacher: Guide | None = None,
        watch: Unwatched = UNWATCHED,
    ) -> None:
        self.network, self.split, self.recipe, self.validation = network, split, recipe, validation
        self.settings: dict[str, Any] = {"seed": seed, "precision": precision, "splits": splits, "teacher": teacher,
                                         "watch": watch}  # fmt: skip
        self.precision, self.watch = precision, watch
        self.restarts = recipe.restarts if validation is not None else 0
        self.begun = copy.deepcopy(network.state_dict()) if self.restarts else {}
        self.training = Training(network, split, recipe, **self.settings)
        self.curve: list[dict[str, float]] = []
        self.losses: list[float] = []

    @property
    def epochs(self) -> int:
        return self.training.epochs

    def go(self, epochs: int, *, deadline: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Train until so many epochs have been trained; after the recipe's last one the network has the weights that
        are judged. Raises TrainingFailed as `Training.epoch` does."""
        while self.training.epochs < epochs:
            learnt = self._epoch(deadline, clock)
            if self.restarts and not learnt:
                self.restarts -= 1
                self.network.load_state_dict(self.begun)
                self._with_rate(self.recipe.learning_rate * RESTARTED)
        if self.training.epochs == self.recipe.epochs and self.training.judged is not self.network:
            self.network.load_state_dict(self.training.judged.state_dict())

    def _epoch(self, deadline: float | None, clock: Callable[[], float]) -> bool:
        """Whether the network has learnt anything, where it is not too late to begin again."""
        first = self.training.epochs == 0
        try:
            loss = self.training.epoch(deadline=deadline, clock=clock)
        except TrainingFailed as failure:
            if failure.kind != "nan" or not first or not self.restarts:
                raise
            return False
        if self.validation is None:
            return True
        self.watch.begin("evaluation")
        metric = self.validation.task.metric
        self.curve.append(evaluate(self.training.judged, self.validation, precision=self.precision))
        self.losses.append(loss)
        return not first or metric.better(self.curve[-1][metric.name], self.validation.null)

    def _with_rate(self, learning_rate: float) -> None:
        self.recipe = replace(self.recipe, learning_rate=learning_rate)
        self.training = Training(self.network, self.split, self.recipe, **self.settings)

    def state(self) -> dict[str, Any]:
        """After at least one epoch: then there are no restarts any more."""
        return {
            "training": self.training.state(),
            "learning_rate": self.recipe.learning_rate,
            "curve": self.curve,
            "losses": self.losses,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.restarts = 0
        if state["learning_rate"] != self.recipe.learning_rate:
            self._with_rate(state["learning_rate"])
        self.training.load_state(state["training"])
        self.curve, self.losses = state["curve"], state["losses"]
