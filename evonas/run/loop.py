"""One loop for every strategy: a worker that becomes idle gets the next candidate; what ends is told at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any

from evonas.errors import UserError
from evonas.evaluation import Outcome
from evonas.run.budget import Budget
from evonas.run.course import Course
from evonas.run.journal import Event, Journal, JournalError, Unwritten
from evonas.run.phase import Phase
from evonas.run.replaying import replay
from evonas.support.stopwatch import UNWATCHED, Unwatched

LOOP_EVENTS = ("asked", "continued", "told", "closed", "ended", "finished")


class Loop:
    """Drives strategies over one journal, one phase after the other. Where a phase has a scheduler of trainings, an
    individual is asked for once and may be told of several times, as its training goes on.

    journal     what it holds already is replayed first: the strategy proposes again what was asked and is told again
                what was told; what was in flight is submitted again
    executor    a concurrent.futures executor
    workers     evaluations in flight at a time
    on_event    called with each event of the journal, replayed ones included (then `replayed` is True); without it, an
                unwritten journal's events are not even made
    watch       is told of the sections strategy, identity, hand out, waiting, journal and other
    wait        concurrent.futures.wait, or that of a simulation, whose time does not pass by itself
    """

    def __init__(
        self,
        journal: Journal | Unwritten,
        executor: Executor,
        workers: int,
        *,
        on_event: Callable[[Event, bool], None] | None = None,
        watch: Unwatched = UNWATCHED,
        wait: Callable[..., Any] = wait,
    ) -> None:
        if workers < 1:
            raise UserError(f"workers is {workers}; use at least 1")
        self.journal, self.executor, self.workers = journal, executor, workers
        self.watch, self.wait = watch, wait
        self.on_event = on_event or (lambda event, replayed: None)
        self.is_told = on_event is not None or isinstance(journal, Journal)  # whether anybody learns of events
        self.past = iter([(line, event) for line, event in journal.events if event["event"] in LOOP_EVENTS])
        self.at = 0.0  # run time of the last event, replayed ones included
        self.next_id = 0
        self.known: dict[str, Outcome] = {}  # by key: results that can be used again
        self.replicates: dict[str, int] = {}  # identity -> trainings asked for

    def run(self, phase: Phase, budget: Budget) -> Phase:
        """Ask and tell until the budget is spent or the strategy has no more to propose."""
        course = Course(self, phase, budget)
        if not replay(course):
            course.go()
        return phase

    def finish(self) -> None:
        """Write down that all phases are done, unless the journal says so already."""
        line, event = next(self.past, (0, None))
        if event is None:
            event = self.journal.append({"event": "finished", "id": "run"})
        elif event["event"] != "finished":
            raise JournalError(f"{self.journal.path}, line {line}: it goes on after the end of the run; resume "
                               "with the settings and the evonas that began the run")  # fmt: skip
        self.at = event["t"]
