"""Schedulers by a curve model: a training stops where the model says that it will probably not surpass the best one
(Domhan et al., IJCAI 2015, section 4; Baker et al. 2017, arXiv:1705.10823, section 4.3).

A model is fitted, and forecasts, in the worker that has trained, from what was known when the training was handed out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from evonas.curves.model import Curve, CurveModel, Forecast, complete
from evonas.curves.termination import BAKER, DOMHAN, terminates
from evonas.errors import UserError
from evonas.evaluation.outcome import Outcome
from evonas.fidelity.scheduler import Immediate, Trial

REMEMBERED = 4  # fitted models that a worker keeps


class Forecasting(Immediate):
    """A training that is looked at stops, where it will be above the best one with a probability of less than
    1 - confidence. Its fitness is then the forecast, unless that is told otherwise.

    model       of the curves; what it abstains from goes on
    looks       epochs after which a training is looked at
    confidence  how probable it must be that a training does not surpass the best
    margin      how far below the best its end must lie
    least       complete trainings before anything is stopped
    most        complete trainings that the model learns from: the first `least`, twice as many, and so on up to these;
                0: it learns from none
    bounded     whether the metric lies between 0 and 1: a forecast outside means going on
    predicted   whether a stopped training has its forecast as its fitness, or else its last value
    anything    the best so far is that of any epoch (Domhan et al.), not of complete trainings alone
    """

    def __init__(
        self,
        epochs: int,
        model: CurveModel,
        *,
        looks: Iterable[int],
        confidence: float,
        margin: float = 0.0,
        least: int = 1,
        most: int = 0,
        bounded: bool = True,
        predicted: bool = True,
        anything: bool = False,
    ) -> None:
        super().__init__(epochs, looks)
        if not 0 < confidence <= 1 or margin < 0:
            raise UserError(f"confidence is {confidence} and margin {margin}; use above 0 to 1, and at least 0")
        if least < max(1, model.least) or (most and most < least):
            raise UserError(
                f"least is {least} and most {most}; use at least {max(1, model.least)}, and no fewer at most"
            )
        self.model, self.confidence, self.margin, self.least, self.most = model, confidence, margin, least, most
        self.bounded, self.predicted, self.anything = bounded, predicted, anything
        self.best: float | None = None
        self._complete: list[Curve] = []
        self._frozen: dict[int, tuple[int, float | None]] = {}  # id on its way -> complete trainings, best

    def begin(self, id: int) -> int:
        self._frozen[id] = self._now()
        return super().begin(id)

    def next(self) -> tuple[int, int] | None:
        found = super().next()
        if found is not None:
            self._frozen[found[0]] = self._now()
        return found

    def wrapped(self, job: Any, id: int) -> Any:
        known, best = self._frozen[id]
        if best is None or known < self.least:
            return job
        learnt = tuple(self._complete[:known]) if self.most else ()
        return Forecasted(job, self.model, learnt, self.epochs, best - self.margin)

    def goes_on(self, trial: Trial) -> bool:
        return not terminates(
            None if trial.forecast is None else Told(*trial.forecast),
            self.best,
            max(trial.values),
            confidence=self.confidence,
            margin=self.margin,
            bounds=(0.0, 1.0) if self.bounded else (-math.inf, math.inf),
        )

    def heard(self, trial: Trial) -> None:
        if trial.failed:
            return
        if trial.epochs == self.epochs:
            self._complete.append(Curve(trial.values, trial.losses, tuple(trial.features.items())))
        if self.anything or trial.epochs == self.epochs:
            self.best = max([*trial.values, *([] if self.best is None else [self.best])])

    def judged(self, trial: Trial) -> float | None:
        return trial.forecast[0] if self.predicted and trial.forecast is not None else None

    def _now(self) -> tuple[int, float | None]:
        """How many complete trainings the model may learn from, and the best value."""
        known, learnt = len(self._complete), self.least
        while known >= 2 * learnt:
            learnt *= 2
        return (min(learnt, self.most or learnt) if known >= learnt else 0), self.best


@dataclass(frozen=True)
class Told(Forecast):
    """A forecast as a journal has it.

    above   the probability that the end surpasses the best one that was known when the training was handed out
    """

    above: float

    def exceeds(self, threshold: float) -> float:
        return self.above


@dataclass(frozen=True)
class Forecasted:
    """A job whose outcome gets the forecast of a curve model.

    job        that trains (`evonas.evaluation.Job`)
    curves     complete trainings that the model learns from
    threshold  the value that the training is to surpass
    """

    job: Any
    model: CurveModel
    curves: tuple[Curve, ...]
    epochs: int
    threshold: float

    @property
    def limit_s(self) -> float | None:
        return self.job.limit_s

    def __call__(self) -> Outcome:
        outcome = self.job()
        if outcome.status != "partial":
            return outcome
        since = -outcome.reached
        known = tuple(
            (name, outcome.measures[name]) for name in self.job.evaluator.features if name in outcome.measures
        )
        curve = Curve(outcome.curve[since:], outcome.losses[since:], known)
        model = fitted(self.model, self.curves, self.epochs)
        before = model.remarks()
        forecast = model.predict(curve)
        remarks = [remark for remark in model.remarks() if remark not in before]
        if remarks and outcome.warning is None:
            outcome = replace(outcome, warning=" ".join(remarks))
        if forecast is None:
            return outcome
        exceeds = forecast.exceeds(self.threshold)
        numbers = forecast.mean, forecast.std, exceeds
        return replace(outcome, forecast=numbers) if all(map(math.isfinite, numbers)) else outcome


_fitted: OrderedDict[bytes, CurveModel] = OrderedDict()


def fitted(model: CurveModel, curves: tuple[Curve, ...], epochs: int) -> CurveModel:
    """The model, fitted; a worker remembers the last ones."""
    key = cloudpickle.dumps((model, complete(curves, epochs), epochs))
    if key not in _fitted:
        _fitted[key] = model.fit(curves, epochs)
        while len(_fitted) > REMEMBERED:
            _fitted.popitem(last=False)
    _fitted.move_to_end(key)
    return _fitted[key]


def last_value(
    epochs: int,
    *,
    first: float = 0.2,
    every: float = 0.1,
    confidence: float = BAKER,
    margin: float = 0.0,
    least: int = 20,
    most: int = 100,
    fitness: str = "partial",
) -> Forecasting:
    """The simplest rule of its kind: the last value stands for the end, give or take what it was off by before.

    first, every  shares of the schedule: when a training is first looked at, and how often from then on
    confidence    how probable it must be that a training does not surpass the best
    margin        how far below the best its end must lie
    least, most   complete trainings before anything is stopped, and that the errors are learnt from at most
    fitness       of what is stopped: predicted, or partial: its last value
    """
    from evonas.curves.statistics import LastValue

    return _stopping(LastValue(), epochs, first, every, fitness, confidence, margin, least=least, most=most)


def training_speed(
    epochs: int,
    *,
    last: int = 0,
    first: float = 0.2,
    every: float = 0.1,
    confidence: float = BAKER,
    margin: float = 0.0,
    least: int = 20,
    most: int = 100,
    fitness: str = "predicted",
) -> Forecasting:
    """The end by the sum of training losses, on a line (Ru et al. 2020, arXiv:2006.04492: SoTL).

    last          the sum is over the last so many epochs; 0: over all (SoTL-E)
    first, every  shares of the schedule: when a training is first looked at, and how often from then on
    confidence    how probable it must be that a training does not surpass the best
    margin        how far below the best its end must lie
    least, most   complete trainings before anything is stopped, and that the line is fitted to at most
    fitness       of what is stopped: predicted, or partial: its last value
    """
    from evonas.curves.statistics import TrainingSpeed

    model = TrainingSpeed(last=last, least=least)
    return _stopping(model, epochs, first, every, fitness, confidence, margin, least=least, most=most)


def baker(
    epochs: int,
    *,
    first: float = 0.2,
    every: float = 0.1,
    confidence: float = BAKER,
    margin: float = 0.0,
    least: int = 20,
    most: int = 100,
    regressor: str = "nu-svr",
    draws: int = 60,
    fitness: str = "predicted",
) -> Forecasting:
    """A regression of the end of curves on their beginnings and the network's size (Baker et al. 2017).

    first, every  shares of the schedule: when a training is first looked at, and how often from then on
    confidence    Delta: how probable it must be that a training does not surpass the best
    margin        delta: how far below the best its end must lie
    least, most   complete trainings before anything is stopped, and that the regressors learn from at most
    regressor     nu-svr, linear-nu-svr, ols or forest
    draws         settings of it that are tried
    fitness       of what is stopped: predicted, or partial: its last value
    """
    from evonas.curves.baker import Baker

    model = Baker(regressor=regressor, draws=draws, least=least)
    return _stopping(model, epochs, first, every, fitness, confidence, margin, least=least, most=most)


def domhan(
    epochs: int,
    *,
    first: float = 0.4,
    every: float = 0.3,
    confidence: float = DOMHAN,
    weights: str = "nnls",
    steps: int = 1000,
    fitness: str = "predicted",
) -> Forecasting:
    """Extrapolation of a curve by a mixture of eleven families, from its own values (Domhan et al. 2015).

    first, every  shares of the schedule: when a training is first looked at, and how often from then on
    confidence    1 - delta: how probable it must be that a training does not surpass the best of any so far
    weights       that the sampler begins with: nnls, or const
    steps         of the sampler; two fifths of them are burn-in
    fitness       of what is stopped: predicted, or partial: its last value
    """
    from evonas.curves.domhan import Domhan

    model = Domhan(weights=weights, steps=steps, burn_in=2 * steps // 5)
    return _stopping(model, epochs, first, every, fitness, confidence, anything=True)


def lcnet(
    epochs: int,
    *,
    first: float = 0.4,
    every: float = 0.3,
    confidence: float = DOMHAN,
    least: int = 20,
    most: int = 100,
    bases: str = "five",
    fitness: str = "predicted",
) -> Forecasting:
    """One Bayesian network for all curves, with the rule of Domhan et al. (Klein et al. 2017).

    first, every  shares of the schedule: when a training is first looked at, and how often from then on
    confidence    how probable it must be that a training does not surpass the best of any so far
    least, most   complete trainings before anything is stopped, and that the network learns from at most
    bases         of its last layer: five, or three
    fitness       of what is stopped: predicted, or partial: its last value
    """
    from evonas.curves.lcnet import LCNet

    model = LCNet(bases=bases, least=least)
    return _stopping(model, epochs, first, every, fitness, confidence, anything=True, least=least, most=most)


def _stopping(
    model: CurveModel,
    epochs: int,
    first: float,
    every: float,
    fitness: str,
    confidence: float,
    margin: float = 0.0,
    **settings: Any,
) -> Forecasting:
    if fitness not in ("predicted", "partial"):
        raise UserError(f"fitness is {fitness!r}; use predicted, or partial")
    return Forecasting(
        epochs,
        model,
        looks=looks_of(epochs, first, every),
        confidence=confidence,
        margin=margin,
        predicted=fitness == "predicted",
        **settings,
    )


def looks_of(epochs: int, first: float, every: float) -> list[int]:
    """Epochs, from shares of the schedule. Raises UserError for what are none."""
    if not (0 < first <= 1 and 0 < every <= 1):
        raise UserError(f"first is {first} and every {every}; use shares of the schedule, above 0 and up to 1")
    step = max(1, round(every * epochs))
    return list(range(max(2, round(first * epochs)), epochs, step))
