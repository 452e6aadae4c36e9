"""scikit-learn's own checks of an estimator, on the smallest search that learns: none of them is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import evonas

SMALLEST = evonas.NASClassifier(
    budget=2, settings={"channels": 8, "layers": 2, "epochs": 3, "batch_size": 16, "final.epochs": 20}, random_state=0
)
QUIET = "ignore:.*too few for a test part:UserWarning"


@pytest.mark.filterwarnings(QUIET)
@parametrize_with_checks([SMALLEST])
def test_scikit_learn_finds_what_it_expects(estimator, check):
    check(estimator)
