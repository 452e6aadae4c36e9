"""What a predictor thought, against what came out."""

import numpy as np
import pytest

from evonas.plots import predictions


def record(predicted, value, number=0, **others):
    proposal = {} if predicted is None else {"predicted": predicted, "low": predicted - 0.05, "high": predicted + 0.05}
    return {"id": number, "genome": [number], "parents": [], "operator": "random", "phase": "search", "role": None,
            "values": [] if value is None else [value], "status": "failed" if value is None else "full",
            "proposal": proposal | others, "generation": None, "t": 1.0}  # fmt: skip


def points(axes):
    return [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() in ("o", "v")]


def test_a_point_stands_for_each_network_that_was_predicted_and_evaluated():
    records = [record(None, 0.5), record(0.6, 0.7, 1), record(0.8, 0.75, 2), record(0.9, None, 3)]
    left, right = predictions(records).axes
    assert points(left) == [pytest.approx((60, 70)), pytest.approx((80, 75))]
    assert left.get_xlabel() == "predicted validation accuracy (%)"
    assert not [line for line in right.lines if line.get_label() == "rank"]


def test_the_title_says_how_well_they_were_ranked():
    rng = np.random.default_rng(0)
    values = rng.random(40)
    for sign, said in ((1, "1.00"), (-1, "−1.00")):
        records = [record(float(0.5 + sign * 0.3 * value), float(value), n) for n, value in enumerate(values)]
        assert predictions(records).axes[0].get_title() == f"40 networks, rank correlation {said}"


def test_rank_correlations_are_running_and_beside_those_that_were_trusted():
    """Right at first, wrong for as long as a window, so that the last one is -1."""
    records = [record(n / 100, n / 100, n, rank_correlation=0.3) for n in range(20)]
    records += [record(1 - n / 100, n / 100, n, rank_correlation=0.4) for n in range(20, 40)]
    running, trusted = [line.get_ydata() for line in predictions(records).axes[1].lines[1:]]
    assert (running[0], running[-1]) == pytest.approx((1, -1))
    assert len(running) == 36
    assert (trusted[0], trusted[-1]) == (0.3, 0.4)


def test_a_network_that_hardly_learnt_does_not_press_the_others_together():
    records = [record(0.7 + n / 100, 0.7 + n / 100, n) for n in range(20)] + [record(0.8, 0.1, 20)]
    left = predictions(records).axes[0]
    assert left.get_ylim()[0] > 30
    assert [line.get_marker() for line in left.lines].count("v") == 1
    assert min(y for _, y in points(left)) == pytest.approx(left.get_ylim()[0], abs=3)  # at the edge, not beyond it


def test_without_predictions_it_says_so():
    (text,) = predictions([record(None, 0.5)]).axes[0].texts
    assert text.get_text() == "no network was proposed by a predictor"
