"""Fitnesses as predictors see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np


def at_one_fidelity(reports: Sequence[Mapping[float, float]]) -> np.ndarray:
    """What each training would be worth had it gone as far as the furthest of them.

    reports   of each training, its value at each fidelity of which there was a report

    From one fidelity to the next, a value grows by the mean growth of those trainings of which there are reports at
    both, or, where there are none, by the difference of the means. Those that go on are the better ones, so this is a
    little too high for the others, and by the same amount for all of them.
    """
    levels = sorted({fidelity for report in reports for fidelity in report})
    growth = dict.fromkeys(levels, 0.0)
    for lower, upper in reversed(list(pairwise(levels))):
        both = [report[upper] - report[lower] for report in reports if lower in report and upper in report]
        if not both:
            means = [fmean(report[level] for report in reports if level in report) for level in (lower, upper)]
            both = [means[1] - means[0]]
        growth[lower] = fmean(both) + growth[upper]
    return np.array([report[max(report)] + growth[max(report)] for report in reports])


def normal_scores(values: np.ndarray) -> np.ndarray:
    """The standard normal quantiles of their ranks, (rank - 1/2) / n, equal ones sharing a rank.

    Accuracies have a long tail of networks that hardly learn, whose distances would take all that a model can fit; what
    counts in a search is the order.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return ndtri((rankdata(values) - 0.5) / len(values))


def at_scores(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Back from normal scores to fitnesses, between those that are known: no prediction is above the best of them."""
    order = np.argsort(values, kind="stable")
    return np.interp(scores, normal_scores(values)[order], np.asarray(values, dtype=float)[order])
