"""What keeps what a journal does not, such as weights."""

from __future__ import annotations

from evonas.evaluation.candidate import Candidate, Origin
from evonas.evaluation.outcome import Outcome
from evonas.individual import Individual


class Keeper:
    """Sees every candidate before it is evaluated, and every outcome before it is written down. This one keeps
    nothing."""

    def begin(self, individual: Individual, candidate: Candidate) -> None:
        """Called once it is settled that a candidate will be evaluated, before it has an identity: says with which
        weights it begins."""

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        """Called before an outcome is written down; returns what is."""
        return outcome

    def hear(self, individual: Individual, outcome: Outcome) -> None:
        """Called with each outcome, those that are replayed included, before the strategy learns of it."""

    def left(self, id: int) -> Origin | None:
        """The weights that the search has left an individual with; None: nobody keeps them."""
        return None

    def holds(self, outcome: Outcome) -> bool:
        """Whether an outcome can be used again."""
        return True
