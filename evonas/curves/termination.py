"""When a training is not worth its remaining epochs, by a forecast of its end.

Baker, Gupta, Raskar and Naik (2017, arXiv:1705.10823) stop where P(y_T <= best - delta) >= Delta, with Delta = .99;
Domhan, Springenberg and Hutter (IJCAI 2015) where P(y_m > best) < .05, which is the same rule with delta = 0 and
Delta = .95. Whatever is in doubt means: go on.
"""

from __future__ import annotations

import math

from evonas.curves.model import Forecast
from evonas.errors import UserError

BAKER, DOMHAN = 0.99, 0.95  # the confidence that each asks for


def termination_probability(forecast: Forecast, best: float, margin: float = 0.0) -> float:
    """The probability that the value at the end is no higher than best - margin: of a normal forecast,
    Phi((best - margin - mean) / std); nan: not known."""
    return 1 - forecast.exceeds(best - margin)


def terminates(
    forecast: Forecast | None,
    best: float | None,
    current: float | None = None,
    *,
    confidence: float = BAKER,
    margin: float = 0.0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> bool:
    """Whether to stop a training.

    forecast    of its end; None, or a mean outside the bounds: go on
    best        the value to surpass; None: there is none yet, go on
    current     the training's best value so far, which means going on where it is above that value already
    confidence  Delta: how probable it must be that the training does not surpass the best
    margin      delta: how far below the best its end must lie; above 0 it spares trainings that come near
    bounds      of the metric

    Raises UserError for a confidence that is not above 0 and at most 1, or a margin below 0.
    """
    if not 0 < confidence <= 1:
        raise UserError(f"the confidence is {confidence}; use a probability above 0, such as {BAKER}")
    if not margin >= 0:
        raise UserError(f"the margin is {margin}; use 0 or more")
    if forecast is None or best is None or (current is not None and current > best):
        return False
    if not bounds[0] <= forecast.mean <= bounds[1]:
        return False
    probability = termination_probability(forecast, best, margin)
    return not math.isnan(probability) and probability >= confidence
