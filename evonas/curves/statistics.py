"""Cheap statistics of a learning curve: the last value, the best so far, the sum of training losses.

Training speed is the negated sum of the training losses, SoTL, or that over the last E epochs, SoTL-E (Ru, Lyle,
Schut, Fil, van der Wilk and Gal 2020, arXiv:2006.04492). Each statistic is a score that ranks trainings, with no other
training known, and a curve model. All regression models should be held against the last value, which on many sets of
curves ranks better than they do.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np

from evonas.curves.model import Curve, CurveModel, Forecast, complete, known_end
from evonas.errors import UserError


class Statistic(CurveModel):
    """What a statistic says of a curve."""

    known: tuple[Curve, ...] = ()
    epochs: int = 0

    @abstractmethod
    def score(self, curve: Curve) -> float:
        """The higher, the better the training is expected to end; nan: the curve has not what it takes."""

    @abstractmethod
    def copy(self) -> Self:
        """An unfitted copy."""

    @abstractmethod
    def calibrated(self, score: float, scores: np.ndarray, ends: np.ndarray) -> Forecast | None:
        """The forecast of a score, by the scores of complete curves after as many epochs, and by their ends."""

    def fit(self, curves: Sequence[Curve], epochs: int) -> Self:
        fitted = self.copy()
        fitted.known, fitted.epochs = complete(curves, epochs), epochs
        return fitted

    def predict(self, curve: Curve) -> Forecast | None:
        if (end := known_end(curve, self.epochs)) is not None:
            return end
        score = self.score(curve)
        if not math.isfinite(score) or len(self.known) < self.least:
            return None
        scores = np.array([self.score(each.seen(len(curve.values))) for each in self.known])
        told = np.isfinite(scores)
        ends = np.array([each.values[-1] for each in self.known])
        return self.calibrated(score, scores[told], ends[told])


class Level(Statistic):
    """A statistic that is a value of the metric itself, and is taken for the value at the end as it stands.

    least_for_std   complete curves below which its std is not known

    Its std is the root of the mean squared difference between it and the end, of complete curves after as many epochs.
    Since nothing is fitted, each of these differences is a leave-one-out residual. It is no bias that is taken off: of
    curves that rise, the statistic lies below the end, and the std holds that, too.
    """

    def __init__(self, *, least_for_std: int = 10) -> None:
        if least_for_std < 1:
            raise UserError(f"least_for_std is {least_for_std}; use at least 1")
        self.least_for_std = least_for_std

    def copy(self) -> Self:
        return type(self)(least_for_std=self.least_for_std)

    def calibrated(self, score: float, scores: np.ndarray, ends: np.ndarray) -> Forecast:
        enough = len(ends) >= self.least_for_std
        return Forecast(score, float(np.sqrt(np.mean((ends - scores) ** 2))) if enough else math.nan)


class LastValue(Level):
    """The end is the last value: to rank by it is successive halving."""

    def score(self, curve: Curve) -> float:
        return curve.values[-1] if curve.values else math.nan


class BestSoFar(Level):
    """The end is the best value so far."""

    def score(self, curve: Curve) -> float:
        return max(curve.values, default=math.nan)


class TrainingSpeed(Statistic):
    """Minus the sum of the training losses, SoTL, or of the last of them, SoTL-E.

    last    E: over the last so many epochs; 0: all
    least   complete curves below which it abstains, though it scores

    The score is no value of the metric. A forecast is the least-squares line of the ends on the scores of complete
    curves after as many epochs, and its std that of the line's leave-one-out residuals. Where the line does not rise,
    the statistic tells nothing of these trainings, and it abstains.
    """

    def __init__(self, *, last: int = 0, least: int = 10) -> None:
        if last < 0:
            raise UserError(f"last is {last}; give a number of epochs, or 0 for all")
        if least < 4:
            raise UserError(f"least is {least}; a line with leave-one-out residuals needs at least 4 curves")
        self.last, self.least = last, least

    def copy(self) -> Self:
        return type(self)(last=self.last, least=self.least)

    def score(self, curve: Curve) -> float:
        losses = curve.losses[: len(curve.values)]
        if not losses or len(losses) < len(curve.values):
            return math.nan
        return -math.fsum(losses[-self.last :])  # -0 is 0: all of them

    def calibrated(self, score: float, scores: np.ndarray, ends: np.ndarray) -> Forecast | None:
        if len(ends) < self.least or np.ptp(scores) == 0:
            return None
        centred = scores - scores.mean()
        slope = float(centred @ ends / (centred @ centred))
        if slope <= 0:
            return None
        residuals = ends - ends.mean() - slope * centred
        leverage = 1 / len(ends) + centred**2 / (centred @ centred)
        left_out = residuals / np.maximum(1 - leverage, 1e-9)  # the residual at a curve, of the line without it
        mean = float(ends.mean() + slope * (score - scores.mean()))
        return Forecast(mean, float(np.sqrt(np.mean(left_out**2))))
