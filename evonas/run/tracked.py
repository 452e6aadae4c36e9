"""A run with trackers: they hear what its observer hears, and none of them can end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from evonas.run.budget import Budget
from evonas.run.journal import Event, Journal
from evonas.run.observer import Observer
from evonas.run.store import Run
from evonas.support.text import reason
from evonas.tracking.tracker import RunFacts, Tracker


class Tracked:
    """An observer that tells trackers of the events too. A tracker that raises is told of nothing more, of which the
    observer is warned."""

    def __init__(self, observer: Observer, trackers: Sequence[tuple[str, Tracker]], run: Run, journal: Journal) -> None:
        self.observer, self.trackers = observer, list(trackers)
        if self.trackers:
            facts = RunFacts(
                directory=run.directory,
                objectives=run.config.objectives,
                config=run.config.to_json(),
                space=run.space,
                began=time.time() - journal.seconds,
            )
            self._tell(lambda tracker: tracker.begin(facts))

    def phase(self, name: str, budget: Budget, already: int) -> None:
        self.observer.phase(name, budget, already)

    def event(self, event: Event, replayed: bool) -> None:
        self.observer.event(event, replayed)
        if self.trackers:
            self._tell(lambda tracker: tracker.heard(deepcopy(event), replayed))

    def note(self, message: str) -> None:
        self.observer.note(message)

    def warn(self, message: str) -> None:
        self.observer.warn(message)

    def ended(self, summary: Mapping[str, Any] | None) -> None:
        self._tell(lambda tracker: tracker.ended(summary))

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers):
            try:
                call(tracker)
            except Exception as error:  # a user's tracker, or a library behind one, may raise anything
                self.trackers.remove((name, tracker))
                self.observer.warn(f"the tracker {name} stops, and the search goes on without it: {reason(error)}; "
                                   "what it has missed it hears when the run is resumed")  # fmt: skip
