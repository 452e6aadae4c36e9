"""Real learning curves."""

from pathlib import Path

import pytest

from evonas.curves import Curve
from evonas.curves.table import read_curves


@pytest.fixture(scope="session")
def digits() -> list[Curve]:
    """200 random perceptrons on the digits, 40 epochs each: benchmarks/learning_curves.py."""
    return read_curves(Path(__file__).parents[1] / "data" / "curves_digits.csv.gz", without=("network",))
