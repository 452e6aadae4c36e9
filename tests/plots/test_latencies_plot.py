"""What networks take, over what was predicted of them."""

import pytest

from evonas.plots import latencies


def drawn(target, *pairs):
    networks = [{"predicted": predicted, "measured": measured} for predicted, measured in pairs]
    taken = {"target": target, "device": "cpu", "machine": "a $machine$", "networks": networks}
    (axes,) = latencies(taken, title="a search").axes
    return axes


def test_networks_lie_at_what_was_predicted_and_measured_and_the_first_is_a_star():
    axes = drawn(3.0, (2.0, 2.2), (1.0, 1.0), (4.0, 3.0))
    lines = {line.get_marker(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
    assert lines["*"] == [(2.0, 2.2)]
    assert lines["o"] == [(1.0, 1.0), (4.0, 3.0)]
    assert axes.get_title().startswith("3 networks")
    assert "within 14% in the mean" in axes.get_title()  # 9, 0 and 33 %
    assert axes.get_xlim() == axes.get_ylim()


@pytest.mark.parametrize(("target", "shown"), [(2.0, True), (5.5, True), (50.0, False), (0.1, False)])
def test_a_target_far_from_all_networks_does_not_crowd_them_into_a_corner(target, shown):
    axes = drawn(target, (2.0, 2.2), (1.0, 1.0), (4.0, 3.0))
    assert any(list(line.get_xdata()) == [target, target] for line in axes.lines) is shown
    assert axes.get_xlim()[1] < 1.5 * 1.1 * 4.0


def test_one_network_has_no_rank_correlation():
    assert "rank correlation" not in drawn(3.0, (2.0, 2.2)).get_title()
    many = [(1.0 + n / 10, 1.1 + n / 10) for n in range(5)]
    assert "rank correlation 1.00" in drawn(3.0, *many).get_title()
