"""Learning curves from a file."""

import gzip

import pytest

from evonas.curves import Curve
from evonas.curves.table import read_curves
from evonas.errors import UserError

TEXT = "net,lr,number,acc_0,acc_1,acc_2,loss_1,loss_2\nC(3),0.1,7,0.05,0.2,0.4,2.0,1.5\nC(5),0.01,8,0.04,0.3,,1.0,\n"


def test_values_losses_and_features_are_read(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(TEXT)
    first, second = read_curves(path, without=("number",))
    assert first == Curve((0.2, 0.4), (2.0, 1.5), (("lr", 0.1),))
    assert second == Curve((0.3,), (1.0,), (("lr", 0.01),))
    packed = tmp_path / "curves.csv.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    assert read_curves(packed, without=("number",)) == [first, second]


def test_the_digits_have_what_the_models_use(digits):
    assert len(digits) == 200
    assert all(len(curve.values) == len(curve.losses) == 40 for curve in digits)
    assert {name for name, _ in digits[0].features} == {"layers", "parameters", "lr", "weight_decay", "batch", "adam"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("net,lr\nC,0.1\n", "acc_1"), ("acc_1,acc_2,acc_3\n0.1,,0.3\n", "acc_2"), ("acc_1,acc_2\n0.1,high\n", "acc_2")],
)
def test_what_is_no_table_of_curves_is_refused(tmp_path, text, says):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_curves(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "curves.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:40])
    with pytest.raises(UserError, match="cannot read"):
        read_curves(path)
