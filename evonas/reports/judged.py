"""A judgement example by example and class by class, as rows of tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from evonas.judgement import Judgement

MATRIX = 10  # up to so many classes the confusion matrix is shown as a whole
MISTAKES = 10  # of more classes so many of its largest entries
WRONG = 10  # so many examples are named


def confusion_rows(judged: Judgement) -> tuple[list[dict[str, str]], str]:
    """The confusion matrix, or of many classes the most frequent mistakes; and the title of that table."""
    names, confusion = judged.classes, judged.confusion
    if len(names) <= MATRIX:
        rows = [
            {"": name} | dict(zip(names, map(str, row), strict=True))
            for name, row in zip(names, confusion, strict=True)
        ]
        return rows, "images by their class (row) and what was said (column)"
    mistakes = confusion - np.diag(confusion.diagonal())
    largest = np.argsort(-mistakes, axis=None, kind="stable")[:MISTAKES]
    found = [divmod(int(place), len(names)) for place in largest]
    return [
        {
            "class": names[label],
            "taken for": names[said],
            "images": f"{mistakes[label, said]} of {judged.counts[label]}",
        }
        for label, said in found
        if mistakes[label, said]
    ], "the most frequent mistakes"


def most_wrong(judged: Judgement) -> list[dict[str, Any]]:
    """The examples that were most surely said to be of another class than theirs: picture, class, said, sure (the
    probability of what was said)."""
    return [
        {
            "picture": row if judged.names is None else judged.names[row],
            "class": judged.classes[judged.targets[row]],
            "said": judged.classes[judged.said[row]],
            "sure": float(judged.probabilities[row].max()),
        }
        for row in judged.most_wrong(WRONG)
    ]


def wrong_rows(judged: Judgement) -> list[dict[str, str]]:
    """The same as a table."""
    return [
        {name: str(value) for name, value in row.items()} | {"sure": f"{row['sure']:.1%}"} for row in most_wrong(judged)
    ]
