"""The picture of one training."""

import io

import pytest

from evonas.plots import training_curve

ROWS = [(epoch, 2 / epoch, 1 - 0.5 / epoch) for epoch in range(1, 11)]


def test_loss_and_accuracy_are_drawn_over_epochs():
    loss, accuracy = training_curve(ROWS).axes
    assert [tuple(point) for point in loss.lines[0].get_xydata()] == [(e, value) for e, value, _ in ROWS]
    assert [tuple(point) for point in accuracy.lines[0].get_xydata()] == [(e, 100 * value) for e, _, value in ROWS]


def test_without_validation_there_is_the_loss_alone():
    (loss,) = training_curve([(epoch, value, None) for epoch, value, _ in ROWS]).axes
    assert loss.get_ylabel() == "training loss"


@pytest.mark.parametrize("chosen", [1, 5, 6, 10])
@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_the_kept_epoch_is_marked_inside_the_picture(chosen, count):
    rows = ROWS[:count]
    chosen = min(chosen, count)
    figure = training_curve(rows, chosen=chosen)
    figure.savefig(io.BytesIO(), format="png")
    loss = figure.axes[0]
    (text,) = loss.texts
    assert text.get_text() == f"kept: epoch {chosen}"
    assert loss.get_window_extent().x0 <= text.get_window_extent().x0
    assert text.get_window_extent().x1 <= loss.get_window_extent().x1
