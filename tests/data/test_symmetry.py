"""Whether pictures may be mirrored is seen in the training and validation data."""

from pathlib import Path

import numpy as np
import pytest

from evonas.data.sources import Source, load
from evonas.data.symmetry import mirrors
from evonas.tasks.classification import ImageClassification

SHARED = Path(__file__).parents[3] / "shared" / "data"


def kept(tmp_path, x, y):
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    return load(Source(str(tmp_path / "data.npz"), validation=0.3))


def test_digits_are_not_mirrored():
    assert not mirrors(load(Source("digits")))
    assert ImageClassification(Source("digits")).augmentation() == {"crop": 1, "flip": False}


@pytest.mark.skipif(not SHARED.exists(), reason="needs pictures that are not part of the product")
@pytest.mark.parametrize(
    ("name", "suits"),
    [("mnist_12k", {"crop": 4, "flip": False}), ("cifar10_12k", {"crop": 4, "flip": True})],
)
def test_animals_and_vehicles_are_mirrored_and_handwriting_is_not(name, suits):
    assert ImageClassification(Source(str(SHARED / f"{name}.npz"))).augmentation() == suits


def test_what_differs_from_left_to_right_is_not_mirrored(tmp_path):
    x, y = np.zeros((200, 16, 20), np.uint8), np.arange(200) % 2
    x[y == 0, :, :10] = 200
    x[y == 1, :, 10:] = 200
    assert not mirrors(kept(tmp_path, x, y))


def test_what_differs_from_top_to_bottom_is_mirrored(tmp_path):
    x, y = np.zeros((200, 20, 16), np.uint8), np.arange(200) % 2
    x[y == 0, :10] = 200
    x[y == 1, 10:] = 200
    assert mirrors(kept(tmp_path, x, y))


def test_noise_is_mirrored_for_nothing_speaks_against_it(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (200, 3, 3), dtype=np.uint8)
    assert mirrors(kept(tmp_path, x, np.arange(200) % 4))


def test_the_test_pictures_are_not_looked_at(tmp_path):
    x, y = np.zeros((200, 16, 16), np.uint8), np.arange(200) % 2
    x[y == 0, :, :8] = 200
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=np.full_like(x, 7), y_test=y[::-1])
    assert not mirrors(load(Source(str(tmp_path / "data.npz"), validation=0.3)))
