"""How well a proxy ranks architectures, and what chance does: the statistics of Yu, Sciuto, Jaggi, Musat and Salzmann
(2020, "Evaluating the Search Phase of Neural Architecture Search", arXiv:1902.08142).

True values and those of a proxy are of the same architectures, in the same order, and of both more is better: negate
losses. What cannot be said, as where all values of a side are equal, is nan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import ceil, nan

import numpy as np

from evonas.judgement import LEVEL

STEP = 1e-3  # of sparse tau: 0.1 % (published code)
LEAST = 10  # architectures of a stratum; below as many, a tau says little
TENTH = 0.1  # the best ones, which matter to a search
RESAMPLED = 1_000  # times, for an interval
FEW = 8  # architectures of which all orders are gone through

Values = Sequence[float] | np.ndarray


# ---- Kendall's tau --------------------------------------------------------------------------------------------------


def concordance(true: Values, proxy: Values) -> tuple[int, int]:
    """C and D: the pairs that both sides order alike, and those that they order otherwise. Tied ones are neither."""
    x, y = _sides(true, proxy)
    product = _signs(x) * _signs(y)
    return int((product > 0).sum()) // 2, int((product < 0).sum()) // 2


def tau_a(true: Values, proxy: Values) -> float:
    """(C - D) / n0, of n0 = n (n - 1) / 2 pairs."""
    x, y = _sides(true, proxy)
    if not _vary(x, y):
        return nan
    concordant, discordant = concordance(x, y)
    return (concordant - discordant) / (len(x) * (len(x) - 1) / 2)


def tau_b(true: Values, proxy: Values) -> float:
    """(C - D) / sqrt((n0 - t_x) (n0 - t_y)), where t are the pairs that are tied on a side (Kendall 1945)."""
    from scipy.stats import kendalltau

    x, y = _sides(true, proxy)
    return float(kendalltau(x, y).statistic) if _vary(x, y) else nan


def sparse_tau(true: Values, proxy: Values, step: float = STEP) -> float:
    """tau_b where true values that differ by less than noise are tied: they are rounded to a step."""
    x, y = _sides(true, proxy)
    return tau_b(np.round(x / step), y)


def interval(true: Values, proxy: Values, rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap interval of tau_b, of 95 %: by the percentiles of architectures drawn with replacement."""
    x, y = _sides(true, proxy)
    if not _vary(x, y):
        return nan, nan
    n = len(x)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLED).astype(np.float32)  # how often each one is there
    one, other = (_signs(side).astype(np.float32) for side in (x, y))

    def pairs(of: np.ndarray) -> np.ndarray:
        return ((drawn @ of) * drawn).sum(1)

    untied = np.sqrt(pairs(np.abs(one)) * pairs(np.abs(other)))
    taus = np.divide(pairs(one * other), untied, out=np.full(RESAMPLED, np.nan), where=untied > 0)
    low, high = np.nanpercentile(taus, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def permutation_p(true: Values, proxy: Values) -> float:
    """With which probability a tau as far from 0 comes out where all orders of the proxy are equally likely: of few
    architectures by all orders; of more by the exact distribution, or where values are tied by its normal limit."""
    from scipy.stats import kendalltau

    x, y = _sides(true, proxy)
    if not _vary(x, y):
        return nan
    if len(x) > FEW:
        return float(kendalltau(x, y).pvalue)
    orders = y[np.array(list(permutations(range(len(x)))))]
    lower, upper = np.triu_indices(len(x), 1)
    balance = (np.sign(x[lower] - x[upper]) * np.sign(orders[:, lower] - orders[:, upper])).sum(1)  # C - D
    concordant, discordant = concordance(x, y)
    return float(np.mean(np.abs(balance) >= abs(concordant - discordant)))


@dataclass(frozen=True)
class Tau:
    """Kendall's tau_b of so many architectures, with its interval and its permutation p-value."""

    value: float
    low: float
    high: float
    p: float
    count: int

    @classmethod
    def of(cls, true: Values, proxy: Values, rng: np.random.Generator) -> Tau:
        return cls(tau_b(true, proxy), *interval(true, proxy, rng), permutation_p(true, proxy), len(true))


@dataclass(frozen=True)
class Strata:
    """The mean tau_b within strata, weighted by their pairs; how many strata there were, and architectures in them."""

    value: float
    strata: int
    count: int


def within(true: Values, proxy: Values, strata: Sequence[Hashable], least: int = LEAST) -> Strata:
    """Within strata of at least so many architectures. Those where a side is constant have no tau, and do not count."""
    x, y = _sides(true, proxy)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, stratum in enumerate(strata):
        members[stratum].append(place)
    found = [(tau_b(x[at], y[at]), len(at)) for at in members.values() if len(at) >= least]
    found = [(tau, n) for tau, n in found if not np.isnan(tau)]
    if not found:
        return Strata(nan, 0, 0)
    taus, counts = np.array(found).T
    return Strata(float(np.average(taus, weights=counts * (counts - 1) / 2)), len(found), int(counts.sum()))


def best_share(true: Values, share: float = TENTH) -> np.ndarray:
    """The places of the best architectures by true value, the best one first; so large a share of all, rounded up."""
    return np.argsort(-np.asarray(true, float), kind="stable")[: ceil(share * len(true))]


# ---- what is chosen -------------------------------------------------------------------------------------------------


def rank(all_values: Values, value: float) -> int:
    """How many of all are at least as good: 1 is the best."""
    return int((np.asarray(all_values, float) >= value).sum())


def percentiles(all_values: Values, chosen: Values) -> tuple[float, float, float]:
    """The ranks of those that were chosen, as shares of the whole space: the least, the median, and the largest."""
    shares = [rank(all_values, value) / len(all_values) for value in chosen]
    return min(shares), float(np.median(shares)), max(shares)


def choice(true: Values, proxy: Values) -> np.ndarray:
    """The true values of what the proxy chooses: several where it takes them for equally good."""
    x, y = _sides(true, proxy)
    return x[y == y.max()]


def regret(true: Values, proxy: Values) -> float:
    """The best true value less that of the proxy's choice; of several equally good ones, less their mean."""
    return float(np.max(true) - choice(true, proxy).mean())


def chance(at_least_as_good: int, of: int, draws: int) -> float:
    """With which probability one of so many random draws is at least as good as what was found, where K of N
    architectures are: 1 - (1 - K / N)^n."""
    return 1 - (1 - at_least_as_good / of) ** draws


def better_than_random(best_rank: int, of: int, runs: int = 10) -> float:
    """The paper's p(> random) of the best of so many runs, by its rank r: (1 - r / r_max)^n.

    The paper prints 1 - (1 - r / r_max)^n; what its tables have is the complement, which stands here.
    """
    return (1 - best_rank / of) ** runs


def welch(one: Values, other: Values) -> float:
    """The p-value of Welch's two-sided t-test: with which probability means differ as much where they are equal (Welch
    1947). nan where a side has one value only, or both are constant."""
    from scipy.stats import ttest_ind_from_stats

    if min(len(one), len(other)) < 2 or np.ptp(one) == np.ptp(other) == 0:
        return nan
    sides = [moment for side in (one, other) for moment in (np.mean(side), np.std(side, ddof=1), len(side))]
    return float(ttest_ind_from_stats(*sides, equal_var=False).pvalue)


def _sides(true: Values, proxy: Values) -> tuple[np.ndarray, np.ndarray]:
    """Raises ValueError where they are not of the same architectures."""
    x, y = np.asarray(true, float), np.asarray(proxy, float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"{x.shape} true values and {y.shape} of the proxy are not of the same architectures")
    return x, y


def _vary(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether there is anything to be ranked."""
    return len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0


def _signs(values: np.ndarray) -> np.ndarray:
    """(n, n) whether the first of a pair is better (1), worse (-1), or as good (0)."""
    return np.sign(values[:, None] - values[None, :]).astype(np.int8)
