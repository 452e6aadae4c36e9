"""Fitnesses as predictors see them."""

import numpy as np
import pytest

from evonas.predictors.values import at_one_fidelity


def test_full_trainings_keep_their_values():
    assert at_one_fidelity([{1.0: 0.3}, {1.0: 0.9}]).tolist() == [0.3, 0.9]


def test_a_value_grows_by_what_those_have_gained_that_went_on():
    reports = [{0.1: 0.2}, {0.1: 0.3, 0.3: 0.5}, {0.1: 0.4, 0.3: 0.6, 1.0: 0.7}, {0.1: 0.35, 0.3: 0.65}]
    gained = np.mean([0.2, 0.2, 0.3])
    assert at_one_fidelity(reports) == pytest.approx([0.2 + gained + 0.1, 0.6, 0.7, 0.75])


def test_where_nothing_has_both_fidelities_the_means_say_the_growth():
    assert at_one_fidelity([{0.5: 0.2}, {0.5: 0.4}, {1.0: 0.8}]) == pytest.approx([0.7, 0.9, 0.8])


def test_the_furthest_fidelity_need_not_be_the_end():
    assert at_one_fidelity([{0.1: 0.2}, {0.1: 0.3, 0.3: 0.5}]) == pytest.approx([0.4, 0.5])
