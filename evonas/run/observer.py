"""What a session tells of itself as it goes on."""

from __future__ import annotations

from typing import Protocol

from evonas.run.budget import Budget
from evonas.run.journal import Event


class Observer(Protocol):
    """What wants to know how a run goes on."""

    def phase(self, name: str, budget: Budget, already: int) -> None: ...

    def event(self, event: Event, replayed: bool) -> None: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...
