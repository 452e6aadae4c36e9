"""The trainings of a phase under a scheduler, which stop before their end or go on: what the loop asks about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from evonas.evaluation import Outcome
from evonas.evaluation.checkpoints import Checkpoints
from evonas.fidelity.scheduler import Scheduler, Trial
from evonas.individual import Individual


@dataclass
class Trainings:
    """The scheduler's trials beside the individuals whose trainings they are.

    scheduler    None: every training is made in one piece, and its individual is told of as soon as it ends
    checkpoints  of trainings that may go on
    features     names of measures that are known of a network before it is trained
    whole        roles that are trained in one piece whatever the scheduler says
    sign         of the metric: -1 where less is better
    until        by id: the epochs of its schedule that a training was handed out for
    """

    scheduler: Scheduler | None = None
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    features: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset({"reference"})
    sign: int = 1
    until: dict[int, int] = field(default_factory=dict)
    trials: dict[int, tuple[Individual, Trial]] = field(default_factory=dict)  # by id

    def begin(self, individual: Individual, id: int) -> int | None:
        """The epochs that a training has at first; None: nobody decides about it."""
        if self.scheduler is None or individual.role in self.whole:
            return None
        self.trials[id] = individual, Trial(id)
        self.until[id] = self.scheduler.begin(id)
        return self.until[id]

    def next(self) -> tuple[Individual, int] | None:
        """Whose training goes on now, and to how many epochs."""
        found = None if self.scheduler is None else self.scheduler.next()
        if found is None:
            return None
        id, self.until[id] = found[0], found[1]
        return self.trials[id][0], found[1]

    def report(self, individual: Individual, id: int, outcome: Outcome) -> tuple[Outcome, list[Individual]]:
        """The outcome as it counts, and those of whom the strategy is told now."""
        if self.scheduler is None or id not in self.trials:
            return outcome, [individual]
        self.trials[id] = individual, self._trial(id, outcome)
        stopped = self.scheduler.report(self.trials[id][1])
        if id in stopped and outcome.status == "partial":
            predicted = self.scheduler.judged(self.trials[id][1])
            if predicted is not None:
                values = (self.sign * predicted, *outcome.values[1:])
                outcome = replace(outcome, values=values, status="predicted")
        return outcome, [self.trials[each][0] for each in stopped]

    def _trial(self, id: int, outcome: Outcome) -> Trial:
        if outcome.failed:
            return replace(self.trials[id][1], failed=True)
        since = -outcome.reached  # what was before a restart does not count
        values = tuple(self.sign * value for value in outcome.curve[since:])
        features = {name: outcome.measures[name] for name in self.features if name in outcome.measures}
        return Trial(id, outcome.reached, values, outcome.losses[since:], features, outcome.forecast)

    def close(self) -> list[Individual] | None:
        """Those that have waited for others and stop, since none come; None: nothing waited."""
        stopped = None if self.scheduler is None else self.scheduler.close()
        return None if stopped is None else [self.trials[each][0] for each in stopped]

    def fidelity(self, outcome: Outcome) -> float:
        """To which share of a full training an outcome belongs."""
        return 1.0 if self.scheduler is None or not outcome.reached else outcome.reached / self.scheduler.epochs

    def tidy(self, outcomes: Mapping[int, Outcome], phase: str) -> None:
        """Delete the checkpoints of trainings that never go on."""
        if self.scheduler is not None:
            open: Iterable[int] = self.scheduler.open
            self.checkpoints.keep_only([outcomes[id].checkpoint for id in open if id in outcomes], phase)
