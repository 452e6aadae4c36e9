"""Fitnesses as predictors see them."""

from __future__ import annotations

import numpy as np


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
