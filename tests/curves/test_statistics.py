"""Cheap statistics of learning curves."""

import math
import random

import numpy as np
import pytest
from scipy.stats import spearmanr

from evonas.curves import Curve, Forecast
from evonas.curves.statistics import BestSoFar, LastValue, TrainingSpeed
from evonas.errors import UserError

CURVE = Curve((0.2, 0.5, 0.4), (2.0, 1.0, 0.5))


def test_scores_by_hand():
    assert LastValue().score(CURVE) == 0.4
    assert BestSoFar().score(CURVE) == 0.5
    assert TrainingSpeed().score(CURVE) == -3.5
    assert TrainingSpeed(last=2).score(CURVE) == -1.5
    assert TrainingSpeed(last=5).score(CURVE) == -3.5


def test_what_is_not_known_has_no_score():
    assert math.isnan(TrainingSpeed().score(Curve((0.2, 0.5))))
    assert math.isnan(TrainingSpeed().score(Curve((0.2, 0.5), (2.0,))))
    for statistic in (LastValue(), BestSoFar()):
        assert math.isnan(statistic.score(Curve(())))
        assert statistic.fit([], 10).predict(Curve(())) is None


def test_the_std_of_a_level_is_the_root_mean_square_of_what_it_misses():
    known = [Curve((0.3, 0.5, 0.6)), Curve((0.4, 0.5, 0.9))]
    forecast = LastValue(least_for_std=2).fit(known, 3).predict(Curve((0.1, 0.4)))
    assert forecast.mean == 0.4
    assert forecast.std == pytest.approx(math.sqrt((0.1**2 + 0.4**2) / 2))


def test_a_level_without_enough_complete_curves_has_no_std():
    known = [Curve((0.3, 0.5, 0.6))] * 2 + [Curve((0.3, 0.5))] * 20
    forecast = LastValue(least_for_std=3).fit(known, 3).predict(Curve((0.1, 0.4)))
    assert forecast.mean == 0.4
    assert math.isnan(forecast.std)
    assert math.isnan(forecast.exceeds(0.3))


def line_left_out(scores, ends):
    """Leave-one-out residuals of a line, fitted anew for each."""
    every = range(len(ends))
    lines = [np.polyfit(np.delete(scores, one), np.delete(ends, one), 1) for one in every]
    return [ends[one] - np.polyval(line, scores[one]) for one, line in zip(every, lines, strict=True)]


def test_training_speed_is_calibrated_by_a_line_of_the_complete_curves(digits):
    known = digits[:30]
    forecast = TrainingSpeed().fit(known, 40).predict(digits[50].seen(10))
    scores = np.array([-sum(curve.losses[:10]) for curve in known])
    ends = np.array([curve.values[-1] for curve in known])
    assert forecast.mean == pytest.approx(np.polyval(np.polyfit(scores, ends, 1), -sum(digits[50].losses[:10])))
    assert forecast.std == pytest.approx(np.sqrt(np.mean(np.square(line_left_out(scores, ends)))))


def test_training_speed_abstains_where_it_tells_nothing():
    falling = [Curve((0.0, 1.0 - k / 20), (k / 20, 0.0)) for k in range(20)]
    model = TrainingSpeed()
    assert model.fit(falling, 2).predict(Curve((0.0,), (0.5,))) is not None
    backwards = [Curve((0.0, k / 20), (k / 20, 0.0)) for k in range(20)]
    assert model.fit(backwards, 2).predict(Curve((0.0,), (0.5,))) is None
    assert model.fit([Curve((0.0, k / 20), (0.5, 0.0)) for k in range(20)], 2).predict(Curve((0.0,), (0.5,))) is None
    assert model.fit(falling[:9], 2).predict(Curve((0.0,), (0.5,))) is None


def test_a_curve_at_its_end_is_its_own_forecast():
    for model in (LastValue(), BestSoFar(), TrainingSpeed()):
        assert model.fit([], 3).predict(CURVE) == Forecast(0.4, 0.0)


def test_the_order_of_arrival_does_not_matter(digits):
    mixed = random.Random(0).sample(digits[:40], 40)
    for model in (LastValue(), TrainingSpeed(last=3)):
        one, other = model.fit(digits[:40], 40), model.fit(mixed, 40)
        assert one.predict(digits[60].seen(8)) == other.predict(digits[60].seen(8))


def test_statistics_rank_real_curves(digits):
    """Last value: .93 in the fact sheet's set at a quarter of the epochs."""
    ends = [curve.values[-1] for curve in digits]
    for statistic in (LastValue(), BestSoFar(), TrainingSpeed(), TrainingSpeed(last=1)):
        assert spearmanr([statistic.score(curve.seen(10)) for curve in digits], ends).statistic > 0.85


def test_settings_out_of_range_are_refused():
    for make in (lambda: TrainingSpeed(last=-1), lambda: TrainingSpeed(least=3), lambda: LastValue(least_for_std=0)):
        with pytest.raises(UserError, match=r"at least|give a number"):
            make()
