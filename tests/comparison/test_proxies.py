"""What is said of how proxies rank, by values by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from evonas.comparison.proxies import Ranking, Sample
from evonas.evaluation.table import ACCURACY


def ranking(true, *, top=None, everything=None, **proxies):
    true = np.array(true, dtype=float)
    names = {"shared weights": true, "untrained": true, "multiply-adds": true, "parameters": true, "layers": true}
    given = {name.replace("_", "-" if "adds" in name else " "): np.array(each) for name, each in proxies.items()}
    sample = Sample([f"code {number}" for number in range(len(true))], true, names | given)
    everything = true if everything is None else np.array(everything)
    return Ranking("cells on digits", "by hand", ACCURACY, ACCURACY, sample, top, everything, 0, {}, Path("out"))


def cells(found, label):
    (row,) = [row for row in found.rows() if row[""] == label]
    return row


def dots(axes):
    return [line.get_ydata() for line in axes.lines]


def test_a_side_that_is_constant_has_no_tau_and_the_words_say_so():
    found = ranking(np.arange(12) / 12, layers=[3] * 12)
    assert cells(found, "Kendall's tau")["layers"] == "none"
    assert cells(found, "  95 % interval")["layers"] == ""
    assert cells(found, "Kendall's tau")["shared weights"] == "1.00"
    assert "All are equal by layers, which has no tau." in found.said
    json.dumps(found.to_json(), allow_nan=False)
    assert found.to_json()["proxies"]["layers"]["tau"]["value"] is None
    flat = ranking([0.5] * 12, shared_weights=np.arange(12), multiply_adds=np.arange(12))
    assert "All true values are equal: nothing can be ranked." in flat.said
    assert set(cells(flat, "Kendall's tau").values()) == {"Kendall's tau", "none"}


def test_few_genomes_are_warned_of():
    assert "9 genomes are few: where none are tied, their tau takes 37 values" in ranking(np.arange(9) / 9).said[0]
    assert not any("few" in said for said in ranking(np.arange(10) / 10).said)


@pytest.mark.parametrize(("sign", "said"), [(1, "1.00: no better than"), (-1, "1.00: better than")])
def test_the_supernet_is_held_against_size(sign, said):
    true = np.arange(20) / 20
    found = ranking(true, shared_weights=sign * true, parameters=-true, layers=-true)
    assert f"By size alone (multiply-adds), tau is {said} by the shared weights." in found.said


def test_at_equal_multiply_adds_size_says_nothing_and_the_shared_weights_may():
    true = np.arange(20) / 20
    found = ranking(true, multiply_adds=np.repeat([1, 2], 10))
    label = "tau at equal multiply-adds"
    assert (cells(found, label)["multiply-adds"], cells(found, label)["shared weights"]) == ("none", "1.00")
    assert "Equal multiply-adds: 20 genomes in 2 strata." in found.said


def test_the_choice_of_a_proxy_has_a_regret_in_points_and_a_place_in_the_whole_space():
    true = [0.90, 0.80, 0.93]
    found = ranking(true, everything=[*true, *[0.91] * 7], shared_weights=[3, 1, 2], untrained=[1, 1, 1])
    assert cells(found, "regret of its choice (points)")["shared weights"] == "3.00"
    assert cells(found, "its choice is in the best")["shared weights"] == "90.0%"
    assert cells(found, "regret of its choice (points)")["untrained"] == "5.33"  # the mean of all three
    assert cells(found, "its choice is in the best")["layers"] == "10.0%"


def test_the_picture_has_every_network_in_both_panels_and_arrows_for_what_lies_below():
    true = [0.1, *np.linspace(0.9, 0.95, 29)]
    top = Sample(["best"] * 3, np.array([0.94, 0.95, 0.96]), {name: np.arange(3.0) for name in (
        "shared weights", "untrained", "multiply-adds", "parameters", "layers")})  # fmt: skip
    figure = ranking(true, top=top, multiply_adds=-np.arange(30)).figure()
    left, right = figure.axes
    for axes in (left, right):
        assert [len(each) for each in dots(axes)] == [29, 1, 3, 0]  # each with those that lie below the axis
        low, high = axes.get_ylim()
        assert all(low < value < high for each in dots(axes) for value in each)
        assert low > 85
    assert left.get_title() == "30 networks, Kendall's tau 1.00"
    assert right.get_title() == "30 networks, Kendall's tau −1.00"
    assert left.get_xlabel() == "by shared weights: validation accuracy (%)"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "drawn from the whole space", "drawn from the table's best tenth",
    ]  # fmt: skip
    alone = ranking([0.5] * 12).figure()
    assert "no tau" in alone.axes[0].get_title()
    assert not alone.legends
