"""Rules that stop trainings early, on curves that are known to their end: what they save, and what they lose."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from evonas.curves.model import Curve
from evonas.errors import UserError
from evonas.evaluation.stored import StoredCurves
from evonas.executors import Serial
from evonas.fidelity.scheduler import Scheduler
from evonas.individual import Individual
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.trainings import Trainings
from evonas.strategies.first import First


@dataclass(frozen=True)
class Replayed:
    """One rule on the curves, in one order.

    epochs    that it has trained, and those that all of them would have had
    seconds   likewise; None: the curves do not say
    regret    of the best of those that it has trained to the end, to the best of all
    rank      Spearman's correlation of the fitnesses that it gives with the values at the end; nan: there is none
    errors    of forecasts, as (value at the end - mean) / std
    full      how many came to their end
    """

    epochs: int
    of_epochs: int
    regret: float
    rank: float
    errors: tuple[float, ...]
    full: int

    @property
    def kept(self) -> bool:
        """Whether the best of all, or one that equals it, came to its end."""
        return self.regret == 0

    @property
    def covered(self) -> float:
        """Share of the forecasts whose interval of 90 % holds the value at the end; nan: there are none."""
        within = [abs(error) <= statistics.NormalDist().inv_cdf(0.95) for error in self.errors]
        return statistics.fmean(within) if within else math.nan


def replay(curves: Sequence[Curve], scheduler: Scheduler, rng: Random) -> Replayed:
    """A rule on complete curves, which arrive in an order that is drawn: the loop of a search, in which nothing is
    trained, with one worker."""
    epochs = len(curves[0].values)
    evaluator = StoredCurves(curves, epochs)
    order = rng.sample(range(len(curves)), len(curves))
    executor = Serial()
    phase = Phase(
        "replay",
        First([Individual((place,)) for place in order]),
        evaluator,
        trainings=Trainings(scheduler, features=evaluator.features),
    )
    Loop(Unwritten(), executor, 1).run(phase, Budget())
    ends = [curve.values[-1] for curve in curves]
    told = [(individual[0], outcome) for individual, outcome in phase.told()]
    full = [ends[place] for place, outcome in told if outcome.status == "full"]
    errors = [
        (ends[place] - outcome.forecast[0]) / outcome.forecast[1]
        for place, outcome in told
        if outcome.forecast is not None and outcome.forecast[1] > 0
    ]
    return Replayed(
        epochs=phase.epochs,
        of_epochs=epochs * len(curves),
        regret=max(ends) - max(full, default=-math.inf),
        rank=rank_correlation([outcome.values[0] for _, outcome in told], [ends[place] for place, _ in told]),
        errors=tuple(errors),
        full=len(full),
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's; nan where all of either are equal."""
    from scipy.stats import spearmanr

    if len(set(one)) < 2 or len(set(other)) < 2:
        return math.nan
    return float(spearmanr(one, other).statistic)


def complete(curves: Sequence[Curve]) -> list[Curve]:
    """Those that came to the end, which is that of the longest. Raises UserError where there are too few."""
    epochs = max((len(curve.values) for curve in curves), default=0)
    found = [curve for curve in curves if len(curve.values) == epochs]
    if epochs < 2 or len(found) < 2:
        raise UserError(f"there are {len(found)} curves of {epochs} epochs; give at least two complete curves of at "
                        "least two epochs")  # fmt: skip
    return found
