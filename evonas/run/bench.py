"""What a strategy that trains by itself needs of a run; data are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.evaluation.teacher import Teacher
from evonas.recipe import Recipe
from evonas.run.config import Config
from evonas.run.problem import Problem
from evonas.support.device import memory_of

if TYPE_CHECKING:
    from evonas.tasks.splits import Split, Splits


class RunBench:
    """As `evonas.supernets.training.Bench`, of a run.

    recipe      of the weights; its epochs are those of the search
    memory      bytes that the training may take: all of the device's, since no worker trains meanwhile
    limits      of the networks that are searched for
    objectives  of the search, by name, with their weights
    preference  of the policy that has trained the run's supernet: the probability of each option (as text) of each
                decision; empty where there is none
    device      of the run
    teacher     by which candidates are trained; None: the search recipe has none
    """

    def __init__(
        self,
        problem: Problem,
        config: Config,
        preference: Mapping[str, Mapping[str, float]] | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self._problem, self._config = problem, config
        self.recipe: Recipe = problem.search
        self.seed, self.precision, self.device = config.seed, config.precision, config.device
        self.limits, self.objectives = config.limits, problem.objectives
        self.preference = preference or {}
        self.teacher = teacher if problem.search.distills else None

    @cached_property
    def memory(self) -> int:
        return self._config.memory or memory_of(self._config.device)

    @cached_property
    def _splits(self) -> Splits:
        if self._problem.task is None:
            raise UserError("there are no data to train on; give data=...")
        return self._problem.task.splits(self._config.device)

    @property
    def train(self) -> Split:
        return self._splits.train

    @property
    def validation(self) -> Split:
        return self._splits.validation
