"""The median stopping rule (Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", KDD, section
3.2.2)."""

from __future__ import annotations

from statistics import fmean, median

from evonas.errors import UserError
from evonas.fidelity.scheduler import Immediate, Trial


class MedianRule(Immediate):
    """A training stops after epoch t if its best value so far is below the median of the running averages, up to t, of
    those that have come to their end.

    grace   epochs before the first look
    every   epochs between looks
    least   trainings at their end before anything is stopped
    """

    def __init__(self, epochs: int, *, grace: int = 1, every: int = 1, least: int = 5) -> None:
        if grace < 1 or every < 1 or least < 1:
            raise UserError(f"grace is {grace}, every {every} and least {least}; use at least 1 for each")
        super().__init__(epochs, range(grace, epochs, every))
        self.least = least
        self._complete: list[Trial] = []

    def goes_on(self, trial: Trial) -> bool:
        if len(self._complete) < self.least:
            return True
        averages = [fmean(other.values[: trial.epochs]) for other in self._complete]
        return max(trial.values) >= median(averages)

    def heard(self, trial: Trial) -> None:
        if not trial.failed and trial.epochs == self.epochs:
            self._complete.append(trial)
