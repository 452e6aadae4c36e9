"""LC-Net, a Bayesian network for learning curves (Klein et al. 2017)."""

import math
import random

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from evonas.curves import Curve, Forecast
from evonas.curves.lcnet import BASES, Layout, LCNet, five_bases, sghmc, three_bases
from evonas.errors import UserError

QUICK = {"chains": 2, "steps": 120, "burn_in": 60, "thin": 20}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_five_bases_vanish_at_the_end():
    theta = torch.rand(50, 13, generator=seeded(), dtype=torch.float64)
    assert five_bases(torch.ones(50, dtype=torch.float64), theta).abs().max() < 1e-15


def test_the_five_bases_by_hand():
    """With all parameters .5, at t = .5; the constants as printed would leave -.0062 and +.1464 at t = 1."""
    half = torch.full((13,), 0.5, dtype=torch.float64)
    log = math.log(0.5)
    assert five_bases(torch.tensor(0.5, dtype=torch.float64), half).tolist() == pytest.approx([
        math.exp(-0.5 - 0.1 - 0.05 * log) - math.exp(-0.55),
        0.5 * (math.sqrt(0.5) - 1),
        1 / (1 + math.exp(-0.05)) - 1 / (1 + math.exp(0.5 * log - 0.05)),
        0.5 * (math.exp(-5) - math.exp(-2.5)),
        0.5 * (1 / (1 + 1) - 1 / (math.sqrt(0.5) + 1)),
    ])  # fmt: skip
    printed = 1 / (1 + math.exp(-0.025)) - 1 / (1 + math.exp(-0.05))
    assert printed == pytest.approx(-0.0062, abs=5e-5)
    assert 0.5 * (1 / (math.sqrt(0.5) + 1) - 0.5 / (math.sqrt(0.5) + 1)) == pytest.approx(0.1464, abs=5e-5)


def test_the_three_bases_by_hand():
    half = torch.full((9,), 0.5, dtype=torch.float64)
    assert three_bases(torch.tensor(0.5, dtype=torch.float64), half).tolist() == pytest.approx([
        math.exp(-0.5 - 0.05 / 0.50001 - 0.05 * math.log(0.5)) - math.exp(0.55),
        (5 + 2.5 * math.log(0.25)) / 10,
        0.5 / ((0.005 / 0.5 + 1e-5) ** 0.5 + 1),
    ])  # fmt: skip


@pytest.mark.parametrize("bases", BASES)
def test_means_and_variances_stay_in_their_range(bases):
    layout = Layout(4, bases)
    weights = layout.start(3, seeded()) * 20
    x = torch.randn(3, 40, 4, generator=seeded(1), dtype=torch.float64)
    t = torch.arange(1, 41, dtype=torch.float64).expand(3, -1) / 40
    mean, log_variance = layout(weights, x, t)
    assert mean.shape == log_variance.shape == (3, 40)
    assert mean.min() > -1
    assert mean.max() < 2
    assert torch.isfinite(log_variance).all()
    start = layout(layout.start(3, seeded()), x, t)[1].exp().sqrt()
    assert start.mean().item() == pytest.approx(math.sqrt(1e-3), rel=0.1)


def test_each_network_of_a_batch_answers_as_it_would_alone():
    layout = Layout(2, "five")
    weights = layout.start(3, seeded())
    x = torch.randn(3, 5, 2, generator=seeded(1), dtype=torch.float64)
    t = torch.full((3, 5), 0.3, dtype=torch.float64)
    together = layout(weights, x, t)[0]
    for place in range(3):
        alone = layout(weights[[place]], x[[place]], t[[place]])[0]
        assert together[place].tolist() == pytest.approx(alone[0].tolist())


def test_the_sampler_finds_a_normal_distribution():
    """In 2 dimensions with standard deviations 1 and 2, by 40 chains."""
    centre, std = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    chains = 40
    found = torch.stack(list(sghmc(lambda theta: (theta - centre) / std**2, torch.zeros(chains, 2, dtype=torch.float64),
                                   steps=6000, burn_in=1000, thin=50, rate=0.15, generator=seeded())))  # fmt: skip
    by_chain = found.mean(dim=0)
    standard_error = by_chain.std(dim=0) / math.sqrt(chains)
    assert ((found.mean(dim=(0, 1)) - centre).abs() < 3 * standard_error).all()
    assert found.var(dim=(0, 1)).tolist() == pytest.approx([1.0, 4.0], rel=0.2)


def test_without_noise_and_with_full_friction_it_is_preconditioned_gradient_descent():
    start = torch.tensor([1.0, -3.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    positions = list(sghmc(lambda theta: scale * theta, start, steps=5, burn_in=0, thin=1, rate=0.1, friction=1.0,
                           noise=False, generator=seeded()))  # fmt: skip
    expected = start
    for position in positions:  # M is 1 / (sqrt(v) + eps), and v stays 1 without a burn-in
        expected = expected - 0.1**2 * scale * expected
        assert position.tolist() == pytest.approx(expected.tolist(), rel=1e-8)


def test_the_burn_in_adapts_the_preconditioner():
    """One step by hand: tau = g = v = 1 become 1, (1 + d) / 2 and (1 + d^2) / 2."""
    (position,) = sghmc(lambda theta: torch.full_like(theta, 3.0), torch.zeros(1, dtype=torch.float64), steps=2,
                        burn_in=1, thin=1, rate=0.1, friction=1.0, noise=False, generator=seeded())  # fmt: skip
    assert position.item() == pytest.approx(-2 * 0.1**2 * 3 / math.sqrt(5), rel=1e-6)


def toy(rng, epochs=40):
    """The authors' own: (10 + a ln(b t)) / 10, and a little noise."""
    a, b = rng.uniform(0.2, 1), rng.uniform(0.1, 1)
    t = np.arange(1, epochs + 1) / epochs
    return Curve(tuple((10 + a * np.log(b * t)) / 10 + rng.normal(scale=0.002, size=epochs) - 0.05), (),
                 (("a", a), ("b", b)))  # fmt: skip


@pytest.mark.slow
def test_the_rest_of_a_toy_curve_is_extrapolated_better_than_by_its_last_value():
    rng = np.random.default_rng(0)
    curves = [toy(rng) for _ in range(30)]
    begun = [curve.seen(12) for curve in curves]
    model = LCNet(least=0).fit(begun, 40)
    ends = np.array([curve.values[-1] for curve in curves])
    found = np.array([model.predict(curve).mean for curve in begun])
    assert np.mean((found - ends) ** 2) < np.mean((np.array([curve.values[-1] for curve in begun]) - ends) ** 2)


@pytest.mark.slow
def test_trainings_that_were_never_begun_are_ranked_and_90_percent_intervals_cover_their_ends(digits):
    order = np.random.default_rng(0).permutation(200)
    known, asked = [digits[place] for place in order[:100]], [digits[place] for place in order[100:]]
    model = LCNet().fit(known, 40)
    ends = np.array([curve.values[-1] for curve in asked])
    found = [model.predict(curve.seen(0)) for curve in asked]
    assert spearmanr([forecast.mean for forecast in found], ends).statistic > 0.6
    covered = [
        forecast.interval()[0] <= end <= forecast.interval()[1] for forecast, end in zip(found, ends, strict=True)
    ]
    assert 0.75 <= np.mean(covered) <= 0.98


def test_it_is_deterministic_whatever_the_order_of_arrival(digits):
    mixed = random.Random(0).sample(digits[:30], 30)
    one, other = (LCNet(**QUICK).fit(curves, 40) for curves in (digits[:30], mixed))
    assert one.predict(digits[50].seen(0)) == other.predict(digits[50].seen(0))
    assert LCNet(seed=1, **QUICK).fit(mixed, 40).predict(digits[50].seen(0)) != one.predict(digits[50].seen(0))


def test_a_curve_that_has_begun_is_learnt_together_with_the_others(digits):
    begun = digits[50].seen(10)
    alone = LCNet(**QUICK).fit(digits[:25], 40).predict(begun)
    assert alone == LCNet(**QUICK).fit([*digits[:25], begun], 40).predict(begun)
    assert alone == LCNet(**QUICK).fit([*digits[:25], begun.seen(5)], 40).predict(begun)  # itself, at an earlier epoch
    assert alone != LCNet(**QUICK).fit(digits[:25], 40).predict(begun.seen(0))


def test_curves_are_learnt_by_their_running_best(digits):
    falling = [Curve((curve.values[0], 0.0, *curve.values[2:]), (), curve.features) for curve in digits[:20]]
    kept = [Curve((curve.values[0], curve.values[0], *curve.values[2:]), (), curve.features) for curve in digits[:20]]
    asked = Curve((), (), digits[30].features)
    one, other = (LCNet(**QUICK).fit(curves, 40).predict(asked) for curves in (falling, kept))
    assert one.mean == pytest.approx(other.mean)
    as_they_are = LCNet(monotone=False, **QUICK).fit(falling, 40).predict(asked)
    assert as_they_are.mean != pytest.approx(one.mean)


def test_it_abstains_where_it_knows_too_little(digits):
    asked = digits[50].seen(3)
    assert LCNet(**QUICK).fit([*digits[:19], *(curve.seen(39) for curve in digits[30:40])], 40).predict(asked) is None
    assert LCNet(**QUICK).fit(digits[:20], 40).predict(asked) is not None
    without = [Curve(curve.values) for curve in digits[:20]]
    assert LCNet(**QUICK).fit(without, 40).predict(asked) is None
    assert LCNet().fit([], 40).predict(digits[0]) == Forecast(digits[0].values[-1], 0.0)


def test_values_that_are_no_fractions_are_refused():
    with pytest.raises(UserError, match=r"-0\.5 to 2"):
        LCNet().fit([Curve((-0.5, 2.0))], 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bases": "four"},
        {"steps": 2_100},
        {"thin": 0},
        {"batch": 0},
        {"chains": 0},
        {"least": -1},
        {"rate": 0.0},
        {"friction": 1.5},
        {"independent": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="use"):
        LCNet(**wrong)
