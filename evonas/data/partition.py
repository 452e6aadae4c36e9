"""Labelled rows without a split of their own, as a classifier is given them: merged where they are equal, and parted
into training, validation and test part however few there are."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

import numpy as np

from evonas.data.splitting import apportioned
from evonas.errors import UserError

DIGEST = 16  # bytes


def merged(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal pictures of equal labels as one, with the sum of their weights; those of no weight are left out.

    So a picture of weight 2 is the same as the picture given twice, and none is both learnt from and tested on. The
    rows come in an order of their own (of their digests), which does not depend on the order in which they were given.

    y   class numbers (N,)
    """
    there = weights > 0
    x, y, weights = x[there], y[there], weights[there]
    x = x + x.dtype.type(0)  # a zero has no sign
    labels = np.ascontiguousarray(y, dtype=np.int64)
    each = (blake2b(row.tobytes() + label.tobytes(), digest_size=DIGEST).digest() for row, label in zip(x, labels))  # noqa: B905
    digests = np.frombuffer(b"".join(each), dtype=f"V{DIGEST}")
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    return x[first], y[first], np.bincount(which, weights=weights)


@dataclass(frozen=True, eq=False)
class Partition:
    """Row numbers of each part.

    tested   the test part is one of its own; else there were too few rows for that, and it is the validation part
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    tested: bool


def parted(y: np.ndarray, validation: float, test: float, seed: int) -> Partition:
    """Shares of the rows are held out for a test and, of what is left, for validation, as nearly as can be with the
    classes in the proportions of the whole. A class of a single row is trained on, and one of two rows is not tested.

    y   class numbers (N,), each of which occurs

    Raises UserError where no class has two rows.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise UserError(f"{name} is {share}; use a share between 0 and 1, such as 0.2")
    counts, rng = np.bincount(y), np.random.RandomState(seed)
    tested = _held(np.maximum(counts - 2, 0), ceil(test * len(y)), rng)
    left = counts - tested
    validated = _held(np.maximum(left - 1, 0), ceil(validation * left.sum()), rng)
    if not validated.any():
        raise UserError(f"there are {len(y)} different samples, one of each class; give at least two of some of them")
    members = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    shuffled = [own[rng.permutation(len(own))] for own in members]
    some = zip(shuffled, tested, tested + validated, strict=True)
    each = [(own[:first], own[first:second], own[second:]) for own, first, second in some]
    held_out, judged, learnt = (rng.permutation(np.concatenate(part)) for part in zip(*each, strict=True))
    return Partition(learnt, judged, held_out if len(held_out) else judged, bool(len(held_out)))


def _held(possible: np.ndarray, wanted: int, rng: np.random.RandomState) -> np.ndarray:
    """How many of each class are held out, where so many are possible."""
    if not possible.any():
        return np.zeros_like(possible)
    return apportioned(possible, min(wanted, int(possible.sum())), rng)
