"""Splitting labelled data: what is held out has the classes in the proportions of the whole."""

from __future__ import annotations

import numpy as np

from evonas.errors import UserError

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]  # x, y train; x, y test; class names

TEST_SHARE = 0.2  # of a set that comes without a test split
TEST_SEED = 0  # fixed: the test split of a set is the same in every run


def check_labels(name: str, y_train: np.ndarray, y_test: np.ndarray, classes: tuple[str, ...]) -> None:
    for part, y in (("train", y_train), ("test", y_test)):
        if y.max() >= len(classes):
            raise UserError(
                f"{name}: y_{part} holds label {y.max()}, but there are {len(classes)} classes, numbered from 0; "
                "give every class images in y_train and, where there is an array `classes`, a name"
            )


def without_test_part(name: str, x: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> Parts:
    """A test part, the same for every seed, is split off."""
    train, test = split(name, y, classes, TEST_SHARE, TEST_SEED)
    return x[train], y[train], x[test], y[test], classes


def split(name: str, y: np.ndarray, classes: tuple[str, ...], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of what stays and of the share that is held out, each with the classes in the proportions of y."""

    from sklearn.model_selection import train_test_split

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
    try:
        stay, held_out = train_test_split(np.arange(len(y)), test_size=share, random_state=seed, stratify=y)
    except ValueError as error:
        raise UserError(
            f"{name}: {share:g} of {len(y)} images cannot be held out with every class on both sides "
            f"({reason(error)}); give more images, or change --validation"
        ) from error
    return stay, held_out


def reason(error: Exception) -> str:
    """The error in one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:200]
