"""Rows without a split of their own: merged where they are equal, and parted."""

import numpy as np
import pytest

from evonas.data.partition import merged, parted
from evonas.errors import UserError


def test_equal_rows_of_a_class_are_one_with_the_sum_of_their_weights():
    x = np.array([[1.0], [2.0], [1.0], [1.0], [-0.0], [0.0], [7.0]], np.float32)
    y = np.array([0, 0, 0, 1, 1, 1, 0])
    found = merged(x, y, np.array([1.0, 1.0, 2.0, 1.0, 4.0, 5.0, 0.0]))
    rows = sorted(zip(found[0].ravel().tolist(), found[1].tolist(), found[2].tolist(), strict=True))
    assert rows == [(0.0, 1, 9.0), (1.0, 0, 3.0), (1.0, 1, 1.0), (2.0, 0, 1.0)]  # that of no weight is not there


def test_rows_come_in_the_same_order_however_they_are_given():
    rng = np.random.default_rng(0)
    x, y, weights = rng.integers(0, 3, (50, 2)).astype(np.uint8), rng.integers(0, 2, 50), rng.integers(0, 4, 50) + 0.0
    order = rng.permutation(50)
    for one, other in zip(merged(x, y, weights), merged(x[order], y[order], weights[order]), strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype


def test_parts_have_their_shares_and_the_classes_theirs():
    y = np.repeat([0, 1], [60, 40])
    found = parted(y, 0.2, 0.1, seed=0)
    sizes = [len(found.train), len(found.validation), len(found.test)]
    assert sizes == [72, 18, 10]
    assert sorted([*found.train, *found.validation, *found.test]) == list(range(100))
    assert np.bincount(y[found.test]).tolist() == [6, 4]
    assert np.bincount(y[found.validation]).tolist() == [11, 7]
    assert found.tested
    assert not np.array_equal(parted(y, 0.2, 0.1, seed=1).test, found.test)


def test_a_rare_class_is_trained_on_before_it_is_compared_and_compared_before_it_is_tested():
    y = np.array([0, *[1] * 2, *[2] * 30])
    for seed in range(20):
        found = parted(y, 0.5, 0.5, seed)
        assert {0, 1, 2} == set(y[found.train])
        assert 0 not in y[found.validation]
        assert set(y[found.test]) == {2}


def test_without_enough_rows_the_validation_part_is_the_test_part_too():
    found = parted(np.array([0, 0, 1, 1]), 0.5, 0.5, seed=0)
    assert not found.tested
    assert np.array_equal(found.test, found.validation)
    with pytest.raises(UserError, match="3 different samples, one of each class"):
        parted(np.array([0, 1, 2]), 0.2, 0.2, seed=0)
