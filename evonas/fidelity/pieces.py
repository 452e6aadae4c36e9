"""Trainings in pieces, all of which come to their end: three of them keep two workers busy for one and a half times as
long as one takes, where whole ones would take two."""

from __future__ import annotations

from evonas.fidelity.scheduler import Scheduler, Trial

PIECES = 8  # of a training: each costs a checkpoint, and a network that is built


class Pieces(Scheduler):
    """`count` trainings, of which, once all have begun, the one goes on first that has come least far (McNaughton 1959,
    "Scheduling with Deadlines and Loss Functions": with interruptions, no worker need be idle before the end, where no
    training is longer than its share).
    """

    def __init__(self, epochs: int, count: int) -> None:
        super().__init__(epochs)
        self.piece, self.missing = -(-epochs // PIECES), count
        self._waiting: dict[int, int] = {}  # id -> epochs that it has had
        self._on_their_way: set[int] = set()

    def begin(self, id: int) -> int:
        self._on_their_way.add(id)
        self.missing -= 1
        return min(self.piece, self.epochs)

    def report(self, trial: Trial) -> list[int]:
        self._on_their_way.discard(trial.id)
        if trial.failed or trial.epochs == self.epochs:
            return [trial.id]
        self._waiting[trial.id] = trial.epochs
        return []

    def next(self) -> tuple[int, int] | None:
        if self.missing > 0 or not self._waiting:
            return None
        id = min(self._waiting, key=lambda each: (self._waiting[each], each))
        epochs = min(self._waiting.pop(id) + self.piece, self.epochs)
        self._on_their_way.add(id)
        return id, epochs

    def close(self) -> list[int] | None:
        """Fewer have begun than there were to be, as where two networks are the same."""
        if self.missing <= 0 or not self._waiting:
            return None
        self.missing = 0
        return []

    @property
    def open(self) -> set[int]:
        return self._on_their_way | set(self._waiting)
