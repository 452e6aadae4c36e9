"""Features of networks and their trainings as columns of a matrix, for the models that use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evonas.curves.model import Curve

DECADE = 10.0


@dataclass(frozen=True)
class Columns:
    """Which features of a set of curves are used, and how: learnt from complete curves, and then the same for others.

    names   of the features, in alphabetical order
    logged  those whose logarithm is taken, because they are positive and differ by a factor of ten or more: parameters,
            learning rates, weight decays
    """

    names: tuple[str, ...]
    logged: frozenset[str]

    @classmethod
    def of(cls, curves: Sequence[Curve], allowed: frozenset[str] | None = None) -> Columns:
        """Those that all curves have, finite, and that are not the same for all; among the allowed ones, if given."""
        tables = [dict(curve.features) for curve in curves]
        names, logged = [], set()
        for name in sorted(set(tables[0]).intersection(*tables[1:])) if tables else ():
            values = [table[name] for table in tables]
            low, high = min(values), max(values)
            if (allowed is not None and name not in allowed) or not all(map(math.isfinite, values)) or low == high:
                continue
            names.append(name)
            if low > 0 and high >= DECADE * low:
                logged.add(name)
        return cls(tuple(names), frozenset(logged))

    def row(self, curve: Curve) -> list[float]:
        """The numbers of one curve, which has all of these features."""
        table = dict(curve.features)
        return [math.log(max(table[name], 1e-300)) if name in self.logged else table[name] for name in self.names]


@dataclass(frozen=True)
class Standard:
    """Columns with mean 0 and standard deviation 1 over the rows that it was learnt from; constant ones become 0."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Standard:
        scale = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(scale > 0, scale, 1.0))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.mean) / self.scale

    def back(self, rows: np.ndarray) -> np.ndarray:
        """From standardised values to the original ones."""
        return rows * self.scale + self.mean
