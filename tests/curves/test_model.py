"""What all curve models share."""

import subprocess
import sys

import pytest

from evonas.curves import Curve
from evonas.curves.baker import Baker
from evonas.curves.domhan import Domhan
from evonas.curves.lcnet import LCNet
from evonas.curves.model import complete
from evonas.curves.statistics import LastValue, TrainingSpeed
from evonas.errors import UserError


def test_a_curve_as_it_was_seen_knows_its_features_and_nothing_later():
    curve = Curve((0.1, 0.2, 0.3), (3.0, 2.0, 1.0), (("lr", 0.1),))
    assert curve.seen(2) == Curve((0.1, 0.2), (3.0, 2.0), (("lr", 0.1),))
    assert curve.seen(0) == Curve((), (), (("lr", 0.1),))


def test_complete_curves_are_those_of_so_many_finite_values_in_an_order_of_their_own():
    low, high = Curve((0.1, 0.2)), Curve((0.3, 0.4))
    others = [Curve((0.1,)), Curve((0.1, 0.2, 0.3)), Curve((0.1, float("nan")))]
    assert complete([high, *others, low], 2) == complete([low, high], 2) == (low, high)


@pytest.mark.parametrize(
    "model", [LastValue(), TrainingSpeed(), Baker(), Domhan(), LCNet()], ids=lambda model: type(model).__name__
)
def test_a_model_that_was_never_fitted_predicts_nothing(model):
    with pytest.raises(UserError, match="fit"):
        model.predict(Curve((0.1, 0.2)))


def test_what_a_model_stands_on_is_loaded_when_it_is_used():
    code = ("import sys, evonas.curves, evonas.curves.baker, evonas.curves.domhan, evonas.curves.statistics, "
            "evonas.curves.termination, evonas.curves.table; "
            "print([name for name in ('torch', 'sklearn', 'scipy', 'emcee') if name in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
