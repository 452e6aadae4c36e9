"""A scheduler decides after how many epochs a training is looked at, and whether it goes on. It does not import torch.

A training has a fidelity: the epochs of its full schedule that it has had. It is trained to a rung, is looked at there,
and goes on from its checkpoint, so that a higher rung costs only what lies between.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evonas.errors import UserError


@dataclass(frozen=True)
class Trial:
    """A training as its scheduler knows it.

    id        of the individual
    epochs    that it has been trained for, and
    values    the metric on the validation split after each of them, so signed that higher is better
    losses    mean training losses of the same epochs; (): not known
    features  of the network, by name
    forecast  of the value at the end: mean, standard deviation, and the probability that it is above the best one that
              was known when the training was handed out; None: there is none
    failed    it can never go on
    """

    id: int
    epochs: int = 0
    values: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    features: Mapping[str, float] = field(default_factory=dict)
    forecast: tuple[float, float, float] | None = None
    failed: bool = False

    @property
    def value(self) -> float:
        """The last value. Only those of equal epochs may be compared."""
        return self.values[-1]


class Scheduler(ABC):
    """What the loop of a search asks, always in the order of its journal, so that a run that is resumed hears the same:

    begin(id)      a new training: the epochs that it has at first
    report(trial)  it has come there: the ids of those that now count as stopped, itself included where it does; a
                   strategy is told of them. Others wait for a decision, or go on.
    next()         the training that goes on next, before any new one begins, and to how many epochs; None: none does
    close()        nothing new comes, and nothing is being trained: what waits for others is decided as it is; the ids
                   that now count as stopped, or None where nothing waits
    open           ids of those that may still go on, or are on their way: their checkpoints are kept
    wrapped(job, id)  what a worker is handed: a rule that needs more than the curves has it worked out there, from what
                   was known when the training was asked for, or went on

    epochs            of the full schedule
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    @abstractmethod
    def begin(self, id: int) -> int: ...

    @abstractmethod
    def report(self, trial: Trial) -> list[int]: ...

    @abstractmethod
    def next(self) -> tuple[int, int] | None: ...

    def close(self) -> list[int] | None:
        return None

    def wrapped(self, job: Any, id: int) -> Any:
        return job

    def judged(self, trial: Trial) -> float | None:
        """The value that a training which it has stopped is to have as its fitness, predicted; None: its last one."""
        return None

    @property
    @abstractmethod
    def open(self) -> set[int]: ...


class Whole(Scheduler):
    """Every training in one piece."""

    def begin(self, id: int) -> int:
        return self.epochs

    def report(self, trial: Trial) -> list[int]:
        return [trial.id]

    def next(self) -> None:
        return None

    @property
    def open(self) -> set[int]:
        return set()


class Immediate(Scheduler):
    """The base of schedulers that decide about a training as soon as it is looked at, for good: it stops, or goes on.

    looks   epochs after which a training is looked at, in ascending order
    """

    def __init__(self, epochs: int, looks: Iterable[int]) -> None:
        super().__init__(epochs)
        self.looks = [each for each in looks if each < epochs]
        self._next: list[tuple[int, int]] = []
        self._open: set[int] = set()  # those that wait to go on, or are on their way

    @abstractmethod
    def goes_on(self, trial: Trial) -> bool:
        """Whether a training, which has not come to its end, goes on to the next look. It sees those that were reported
        before it."""

    def heard(self, trial: Trial) -> None:
        """Called with every report, after the decision."""

    def begin(self, id: int) -> int:
        return self._after(0)

    def report(self, trial: Trial) -> list[int]:
        goes_on = not trial.failed and trial.epochs < self.epochs and self.goes_on(trial)
        self.heard(trial)
        if not goes_on:
            self._open.discard(trial.id)
            return [trial.id]
        self._open.add(trial.id)
        self._next.append((trial.id, self._after(trial.epochs)))
        return []

    def next(self) -> tuple[int, int] | None:
        return self._next.pop(0) if self._next else None

    @property
    def open(self) -> set[int]:
        return self._open

    def _after(self, epochs: int) -> int:
        return next((each for each in self.looks if each > epochs), self.epochs)


def rungs(least: int, eta: float, epochs: int) -> list[int]:
    """Budgets least, least eta, least eta^2, ... below the full one, and that: rung k has at least eta times the epochs
    of the one before it, the last one excepted. Raises UserError for what cannot be."""
    if not eta > 1:
        raise UserError(f"eta is {eta:g}; use a number above 1, such as 3")
    if not 1 <= least <= epochs:
        raise UserError(
            f"least is {least}: so many epochs a training has before it may be stopped, and a whole one has {epochs} "
            f"epochs; use from 1 to {epochs}, train for longer (--set epochs=...), or stop none (--fidelity none)"
        )
    return [*_powers(least, eta, epochs), epochs]


def _powers(least: int, eta: float, epochs: int) -> Iterator[int]:
    exact, budget = float(least), least
    while budget < epochs:
        yield budget
        exact *= eta
        budget = max(round(exact), budget + 1)
