"""Checkpoints of trainings that may go on, in files that are named by the checksum of their content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from evonas.evaluation.outcome import Outcome
from evonas.evaluation.store import WeightsLost, WeightStore


class Checkpoints:
    """Kept as long as a training may go on; where the store's limit is reached, those of the trainings that came least
    far, and of these the worst, go first. A training whose checkpoint is lost or damaged begins anew, which gives the
    same, and a warning.

    store   None: nothing is kept, as where there is nothing to go on from (a stored curve)
    """

    def __init__(self, store: WeightStore | None = None) -> None:
        self.store = store
        self._worth: dict[str, tuple[int, float]] = {}  # by name: epochs and value
        self._wanted: dict[str, set[str | None]] = {}  # by phase

    def keep(self, outcome: Outcome, value: float) -> Outcome:
        """The outcome as it is written down: with the name of its checkpoint in place of it."""
        if outcome.state is None or self.store is None:
            return replace(outcome, state=None) if outcome.state else outcome
        worth = (outcome.reached, value)
        while self.store.limit is not None and self.store.total + len(outcome.state) > self.store.limit:
            least = min(self._worth, key=lambda name: (self._worth[name], name), default=None)
            if least is None or self._worth[least] > worth:
                return replace(outcome, state=None)
            self._drop(least)
        name = self.store.put(outcome.state)
        self._worth[name] = worth
        return replace(outcome, state=None, checkpoint=name)

    def hear(self, outcome: Outcome, value: float) -> None:
        """Called with an outcome that is replayed."""
        if outcome.checkpoint is not None and self.store is not None and outcome.checkpoint in self.store.sizes:
            self._worth[outcome.checkpoint] = (outcome.reached, value)

    def state(self, outcome: Outcome) -> tuple[bytes | None, str | None]:
        """What its training goes on from, and a warning where that is lost, so that it begins anew."""
        if self.store is None:
            return None, None
        if outcome.checkpoint is None:
            return None, "its checkpoint was not kept, since the disk's share was used up, so it was trained anew"
        try:
            return self.store.get(outcome.checkpoint), None
        except WeightsLost as lost:
            return None, f"its checkpoint is lost, so it was trained anew: {lost}"

    def keep_only(self, names: Iterable[str | None], phase: str) -> None:
        """Delete what no phase wants any more; these are all that one of them wants."""
        self._wanted[phase] = set(names)
        if self.store is not None:
            for name in set(self.store.sizes).difference(*self._wanted.values()):
                self._drop(name)

    def _drop(self, name: str) -> None:
        assert self.store is not None, "a name is of a store"
        self._worth.pop(name, None)
        if name in self.store.sizes:
            self.store.drop(name)
