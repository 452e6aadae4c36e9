"""Several scores as one, by ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ranks(values: Sequence[float]) -> np.ndarray:
    """The rank of each value, (n,): 1 for the worst; equal ones share the mean of theirs. NaN is as bad as -inf."""
    plain = np.asarray(values, dtype=float)
    _, place, count = np.unique(np.where(np.isnan(plain), -np.inf, plain), return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[place]


def rank_sum(scores: Sequence[Sequence[float]]) -> np.ndarray:
    """The sum of the ranks that several scores give to each of the same n networks, (n,): higher is better."""
    return np.sum([ranks(each) for each in scores], axis=0)
