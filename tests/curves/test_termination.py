"""When a forecast says to stop a training; whatever is in doubt means to go on."""

import math

import pytest

from evonas.curves import Forecast
from evonas.curves.termination import BAKER, DOMHAN, terminates, termination_probability
from evonas.errors import UserError


def test_the_probability_of_the_sheet():
    """Baker et al.: best .90, expected .85, sigma .02."""
    forecast = Forecast(0.85, 0.02)
    assert termination_probability(forecast, 0.90) == pytest.approx(0.9938, abs=5e-5)
    assert terminates(forecast, 0.90, confidence=0.95)
    assert terminates(forecast, 0.90, confidence=0.99)
    assert termination_probability(forecast, 0.90, margin=0.02) == pytest.approx(0.9332, abs=5e-5)
    assert not terminates(forecast, 0.90, margin=0.02, confidence=0.95)
    assert termination_probability(Forecast(0.88, 0.02), 0.90) == pytest.approx(0.8413, abs=5e-5)
    assert not terminates(Forecast(0.88, 0.02), 0.90, confidence=0.95)


def test_the_two_papers_ask_for_different_confidence():
    forecast = Forecast(0.86, 0.02)  # Phi(2) = .977
    assert terminates(forecast, 0.90, confidence=DOMHAN)
    assert not terminates(forecast, 0.90, confidence=BAKER)


@pytest.mark.parametrize(
    ("forecast", "best", "current"),
    [
        (None, 0.9, 0.1),  # the model abstains, or its fit failed
        (Forecast(0.1, 0.01), None, 0.1),  # nothing to surpass
        (Forecast(0.1, 0.01), 0.9, 0.91),  # it has surpassed it
        (Forecast(-0.1, 0.01), 0.9, 0.1),  # no accuracy
        (Forecast(1.2, 0.01), 1.5, 0.1),
        (Forecast(math.nan, 0.01), 0.9, 0.1),
        (Forecast(0.1, math.nan), 0.9, 0.1),  # nobody knows how far it may err
    ],
)
def test_whatever_is_in_doubt_goes_on(forecast, best, current):
    assert terminates(Forecast(0.1, 0.01), 0.9, 0.1)
    assert not terminates(forecast, best, current)


def test_other_metrics_have_other_bounds():
    assert terminates(Forecast(-2.0, 0.01), -1.0, bounds=(-math.inf, 0.0))


def test_a_value_that_is_known_is_compared_as_it_stands():
    assert Forecast(0.5, 0.0).exceeds(0.4) == 1
    assert Forecast(0.5, 0.0).exceeds(0.5) == 0
    assert terminates(Forecast(0.5, 0.0), 0.5)


def test_the_interval_of_a_normal_forecast():
    low, high = Forecast(0.5, 0.1).interval(0.9)
    assert (low, high) == pytest.approx((0.5 - 0.16449, 0.5 + 0.16449), abs=1e-5)


@pytest.mark.parametrize("wrong", [{"confidence": 0.0}, {"confidence": 95}, {"margin": -0.1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="use"):
        terminates(None, None, **wrong)
