"""Curve models: from the first epochs of trainings to the value at their end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from evonas.errors import UserError


@dataclass(frozen=True)
class Curve:
    """What is known of a training.

    values    the metric on the validation split after epochs 1, 2, ..., higher being better
    losses    mean training losses of the same epochs; (): not known
    features  of the network and its training (parameters, layers, learning rate), by name; those that not all curves of
              a set have are left out
    """

    values: tuple[float, ...]
    losses: tuple[float, ...] = ()
    features: tuple[tuple[str, float], ...] = ()

    def seen(self, epochs: int) -> Curve:
        """What was known of it after so many epochs."""
        return Curve(self.values[:epochs], self.losses[:epochs], self.features)


@dataclass(frozen=True)
class Forecast:
    """What a curve model expects of the value at the end: a normal distribution, unless a model knows it better and
    overrides `exceeds` and `interval`.

    mean  the expected value, which may lie outside the metric's bounds
    std   the standard deviation of the value about it; nan: not known, and with it every probability
    """

    mean: float
    std: float

    def exceeds(self, threshold: float) -> float:
        """The probability that the value at the end lies above it; nan: not known."""
        if self.std > 0:
            return 1 - NormalDist(self.mean, self.std).cdf(threshold)
        return math.nan if math.isnan(self.std) else float(self.mean > threshold)

    def interval(self, share: float = 0.9) -> tuple[float, float]:
        """The middle of the distribution: the value lies below and above it with equal probability."""
        reach = NormalDist().inv_cdf((1 + share) / 2) * self.std
        return self.mean - reach, self.mean + reach


class CurveModel(ABC):
    """Predicts the value at the end of a training from its first epochs, and from other trainings.

    least   complete curves below which it abstains

    It is deterministic, given its seed and the curves, whatever their order of arrival was.
    """

    least: int = 0

    @abstractmethod
    def fit(self, curves: Sequence[Curve], epochs: int) -> CurveModel:
        """A fitted copy that knows these curves of trainings of so many epochs. Most models learn from the complete
        ones alone; LC-Net from all. It may be lazy: what a prediction needs is fitted when it is first asked for."""

    @abstractmethod
    def predict(self, curve: Curve) -> Forecast | None:
        """The value after the last epoch, of a curve that has come so far; None: the model abstains. A curve that has
        come to its end is its own forecast, with a std of 0."""

    def remarks(self) -> tuple[str, ...]:
        """What someone who relies on the forecasts made so far should know, in whole sentences."""
        return ()


def complete(curves: Sequence[Curve], epochs: int) -> tuple[Curve, ...]:
    """The curves of so many epochs whose values are all finite, in an order that is not that of their arrival."""
    whole = (curve for curve in curves if len(curve.values) == epochs and all(map(math.isfinite, curve.values)))
    return tuple(sorted(whole, key=lambda curve: (curve.values, curve.losses, curve.features)))


def known_end(curve: Curve, epochs: int) -> Forecast | None:
    """The forecast of a curve that has come to its end already. Raises UserError where the model was never fitted."""
    if epochs < 1:
        raise UserError("the curve model does not know how long trainings are; predict by what its fit returns")
    return Forecast(curve.values[epochs - 1], 0.0) if len(curve.values) >= epochs else None
