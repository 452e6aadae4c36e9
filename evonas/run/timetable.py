"""The timetable of a run with a limit of time: what each of its parts has, and how many epochs fit into that. The
journal says how many were planned, so that they are as many where the run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from evonas.graph import Graph
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.run.config import Config
from evonas.run.journal import Journal
from evonas.run.probe import (
    SUPERNET_SHARE,
    final_epoch_seconds,
    final_seconds,
    supernet_epoch_seconds,
    teacher_epoch_seconds,
)
from evonas.run.problem import Problem
from evonas.run.shares import Shares
from evonas.support.text import duration

if TYPE_CHECKING:
    from evonas.supernets.trainer import SupernetTrainer

SHORTEST = 1e-3  # seconds of an epoch


@dataclass(frozen=True)
class Time:
    """What the parts of a run have of its budget; `end`: the run time at which final trainings are to be done, None
    where there is no limit."""

    search: Budget
    baseline: Budget
    end: float | None


class Timetable:
    """How the time of a run is divided.

    note   is told of it, in words
    """

    def __init__(self, problem: Problem, config: Config, journal: Journal, note: Callable[[str], None]) -> None:
        self.problem, self.config, self.journal, self.note = problem, config, journal, note
        planned = [event for _, event in journal.events if event["event"] == "planned"]
        self.planned = {
            what: iter([event["epochs"] for event in planned if event["id"] == what])
            for what in ("supernet", "teacher", "final")
        }

    def of(self, budget: Budget, begun: float) -> Time:
        """What of a budget each part of the run has, from this second of run time on."""
        if budget.seconds is None:
            return Time(budget, Budget(), None)
        parts = self.shares(budget.seconds - begun)
        self.note(f"{duration(budget.seconds - begun)}: {parts}")
        searched = begun + parts.search
        return Time(
            replace(budget, seconds=searched),
            Budget(seconds=searched + parts.baseline) if parts.baseline else Budget(),
            budget.seconds - parts.closing,
        )

    def shares(self, seconds: float) -> Shares:
        """How so many seconds are divided."""
        searched = self.config.baseline and self.problem.system.baseline is not None
        return Shares.of(seconds, baseline=searched, final=self._usual_final_s)

    @property
    def warming_s(self) -> float | None:
        """What a warm start may take: half of the search's time."""
        first = self.config.budgets[0].seconds
        return None if first is None or self.config.warm_start is None else self.shares(first).search / 2

    def supernet_epochs(self, trainer: SupernetTrainer) -> int:
        """For which there is time: a supernet has half of the search's."""
        usual, seconds = trainer.epochs, self.config.budgets[0].seconds
        if seconds is None:
            return usual
        epochs = next(self.planned["supernet"], None)
        if epochs is None:
            left = SUPERNET_SHARE * self.shares(seconds).search - self.journal.seconds
            epochs = self._fitting(left, supernet_epoch_seconds(trainer, self.problem, self.config), usual)
            self.journal.append({"event": "planned", "id": "supernet", "epochs": epochs})
        if epochs != usual:
            self.note(f"there is time to train the supernet for {epochs} epochs, where {usual} are usual")
        return epochs

    def teacher_epochs(self, graph: Graph) -> int:
        """For which there is time: a teacher has half of the search's."""
        usual, seconds = self.problem.final.epochs, self.config.budgets[0].seconds
        if seconds is None:
            return usual
        epochs = next(self.planned["teacher"], None)
        if epochs is None:
            left = SUPERNET_SHARE * self.shares(seconds).search - self.journal.seconds
            epochs = self._fitting(left, teacher_epoch_seconds(graph, self.problem, self.config), usual)
            self.journal.append({"event": "planned", "id": "teacher", "epochs": epochs})
        if epochs != usual:
            self.note(f"there is time to train the teacher for {epochs} epochs, where {usual} are usual")
        return epochs

    def final_recipe(self, graphs: Sequence[Graph], before: Sequence[Graph], end: float | None) -> Recipe:
        """The final recipe, for as many epochs as there is time for until `end`, of run time; None: there is no limit.

        graphs   that are trained in the end
        before   finalists that are trained before them, by the same recipe
        """
        whole = self.problem.final
        if end is None:
            return whole.lasting(whole.epochs)
        epochs = next(self.planned["final"], None)
        if epochs is None:
            epoch = sum(final_epoch_seconds(some, self.problem, self.config) for some in (graphs, before) if some)
            epochs = self._fitting(end - self.journal.seconds, epoch, whole.most_epochs)
            self.journal.append({"event": "planned", "id": "final", "epochs": epochs})
        if epochs != whole.epochs:
            self.note(f"there is time for final trainings of {epochs} epochs, where {whole.epochs} are usual")
        return whole.lasting(epochs)

    @staticmethod
    def _fitting(left: float, epoch: float, most: int) -> int:
        """Epochs that fit into the seconds that are left: one at least."""
        return max(1, min(most, int(max(left, 0.0) / max(epoch, SHORTEST))))

    @cached_property
    def _usual_final_s(self) -> float:
        return final_seconds(self.problem, self.config)
