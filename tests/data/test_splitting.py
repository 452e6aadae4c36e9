"""Stratified splits, and the digits, beside scikit-learn's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evonas.data import sources
from evonas.data.sources import Source, load
from evonas.data.splitting import split
from evonas.errors import UserError


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_split_is_that_of_scikit_learn(classes):
    from sklearn.model_selection import train_test_split

    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = rng.permutation(np.repeat(np.arange(classes), rng.integers(2, 12 if seed % 2 else 60, classes)))
        share = float(rng.uniform(classes / len(y), 1 - classes / len(y)))
        if min(np.ceil(share * len(y)), len(y) - np.ceil(share * len(y))) < classes:
            continue
        expected = train_test_split(np.arange(len(y)), test_size=share, random_state=seed, stratify=y)
        found = split("own", y, tuple(map(str, range(classes))), share, seed, "")
        assert [part.tolist() for part in found] == [part.tolist() for part in expected]


def test_equal_remainders_are_settled_by_the_same_lot():
    from sklearn.model_selection import train_test_split

    y = np.repeat(np.arange(7), 5)  # a fifth of 35 is seven; a fourth leaves 1.25 of each
    for seed in range(20):
        expected = train_test_split(np.arange(35), test_size=0.25, random_state=seed, stratify=y)
        found = split("own", y, tuple("abcdefg"), 0.25, seed, "")
        assert [part.tolist() for part in found] == [part.tolist() for part in expected]


def test_digits_are_read_and_split_without_loading_scikit_learn():
    code = ("import sys; from evonas.data.sources import Source, load; load(Source('digits')); "
            "print([name for name in ('sklearn', 'scipy', 'torch') if name in sys.modules])")  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_where_scikit_learn_is_not_digits_say_so(monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    load.cache_clear()
    with pytest.raises(UserError, match="pip install scikit-learn"):
        load(Source("digits", seed=11))
