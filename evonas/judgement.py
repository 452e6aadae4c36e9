"""What a classifier's answers are worth: by class, against chance, against another classifier on the same examples.

Without torch: it reads what a test has left, the probability that a network gave each class for each example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95  # of every interval
BINS = 15  # of the calibration error (Guo et al. 2017, section 5)


def quantile(level: float = LEVEL) -> float:
    """How many standard errors an interval of this level reaches to either side."""
    return NormalDist().inv_cdf((1 + level) / 2)


def interval(share: float, count: int) -> tuple[float, float]:
    """The Wilson interval of a share of `count` independent examples, which stays within 0 and 1 (Wilson 1927;
    Brown, Cai and DasGupta 2001)."""
    if count < 1:
        return 0.0, 1.0
    z = quantile()
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, min(centre - reach, share)), min(1.0, max(centre + reach, share))


@dataclass(frozen=True)
class Difference:
    """By how much one classifier is more accurate than another on the same examples, with its interval.

    Of chance it knows the choice of the examples, and not that of the seed of either training.
    """

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """better, worse, or within the noise: as the interval lies above 0, below, or around it."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "within the noise"


def difference(right: Sequence[bool] | np.ndarray, other: Sequence[bool] | np.ndarray) -> Difference:
    """How much more accurate the first of two classifiers is, by which examples each one had right.

    The interval is that of Newcombe (1998, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", method 10). It combines the Wilson intervals of both accuracies, and takes into
    account how often both are right together.

    Raises ValueError where they were not judged on as many examples, or on none.
    """
    ours, theirs = np.asarray(right, bool), np.asarray(other, bool)
    if ours.shape != theirs.shape or not ours.size:
        raise ValueError(f"{ours.size} and {theirs.size} examples are no pairs")
    n, both, won, lost = ours.size, *(int(each.sum()) for each in (ours & theirs, ours & ~theirs, theirs & ~ours))
    p, q = (both + won) / n, (both + lost) / n
    (p_low, p_high), (q_low, q_high) = interval(p, n), interval(q, n)
    phi = _together(both, won, lost, n - both - won - lost)
    below, above = p - p_low, q_high - q
    low = p - q - sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    below, above = q - q_low, p_high - p
    high = p - q + sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    return Difference((won - lost) / n, low, high)


def _together(both: int, won: int, lost: int, neither: int) -> float:
    """The correlation of being right, with Newcombe's correction for continuity."""
    of = (both + won) * (lost + neither) * (both + lost) * (won + neither)
    found = float(both * neither - won * lost)
    if found > 0:
        found = max(0.0, found - (both + won + lost + neither) / 2)
    return found / sqrt(of) if of else 0.0


@dataclass(frozen=True, eq=False)
class Judgement:
    """A classifier on labelled examples.

    classes         their names
    targets         (N,) the class of each example, as its number
    probabilities   (N, classes) that the classifier gave
    names           what each example is called, such as the path of a picture; None: they have numbers
    """

    classes: tuple[str, ...]
    targets: np.ndarray
    probabilities: np.ndarray
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.targets), len(self.classes)) or not len(self.targets):
            raise ValueError(f"probabilities of {self.probabilities.shape} are not those of {len(self.targets)} "
                             f"examples and {len(self.classes)} classes")  # fmt: skip

    def __repr__(self) -> str:
        low, high = self.interval
        share = f"accuracy {self.accuracy:.1%} ({100 * low:.1f} to {100 * high:.1f})"
        return f"<{share} on {len(self.targets):,} examples of {len(self.classes)} classes>"

    @cached_property
    def said(self) -> np.ndarray:
        """(N,) the likeliest class of each example; of equally likely ones the first."""
        return self.probabilities.argmax(1)

    @cached_property
    def right(self) -> np.ndarray:
        """(N,) whether that is its class."""
        return self.said == self.targets

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes) how many examples of a class (row) were said to be of a class (column)."""
        size = len(self.classes)
        return np.bincount(self.targets * size + self.said, minlength=size * size).reshape(size, size)

    @property
    def counts(self) -> np.ndarray:
        """(classes,) examples of each class."""
        return self.confusion.sum(1)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the accuracy on all examples of this kind, of which these are a sample."""
        return interval(self.accuracy, len(self.targets))

    @property
    def recall(self) -> np.ndarray:
        """(classes,) the share of a class's examples that were said to be of it; nan for a class without examples."""
        return _shares(self.confusion.diagonal(), self.counts)

    @property
    def precision(self) -> np.ndarray:
        """(classes,) the share of a class among what was said to be of it; nan for a class that was never said."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(0))

    @property
    def f1(self) -> np.ndarray:
        """(classes,) the harmonic mean of precision and recall; nan for a class that neither occurs nor was said."""
        return _shares(2 * self.confusion.diagonal(), self.counts + self.confusion.sum(0))

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that occur."""
        return float(np.nanmean(self.recall))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur or were said."""
        return float(np.nanmean(self.f1))

    @property
    def confidence(self) -> float:
        """The mean probability of what was said: of a calibrated classifier, its accuracy."""
        return float(self.probabilities.max(1).mean())

    @property
    def calibration_error(self) -> float:
        """The expected calibration error (Guo et al. 2017, Eq. 3): by how much confidence and accuracy differ, in the
        mean over bins of equally wide confidences, weighted by their examples."""
        sure = self.probabilities.max(1)
        bins = np.minimum((sure * BINS).astype(int), BINS - 1)
        gaps = np.bincount(bins, weights=self.right - sure, minlength=BINS)
        return float(np.abs(gaps).sum() / len(sure))

    @property
    def taken_for(self) -> list[tuple[str, int]]:
        """For each class, as what its examples were most often mistaken, and how many; ("", 0) where none was."""
        wrong = self.confusion - np.diag(self.confusion.diagonal())
        return [(self.classes[row.argmax()], int(row.max())) if row.any() else ("", 0) for row in wrong]

    def most_wrong(self, count: int) -> list[int]:
        """The examples that were most surely said to be of another class than theirs, the surest first."""
        order = np.argsort(-self.probabilities.max(1), kind="stable")
        return [int(each) for each in order if not self.right[each]][:count]

    def to_json(self) -> dict[str, Any]:
        """All but the single examples, as plain values; None for a share of nothing."""
        low, high = self.interval
        return {
            "examples": len(self.targets),
            "accuracy": self.accuracy,
            "accuracy_interval": [low, high],
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "confidence": self.confidence,
            "calibration_error": self.calibration_error,
            "classes": {
                name: {
                    "examples": int(self.counts[label]),
                    "recall": _plain(self.recall[label]),
                    "precision": _plain(self.precision[label]),
                    "f1": _plain(self.f1[label]),
                }
                for label, name in enumerate(self.classes)
            },
            "confusion": self.confusion.tolist(),
        }


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
