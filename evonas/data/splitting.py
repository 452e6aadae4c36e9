"""Splitting labelled data: what is held out has the classes in the proportions of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from evonas.errors import UserError


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set as it was read: images N x C x H x W with their class numbers, to train with and to test on.

    pixel        what a step of a picture file's 0 to 255 is in the units of x; None: not known
    validation   the data came with a validation part: the last so many of x and y
    weights      how much each of x counts in a training (N,), above 0; None: all of them alike
    notes        what a user might not expect of how they were read
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    pixel: float | None
    validation: int | None = None
    notes: tuple[str, ...] = ()
    weights: np.ndarray | None = None


TEST_SHARE = 0.2  # of a set that comes without a test split
TEST_SEED = 0  # fixed: the test split of a set is the same in every run


def check_labels(name: str, part: str, y: np.ndarray, classes: tuple[str, ...]) -> None:
    if y.max() >= len(classes):
        raise UserError(
            f"{name}: y_{part} holds label {y.max()}, but there are {len(classes)} classes, numbered from 0; "
            "give every class images in y_train and, where there is an array `classes`, a name"
        )


def without_test_part(
    name: str, x: np.ndarray, y: np.ndarray, classes: tuple[str, ...], pixel: float | None, notes: tuple[str, ...] = ()
) -> Parts:
    """A test part, the same for every seed, is split off."""
    more = "give more images of every class, or test images of your own"
    train, test = split(name, y, classes, TEST_SHARE, TEST_SEED, more)
    return Parts(x[train], y[train], x[test], y[test], classes, pixel, notes=notes)


def validation_split(
    name: str, y: np.ndarray, classes: tuple[str, ...], share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of what is trained on and of the share that is held out for validation."""
    least, most = ceil(100 * len(classes) / len(y)), 100 - ceil(100 * len(classes) / len(y))
    enough = f"use a --validation from {least / 100:g} to {most / 100:g}, or give more images"
    return split(name, y, classes, share, seed, enough if least <= most else "give more images of every class")


def split(
    name: str, y: np.ndarray, classes: tuple[str, ...], share: float, seed: int, advice: str
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of what stays and of the share that is held out, each with the classes in the proportions of y: those of
    scikit-learn's `train_test_split(..., stratify=y, random_state=seed)`, without its import, which takes a second.

    Raises UserError where a class would lack on one side; the advice says what to do then.
    """
    if len(classes) < 2:
        raise UserError(f"{name}: fewer than two classes ({', '.join(classes)}); give images of at least two")
    counts = np.bincount(y, minlength=len(classes))
    if counts.min() < 2:
        rare = int(counts.argmin())
        if rare == 0 and counts[0] == 0:
            raise UserError(f"{name}: no image has the label 0; number the classes from 0, as in y - y.min()")
        raise UserError(
            f"{name}: class {rare} ({classes[rare]}) has {counts[rare]} images to train and validate with; give at "
            "least two of every class, and number the classes 0, 1, 2, ... without gaps"
        )
    held = ceil(share * len(y))
    if held < len(classes) or len(y) - held < len(classes):
        raise UserError(
            f"{name}: {share:g} of {len(y)} images are {held}, and with the other {len(y) - held} there is not one "
            f"image of each of {len(classes)} classes on both sides; {advice}"
        )
    rng = np.random.RandomState(seed)
    staying = apportioned(counts, len(y) - held, rng)
    going = apportioned(counts - staying, held, rng)
    members = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    shuffled = [own[rng.permutation(len(own))] for own in members]
    stay = np.concatenate([own[:n] for own, n in zip(shuffled, staying, strict=True)])
    held_out = np.concatenate([own[n : n + m] for own, n, m in zip(shuffled, staying, going, strict=True)])
    return rng.permutation(stay), rng.permutation(held_out)


def apportioned(counts: np.ndarray, n: int, rng: np.random.RandomState) -> np.ndarray:
    """How many of each class are among n, by the counts: what is left over after rounding down goes to those with the
    largest remainders, and by lot among equals."""
    exact = counts / counts.sum() * n
    found = np.floor(exact)
    remainders = exact - found
    missing = int(n - found.sum())
    for remainder in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        (equal,) = np.where(remainders == remainder)
        lucky = rng.choice(equal, size=min(len(equal), missing), replace=False)
        found[lucky] += 1
        missing -= len(lucky)
    return found.astype(int)
