"""Kendall's tau, what is chosen by a ranking, and what chance does: the values of the fact sheet, and by hand."""

import random
from itertools import permutations
from math import comb, exp, isnan

import numpy as np
import pytest
from scipy.stats import kendalltau, ttest_ind

from evonas.comparison.ranks import (
    FEW,
    Tau,
    best_share,
    better_than_random,
    chance,
    concordance,
    interval,
    percentiles,
    permutation_p,
    rank,
    regret,
    sparse_tau,
    tau_a,
    tau_b,
    welch,
    within,
)

CLOSE = [0.9412, 0.9409, 0.9371, 0.9368, 0.9201]
PROXY = [0.60, 0.64, 0.58, 0.59, 0.40]


def drawn(n, seed=0, step=0.0):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=n)
    proxy = true + rng.normal(size=n)
    return (true, proxy) if not step else (np.round(true / step) * step, np.round(proxy / step) * step)


# ---- tau ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "proxy", "pairs", "a", "b"),
    [
        ([0.94, 0.95, 0.93, 0.92], [0.90, 0.80, 0.70, 0.60], (5, 1), 0.667, 0.667),
        ([3, 1, 2, 5, 4], [1, 2, 3, 4, 5], (7, 3), 0.4, 0.4),
        ([0.95, 0.94, 0.94, 0.93], [0.91, 0.91, 0.88, 0.85], (4, 0), 0.667, 0.800),
        (CLOSE, PROXY, (8, 2), 0.6, 0.6),
        (np.round(CLOSE, 3), PROXY, (8, 0), 0.8, 0.894),
    ],
)
def test_the_worked_cases_have_their_pairs_and_taus(true, proxy, pairs, a, b):
    assert concordance(true, proxy) == pairs
    assert tau_a(true, proxy) == pytest.approx(a, abs=5e-4)
    assert tau_b(true, proxy) == pytest.approx(b, abs=5e-4)


def test_sparse_tau_takes_differences_below_the_step_for_noise():
    assert sparse_tau(CLOSE, PROXY) == pytest.approx(0.894, abs=5e-4)
    assert sparse_tau(CLOSE, PROXY, step=1e-5) == tau_b(CLOSE, PROXY)
    assert isnan(sparse_tau(CLOSE, PROXY, step=1.0))  # all are rounded to 1


def test_losses_have_to_be_negated():
    losses, true = [0.69, 0.65, 0.70, 0.58, 0.60], [0.80, 0.84, 0.82, 0.90, 0.88]
    assert tau_b(true, losses) == pytest.approx(-0.8)
    assert tau_b(true, np.negative(losses)) == pytest.approx(0.8)


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_a_ranking_agrees_with_itself_and_with_any_that_rises_with_it(step):
    true, proxy = drawn(40, step=step)
    assert tau_b(true, true) == pytest.approx(1)
    assert tau_b(true, -true) == pytest.approx(-1)
    for tau in (tau_a, tau_b):
        assert tau(np.exp(true), proxy) == pytest.approx(tau(true, proxy))
        assert tau(true, 3 * proxy**3 - 7) == pytest.approx(tau(true, proxy))
        assert tau(true, -proxy) == pytest.approx(-tau(true, proxy))
        assert tau(proxy, true) == pytest.approx(tau(true, proxy))
    order = np.random.default_rng(1).permutation(40)
    assert tau_b(true[order], proxy[order]) == pytest.approx(tau_b(true, proxy))


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_tau_is_that_of_all_pairs_one_by_one(step):
    true, proxy = drawn(25, 3, step)
    pairs = [(true[i] - true[j], proxy[i] - proxy[j]) for i in range(25) for j in range(i)]
    balance = sum(np.sign(x) * np.sign(y) for x, y in pairs)
    untied = [sum(pair[side] != 0 for pair in pairs) for side in (0, 1)]
    assert tau_a(true, proxy) == pytest.approx(balance / comb(25, 2))
    assert tau_b(true, proxy) == pytest.approx(balance / (untied[0] * untied[1]) ** 0.5)
    assert tau_b(true, proxy) == pytest.approx(kendalltau(true, proxy).statistic)


@pytest.mark.parametrize(("true", "proxy"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2]), ([1], [1]), ([], [])])
def test_there_is_no_tau_where_nothing_is_ranked(true, proxy):
    found = Tau.of(true, proxy, np.random.default_rng(0))
    assert all(map(isnan, (tau_a(true, proxy), found.value, found.low, found.high, found.p)))
    assert found.count == len(true)


def test_values_of_other_architectures_are_refused():
    with pytest.raises(ValueError, match="not of the same architectures"):
        tau_b([1, 2, 3], [1, 2])


# ---- its interval and its p-value ---------------------------------------------------------------------------------


def test_the_interval_is_that_of_resampled_architectures():
    true, proxy = drawn(60, 4, 0.5)
    low, high = interval(true, proxy, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    places = [rng.integers(60, size=60) for _ in range(1000)]
    by_hand = np.percentile([kendalltau(true[at], proxy[at]).statistic for at in places], [2.5, 97.5])
    assert (low, high) == pytest.approx(by_hand, abs=0.03)
    assert low < tau_b(true, proxy) < high
    assert (low, high) == interval(true, proxy, np.random.default_rng(0))


def test_few_architectures_have_the_p_value_of_all_their_orders():
    assert permutation_p([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) == pytest.approx(2 / 120)
    assert permutation_p([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(8 / 24)  # 1 and 3 of 24 have tau 1 and .667
    assert permutation_p([1, 2], [1, 2]) == 1
    true, proxy = [1, 1, 2, 3, 3], [2, 1, 2, 3, 1]
    taus = [tau_b(true, list(order)) for order in permutations(proxy)]
    share = np.mean([abs(tau) >= abs(tau_b(true, proxy)) - 1e-9 for tau in taus])
    assert permutation_p(true, proxy) == pytest.approx(share)


def test_five_architectures_have_eleven_taus():
    taus = {round(tau_a(range(5), order), 6) for order in permutations(range(5))}
    assert len(taus) == 11


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_the_p_value_of_more_is_that_of_random_orders(step):
    true, proxy = drawn(14, 5, step)
    assert len(true) > FEW
    rng = np.random.default_rng(0)
    found = abs(tau_b(true, proxy))
    share = np.mean([abs(tau_b(true, rng.permutation(proxy))) >= found - 1e-9 for _ in range(4000)])
    assert permutation_p(true, proxy) == pytest.approx(share, abs=0.015)


# ---- strata and the best ------------------------------------------------------------------------------------------


def test_strata_are_weighted_by_their_pairs_and_small_or_constant_ones_left_out():
    sizes = ["a"] * 10 + ["b"] * 20 + ["c"] * 9 + ["d"] * 12
    true = np.arange(51.0)
    proxy = true.copy()
    proxy[10:30] = -true[10:30]  # b is ranked the wrong way round
    proxy[39:] = 7.0  # d is not ranked at all
    found = within(true, proxy, sizes)
    assert (found.strata, found.count) == (2, 30)
    assert found.value == pytest.approx((45 * 1 + 190 * -1) / (45 + 190))
    assert tau_b(true, proxy) != found.value
    assert isnan(within(true, proxy, range(51)).value)
    assert isnan(within(true, sizes_only := np.repeat([1.0, 2.0, 3.0, 4.0], [10, 20, 9, 12]), sizes_only).value)


def test_the_best_share_is_rounded_up_and_has_the_best_first():
    assert best_share([1, 5, 3, 4, 2]).tolist() == [1]
    assert best_share(range(21)).tolist() == [20, 19, 18]
    assert best_share([1, 5, 3, 4, 2], 0.4).tolist() == [1, 3]


def test_percentiles_are_ranks_in_the_whole_space():
    space = [90.0, 91.0, 92.0, 93.0, 94.0]
    assert [rank(space, value) for value in (94.0, 92.0, 90.0)] == [1, 3, 5]
    assert percentiles(space, [94.0, 92.0, 93.0]) == (0.2, 0.4, 0.6)
    assert percentiles([94.0, 94.0, 93.0, 90.0], [94.0]) == (0.5, 0.5, 0.5)  # two are at least as good as either


def test_the_regret_is_that_of_what_the_proxy_puts_first():
    assert regret([0.9, 0.95, 0.8], [3, 1, 2]) == pytest.approx(0.05)
    assert regret([0.9, 0.95, 0.8], [1, 3, 2]) == 0
    assert regret([0.9, 0.95, 0.8], [1, 0, 1]) == pytest.approx(0.1)  # either of two, by chance


# ---- chance -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("draws", "probability"), [(1, 0.094), (2, 0.179), (10, 0.626)])
def test_chance_has_the_levels_of_the_sheet(draws, probability):
    assert chance(3, 32, draws) == pytest.approx(probability, abs=5e-4)


def test_chance_is_how_often_random_draws_do_as_well():
    rng = random.Random(0)
    hits = sum(any(rng.randrange(32) < 3 for _ in range(5)) for _ in range(4000))
    assert chance(3, 32, 5) == pytest.approx(hits / 4000, abs=0.03)


@pytest.mark.parametrize(
    ("best_rank", "probability"), [(19_552, 0.623), (57_079, 0.235), (96_939, 0.074), (3_543, 0.919), (4_610, 0.896)]
)
def test_the_probability_to_beat_random_is_the_complement_of_the_printed_formula(best_rank, probability):
    """As the tables of the paper have it, of 10 runs on 423,624 networks."""
    assert better_than_random(best_rank, 423_624) == pytest.approx(probability, abs=6e-4)
    assert better_than_random(best_rank, 423_624) == pytest.approx(1 - chance(best_rank, 423_624, 10))
    assert better_than_random(1, 10_000, 10_000) == pytest.approx(exp(-1), abs=1e-3)


# ---- Welch's test -------------------------------------------------------------------------------------------------


def test_welchs_test_takes_unequal_variances_into_account():
    one, other = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2]
    assert welch(one, other) == pytest.approx(ttest_ind(one, other, equal_var=False).pvalue)
    assert welch(one, other) != pytest.approx(ttest_ind(one, other).pvalue)
    assert welch(one, other) == welch(other, one)
    assert welch([1.0, 1.0, 1.0], [2.0, 2.1, 1.9]) < 0.01


@pytest.mark.parametrize(("one", "other"), [([1.0], [1.0, 2.0]), ([1.0, 1.0], [2.0, 2.0]), ([], [1.0, 2.0])])
def test_there_is_no_test_of_one_value_or_of_constants(one, other):
    assert isnan(welch(one, other))
