"""What a classifier's answers are worth: held against scikit-learn's metrics and against worked cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from evonas.judgement import Judgement, difference, interval


def judged(seed, count=200, classes=4, occurring=None):
    rng = np.random.default_rng(seed)
    targets = rng.integers(occurring or classes, size=count)
    outputs = rng.normal(size=(count, classes)) + 1.5 * np.eye(classes)[targets]
    shares = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    return Judgement(tuple(f"class {n}" for n in range(classes)), targets, shares.astype(np.float32))


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed):
    found = judged(seed)
    said = found.probabilities.argmax(1)
    assert found.confusion.tolist() == metrics.confusion_matrix(found.targets, said).tolist()
    assert found.accuracy == pytest.approx(metrics.accuracy_score(found.targets, said))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(found.targets, said))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(found.targets, said, average="macro"))
    assert found.recall == pytest.approx(metrics.recall_score(found.targets, said, average=None))
    assert found.precision == pytest.approx(metrics.precision_score(found.targets, said, average=None))


def test_a_class_that_does_not_occur_is_left_out_of_the_means_and_has_no_recall():
    found = judged(0, occurring=3)
    said = found.probabilities.argmax(1)
    assert math.isnan(found.recall[3])
    assert found.balanced_accuracy == pytest.approx(np.mean(found.recall[:3]))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(found.targets, said, average="macro"))
    assert found.to_json()["classes"]["class 3"]["recall"] is None


def test_the_calibration_error_of_a_worked_case():
    # ten answers with confidence .95, of which eight are right; ten with .55, of which five are
    shares = np.array([[0.95, 0.05]] * 10 + [[0.55, 0.45]] * 10)
    targets = np.array([0] * 8 + [1] * 2 + [0] * 5 + [1] * 5)
    found = Judgement(("a", "b"), targets, shares)
    assert found.calibration_error == pytest.approx((10 * 0.15 + 10 * 0.05) / 20)
    assert found.confidence == pytest.approx(0.75)


def test_whoever_is_always_sure_and_always_right_is_calibrated():
    found = Judgement(("a", "b"), np.array([0, 1]), np.eye(2))
    assert found.calibration_error == 0
    assert found.taken_for == [("", 0), ("", 0)]
    assert found.most_wrong(3) == []


def test_the_most_wrong_are_the_surest_ones():
    shares = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    found = Judgement(("cat", "dog"), np.array([1, 0, 0, 0]), shares)
    assert found.most_wrong(2) == [1, 2]
    assert found.taken_for == [("dog", 2), ("cat", 1)]


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(0.0, 10, 0.0, 0.2775), (0.5, 10, 0.2366, 0.7634), (0.8, 2000, 0.7819, 0.8169), (1.0, 360, 0.9894, 1.0)],
)
def test_wilson_intervals_of_worked_cases(share, count, low, high):
    assert interval(share, count) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 400), st.integers(1, 400))
def test_an_interval_holds_its_share(right, count):
    share = min(right, count) / count
    low, high = interval(share, count)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize(
    ("won", "lost", "count", "words"),
    [
        (60, 20, 1000, "better"),
        (20, 60, 1000, "worse"),
        (45, 40, 1000, "within the noise"),
        (0, 0, 1000, "within the noise"),
        (1, 0, 10, "within the noise"),
        (4, 0, 360, "within the noise"),
        (9, 0, 360, "better"),
    ],
)
def test_the_words_of_a_difference_follow_its_interval(won, lost, count, words):
    ours = np.zeros(count, bool)
    theirs = np.zeros(count, bool)
    ours[:won] = True
    theirs[won : won + lost] = True
    found = difference(ours, theirs)
    assert found.value == pytest.approx((won - lost) / count)
    assert found.words == words
    assert found.low <= found.high


def answered(both, won, lost, neither):
    ours = np.r_[np.ones(both + won), np.zeros(lost + neither)]
    theirs = np.r_[np.ones(both), np.zeros(won), np.ones(lost), np.zeros(neither)]
    return ours, theirs


@pytest.mark.parametrize(
    ("cells", "interval"),
    [  # the first is an example of the paper, with its interval
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((2, 14, 1, 0), None),
        ((0, 3, 0, 0), None),
    ],
)
def test_intervals_of_differences_are_those_of_newcombe(cells, interval):
    found = difference(*answered(*cells))
    back = difference(*reversed(answered(*cells)))
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert found.low < found.value <= found.high
    if interval is not None:
        assert (found.low, found.high) == pytest.approx(interval, abs=2e-4)


@pytest.mark.parametrize(("ours", "theirs"), [([True], [True, False]), ([], [])])
def test_what_are_no_pairs_is_refused(ours, theirs):
    with pytest.raises(ValueError, match="no pairs"):
        difference(ours, theirs)


def test_the_interval_of_a_difference_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for shares in ([0.7, 0.12, 0.08, 0.1], [0.98, 0.012, 0.002, 0.006]):  # both right, one alone, the other, neither
        found = [difference(*answered(*rng.multinomial(300, shares))) for _ in range(400)]
        held = sum(each.low <= shares[1] - shares[2] <= each.high for each in found)
        assert 0.93 < held / 400 <= 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="are not those of 3 examples and 2 classes"):
        Judgement(("a", "b"), np.zeros(3, int), np.zeros((2, 2)))
