"""Into what the time of a run goes, where it has a limit: all of it, from the first proposal to the last picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evonas.support.text import duration

CLOSING_S, CLOSING_SHARE = 5.0, 0.1  # of pictures and report: so long, and no more than this share of the whole
FINAL_SHARE = (
    0.5  # of the rest, at most, for final trainings; what they do not need is the search's and random search's
)


@dataclass(frozen=True)
class Shares:
    """Seconds for each part of a run, one after the other; they add up to the whole.

    search     until no more is asked that would probably end later
    baseline   random search and the reference; 0: none
    final      the final trainings of all that the table compares; 0: nothing is trained in the end
    closing    pictures and report
    """

    search: float
    baseline: float
    final: float
    closing: float

    @classmethod
    def of(cls, seconds: float, *, baseline: bool, final: float) -> Shares:
        """`final`: seconds that usual final trainings would take."""
        closing = min(CLOSING_S, CLOSING_SHARE * seconds)
        trainings = min(final, FINAL_SHARE * (seconds - closing))
        search = (seconds - closing - trainings) / (1 + baseline)  # random search makes as many evaluations
        return cls(search, search * baseline, trainings, closing)

    @classmethod
    def needed(cls, evaluation: float, *, baseline: bool, final: bool) -> float:
        """The least whole of which the search's share is enough for one evaluation of so many seconds, however long
        final trainings take."""
        return evaluation * (1 + baseline) / (1 - FINAL_SHARE * final) + CLOSING_S

    def __str__(self) -> str:
        parts = {"search": self.search, "random search": self.baseline, "final trainings": self.final}
        named = [f"{duration(seconds)} {name}" for name, seconds in parts.items() if seconds]
        return ", ".join([*named, f"{duration(self.closing)} pictures"])


def makespan(seconds: Sequence[float], workers: int) -> float:
    """About how long trainings of so many seconds take on so many workers, in pieces (`evonas.fidelity.pieces`): no
    shorter than the longest of them, and as long as all workers need together."""
    return max(max(seconds, default=0.0), sum(seconds) / workers)
