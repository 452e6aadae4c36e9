"""A judgement as tables: the confusion matrix, and the examples that were most surely mistaken."""

import numpy as np

from evonas.judgement import Judgement
from evonas.reports.judged import confusion_rows, most_wrong, wrong_rows


def judged(size, pairs, names=None):
    """A judgement of (class, said, sure)."""
    probabilities = np.zeros((len(pairs), size))
    for row, (_, said, sure) in enumerate(pairs):
        probabilities[row] = (1 - sure) / (size - 1)
        probabilities[row, said] = sure
    classes = tuple(f"c{label}" for label in range(size))
    return Judgement(classes, np.array([label for label, _, _ in pairs]), probabilities, names)


def test_of_few_classes_the_confusion_matrix_is_a_table():
    rows, title = confusion_rows(judged(3, [(0, 0, 0.9), (0, 2, 0.6), (0, 2, 0.7), (2, 1, 0.8)]))
    assert rows == [
        {"": "c0", "c0": "1", "c1": "0", "c2": "2"},
        {"": "c1", "c0": "0", "c1": "0", "c2": "0"},
        {"": "c2", "c0": "0", "c1": "1", "c2": "0"},
    ]
    assert title == "images by their class (row) and what was said (column)"


def test_of_many_classes_the_most_frequent_mistakes_are_told():
    pairs = [(0, 0, 0.9)] * 5 + [(11, 3, 0.9)] * 3 + [(11, 11, 0.9)] + [(2, 7, 0.9)] * 2
    rows, title = confusion_rows(judged(12, pairs))
    assert rows == [
        {"class": "c11", "taken for": "c3", "images": "3 of 4"},
        {"class": "c2", "taken for": "c7", "images": "2 of 2"},
    ]
    assert title == "the most frequent mistakes"
    assert len(confusion_rows(judged(40, [(label, label + 1, 0.9) for label in range(39)]))[0]) == 10


def test_the_most_surely_mistaken_come_first_by_name_or_number():
    pairs = [(0, 1, 0.7), (1, 1, 0.99), (1, 0, 0.9)]
    assert wrong_rows(judged(2, pairs)) == [
        {"picture": "2", "class": "c1", "said": "c0", "sure": "90.0%"},
        {"picture": "0", "class": "c0", "said": "c1", "sure": "70.0%"},
    ]
    assert [row["picture"] for row in most_wrong(judged(2, pairs))] == [2, 0]
    assert [row["picture"] for row in most_wrong(judged(2, pairs, ("a", "b", "c")))] == ["c", "a"]
