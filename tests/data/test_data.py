"""Known sets, folders and .npz files become the same arrays; every mistake a user can make gets one line of advice."""

import gzip
import io
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from evonas.data import npz as npz_file
from evonas.data import sources as data
from evonas.data.sources import DATASETS, ImageData, Source, load
from evonas.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("the network was touched")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def labels(classes: int, each: int) -> np.ndarray:
    return np.tile(np.arange(classes), each)


def images(count: int, *shape: int, dtype=np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(dtype)


def good_arrays(**changes) -> dict[str, np.ndarray]:
    """Three classes, 10 training and 4 test images of each; a change to None leaves the array out."""
    arrays = {
        "x_train": images(30, 5, 6, 3),
        "y_train": labels(3, 10),
        "x_test": images(12, 5, 6, 3, seed=1),
        "y_test": labels(3, 4),
        **changes,
    }
    return {key: array for key, array in arrays.items() if array is not None}


@pytest.fixture
def npz(tmp_path):
    def save(**changes) -> str:
        np.savez(tmp_path / "set.npz", **good_arrays(**changes))
        return str(tmp_path / "set.npz")

    return save


def picture(path: Path, width: int = 6, height: int = 5, colour=(255, 0, 0), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).convert(mode).save(path)
    return path


def class_folders(folder: Path, each: int = 10, classes=("cat", "dog")) -> Path:
    """Every picture in a red of its own, so that it can be told which part it went to."""
    for i, name in enumerate(classes):
        for j in range(each):
            picture(folder / name / f"{j}.png", colour=(i * each + j, 0, 0))
    return folder


def message_of(source: Source) -> str:
    with pytest.raises(UserError) as error:
        load(source)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- Source ----


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"name": ""}, "the name of the data is empty"),
        ({"size": 0}, "size is 0"),
        ({"validation": 0.0}, "validation is 0.0"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"validation": float("nan")}, "validation is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_source_out_of_range_is_refused(values, part):
    with pytest.raises(UserError, match=part):
        Source(**{"name": "digits", **values})


def test_source_travels_as_a_small_hashable_value():
    source = Source("digits", size=16, seed=3)
    assert pickle.loads(pickle.dumps(source)) == source
    assert hash(Source("digits", size=16, seed=3)) == hash(source)


def test_import_loads_no_heavy_library():
    code = "import sys, evonas.data; print([m for m in ('torch', 'torchvision', 'sklearn', 'PIL') if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_every_named_set_can_be_read():
    assert set(DATASETS) == set(data.READERS)
    assert all(hasattr(torchvision.datasets, published.loader) for published in data.PUBLISHED.values())


# ---- Split and derived values ----


def test_digits_have_their_known_shapes():
    digits = load(Source("digits"))
    assert digits.x_train.shape == (1149, 1, 8, 8)  # 1797 - 360 test - 288 validation
    assert digits.x_validation.shape == (288, 1, 8, 8)
    assert digits.x_test.shape == (360, 1, 8, 8)
    assert digits.x_train.dtype == np.uint8
    assert digits.x_train.max() == 16
    assert digits.y_train.dtype == digits.y_validation.dtype == digits.y_test.dtype == np.int64
    assert digits.input_shape == (1, 8, 8)
    assert digits.classes == tuple("0123456789")


def test_parts_are_disjoint_and_complete():
    from sklearn.datasets import load_digits

    digits = load(Source("digits"))
    parts = np.concatenate([digits.x_train, digits.x_validation, digits.x_test]).reshape(-1, 64)
    labels_of_parts = np.concatenate([digits.y_train, digits.y_validation, digits.y_test])
    loaded = sorted(map(tuple, np.column_stack([parts, labels_of_parts])))
    x, y = load_digits(return_X_y=True)
    assert loaded == sorted(map(tuple, np.column_stack([x, y]).astype(int)))


def test_split_keeps_the_proportions_of_the_classes(npz):
    y_train = np.repeat([0, 1, 2], [50, 30, 20])
    loaded = load(Source(npz(x_train=images(100, 4, 4, 3), x_test=images(12, 4, 4, 3), y_train=y_train)))
    assert np.bincount(loaded.y_train).tolist() == [40, 24, 16]
    assert np.bincount(loaded.y_validation).tolist() == [10, 6, 4]


def test_validation_share_is_what_was_asked_for():
    assert len(load(Source("digits", validation=0.5)).x_validation) == 719  # half of 1437, rounded up


def test_same_seed_gives_the_same_split():
    first = load(Source("digits", seed=5))
    load.cache_clear()
    again = load(Source("digits", seed=5))
    assert first is not again
    assert np.array_equal(first.x_validation, again.x_validation)
    assert first.fingerprint == again.fingerprint


def test_other_seed_gives_another_validation_part_but_the_same_test_part():
    one, two = load(Source("digits", seed=1)), load(Source("digits", seed=2))
    assert not np.array_equal(one.x_validation, two.x_validation)
    assert np.array_equal(one.x_test, two.x_test)
    assert np.array_equal(one.y_test, two.y_test)


def test_fingerprint_changes_with_split_size_and_test_part():
    base = load(Source("digits"))
    assert len(base.fingerprint) == 16
    assert int(base.fingerprint, 16) >= 0
    others = [load(Source("digits", seed=1)), load(Source("digits", validation=0.3)), load(Source("digits", size=9))]
    x_test = base.x_test.copy()
    x_test[0, 0, 0, 0] ^= 1
    others.append(replace(base, x_test=x_test))
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_fingerprint_tells_shapes_of_equal_bytes_apart():
    y = np.array([0, 1])

    def fingerprint(height, width):
        x = np.zeros((2, 1, height, width), np.uint8)
        return ImageData("", x, y, 1, x, y, ("a", "b")).fingerprint

    assert fingerprint(2, 3) != fingerprint(3, 2)


def test_mean_and_std_are_those_of_training_and_validation_images():
    digits = load(Source("digits"))
    both = np.concatenate([digits.x_train, digits.x_validation]).astype(np.float64)
    assert digits.mean == pytest.approx([both.mean()])
    assert digits.std == pytest.approx([both.std()])
    assert type(digits.mean[0]) is type(digits.std[0]) is float


def test_mean_and_std_are_per_channel_and_std_is_never_zero():
    y = np.array([0, 1])
    images = np.array([[0, 2], [4, 6], [4, 6], [4, 6]], np.float32).reshape(4, 1, 1, 2)  # mean 4, by hand
    x = np.concatenate([images, np.full_like(images, 7)], axis=1)
    loaded = ImageData("", x, np.array([0, 1, 0, 1]), 2, x[:2], y, ("a", "b"))
    assert loaded.mean == (4.0, 7.0)
    assert loaded.std[0] == pytest.approx(2.0)  # squares 16 4 0 4 0 4 0 4, their mean 4
    assert 0 < loaded.std[1] < 1e-3


def test_an_equal_source_is_loaded_once():
    assert load(Source("digits", seed=9)) is load(Source("digits", seed=9))


def test_loaded_data_survive_pickling():
    digits = load(Source("digits"))
    assert pickle.loads(pickle.dumps(digits)).fingerprint == digits.fingerprint


# ---- .npz files ----


def test_npz_images_come_channels_first_and_contiguous(npz):
    loaded = load(Source(npz()))
    assert loaded.x_test.shape == (12, 3, 5, 6)
    assert np.array_equal(loaded.x_test[7, 2], good_arrays()["x_test"][7, :, :, 2])
    assert all(x.flags.c_contiguous for x in (loaded.x_train, loaded.x_validation, loaded.x_test))
    assert loaded.input_shape == (3, 5, 6)
    assert loaded.classes == ("0", "1", "2")


def test_npz_images_keep_their_labels_through_the_split(npz):
    y_train = labels(3, 10)
    x_train = np.broadcast_to(y_train[:, None, None] * 20, (30, 5, 6)).astype(np.uint8)
    loaded = load(Source(npz(x_train=x_train, x_test=images(12, 5, 6))))
    assert loaded.x_train.shape[1:] == (1, 5, 6)
    assert np.array_equal(loaded.x_train[:, 0, 0, 0], loaded.y_train * 20)
    assert np.array_equal(loaded.x_validation[:, 0, 4, 5], loaded.y_validation * 20)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("uint8", "uint8"), ("int64", "uint8"), (">i2", "uint8"), ("float16", "float32"), (">f8", "float32")],
)
def test_npz_images_become_uint8_or_float32(npz, given, kept):
    x_train, x_test = good_arrays()["x_train"], good_arrays()["x_test"]
    loaded = load(Source(npz(x_train=x_train.astype(given), x_test=x_test.astype(given))))
    assert loaded.x_train.dtype == loaded.x_test.dtype == np.dtype(kept)
    assert np.array_equal(loaded.x_test, x_test.transpose(0, 3, 1, 2))


def test_float_labels_that_are_whole_numbers_are_class_numbers(npz):
    loaded = load(Source(npz(y_train=labels(3, 10).astype(np.float32))))
    assert loaded.y_train.dtype == np.int64
    assert np.bincount(loaded.y_train).tolist() == [8, 8, 8]


@pytest.mark.parametrize("names", [["ant", "bee", "cow"], [b"ant", b"bee", b"cow"]])
def test_class_names_are_read_from_the_npz(npz, names):
    assert load(Source(npz(classes=np.array(names)))).classes == ("ant", "bee", "cow")


def test_npz_with_a_test_set_that_lacks_a_class_is_fine(npz):
    assert load(Source(npz(y_test=np.tile([0, 1], 6)))).y_test.max() == 1


def test_an_npz_may_have_a_validation_part_of_its_own(npz):
    x, y = images(6, 5, 6, 3), np.array([0, 1, 2, 2, 1, 0])
    loaded = load(Source(npz(x_validation=x, y_validation=y)))
    assert np.array_equal(loaded.x_validation, x.transpose(0, 3, 1, 2))
    assert np.array_equal(loaded.y_validation, y)
    assert np.array_equal(loaded.x_train, good_arrays()["x_train"].transpose(0, 3, 1, 2))  # all of it, in its order


def test_weights_stay_with_their_images(npz):
    y_train = labels(3, 10)
    loaded = load(Source(npz(weights_train=y_train + 0.5)))
    assert np.array_equal(loaded.weights, loaded.y + 0.5)
    assert len({replace(loaded, weights=w).fingerprint for w in (None, loaded.weights, loaded.weights + 1)}) == 3
    parts = {"x_validation": images(6, 5, 6, 3), "y_validation": labels(3, 2), "weights_validation": np.full(6, 9)}
    both = load(Source(npz(weights_train=y_train + 1, **parts), seed=1))
    assert both.weights.tolist() == [*(y_train + 1), *[9] * 6]


def one_changed(value, dtype=None) -> np.ndarray:
    y = labels(3, 10).astype(dtype or np.int64)
    y[4] = value
    return y


def with_pixel(value, dtype) -> np.ndarray:
    x = good_arrays()["x_train"].astype(dtype)
    x[3, 2, 1, 0] = value
    return x


WRONG_ARRAYS = {
    "no test arrays": ({"x_test": None, "y_test": None}, ["x_test, y_test missing", "found x_train, y_train", "savez"]),
    "flat images": ({"x_train": images(30, 90)}, ["x_train has shape (30, 90)", "N x H x W x C"]),
    "channels first": ({"x_train": images(30, 3, 8, 8)}, ["x_train has shape (30, 3, 8, 8)", "N x H x W x C"]),
    "no images": ({"x_train": images(0, 5, 6, 3), "y_train": labels(3, 0)}, ["x_train is empty", "give at least"]),
    "no test labels": ({"y_test": labels(3, 0)}, ["y_test is empty", "give one"]),
    "one-hot labels": ({"y_train": np.eye(3)[labels(3, 10)]}, ["y_train has shape (30, 3)", "class number"]),
    "fewer labels": ({"y_train": labels(3, 9)}, ["30 images in x_train but 27 labels in y_train", "one per image"]),
    "fewer test images": ({"x_test": images(9, 5, 6, 3)}, ["9 images in x_test but 12 labels in y_test"]),
    "half labels": ({"y_train": one_changed(0.5, float)}, ["y_train holds labels that are not whole", "0, 1, ..."]),
    "NaN labels": ({"y_train": one_changed(np.nan, float)}, ["y_train holds labels that are not whole"]),
    "text labels": ({"y_test": np.array(["a", "b", "c"] * 4)}, ["y_test holds labels that are not whole"]),
    "negative label": ({"y_train": one_changed(-1)}, ["y_train holds the negative label -1", "from 0"]),
    "new test label": ({"y_test": np.full(12, 3)}, ["y_test holds label 3", "3 classes", "in y_train"]),
    "nameless class": ({"classes": np.array(["a", "b"])}, ["y_train holds label 2", "2 classes", "`classes`"]),
    "nameless test class": (
        {"classes": np.array(["a", "b", "c"]), "y_test": np.full(12, 3)},
        ["y_test holds label 3", "3 classes"],
    ),
    "huge label": ({"y_train": one_changed(10**15)}, ["y_train holds label 1000000000000000"]),
    "names in a table": ({"classes": np.array([["a", "b", "c"]])}, ["classes has shape (1, 3)", "one name per class"]),
    "other test shape": (
        {"x_test": images(12, 5, 7, 3)},
        ["(3, 5, 6) uint8 in x_train", "(3, 5, 7) uint8 in x_test", "one shape"],
    ),
    "other test type": ({"x_test": images(12, 5, 6, 3) / 255}, ["uint8 in x_train", "float32 in x_test", "type"]),
    "NaN pixel": ({"x_train": with_pixel(np.nan, np.float32)}, ["x_train holds NaN", "remove or replace"]),
    "infinite pixel": ({"x_train": with_pixel(np.inf, np.float32)}, ["x_train holds NaN, inf"]),
    "pixel beyond float32": ({"x_train": with_pixel(1e300, np.float64)}, ["x_train", "beyond float32"]),
    "pixel above 255": (
        {"x_train": with_pixel(256, np.int32)},
        ["x_train holds whole numbers from 0 to 256", "float32"],
    ),
    "pixel below 0": ({"x_train": with_pixel(-1, np.int32)}, ["x_train holds whole numbers from -1"]),
    "complex pixels": ({"x_train": with_pixel(0, complex)}, ["x_train is of type complex128", "uint8 or float32"]),
    "one class": ({"y_train": labels(1, 30), "y_test": labels(1, 12)}, ["fewer than two classes (0)", "at least two"]),
    "lonely image": ({"y_train": np.repeat([0, 1, 2], [15, 14, 1])}, ["class 2 (2) has 1 images", "at least two"]),
    "gap in the labels": ({"y_train": np.repeat([0, 2], 15)}, ["class 1 (1) has 0 images", "without gaps"]),
    "no validation labels": ({"x_validation": images(6, 5, 6, 3)}, ["y_validation missing", "of each part"]),
    "nameless validation class": (
        {"x_validation": images(6, 5, 6, 3), "y_validation": np.full(6, 3)},
        ["y_validation holds label 3", "3 classes"],
    ),
    "other validation shape": (
        {"x_validation": images(6, 5, 7, 3), "y_validation": labels(3, 2)},
        ["(3, 5, 7) uint8 in x_validation", "one shape"],
    ),
    "weights of too few": ({"weights_train": np.ones(29)}, ["weights_train has shape (29,)", "each of 30 images"]),
    "weights of nothing": ({"weights_train": np.zeros(30)}, ["weights_train holds numbers that are not above 0"]),
    "weights of one part": (
        {"x_validation": images(6, 5, 6, 3), "y_validation": labels(3, 2), "weights_train": np.ones(30)},
        ["weights_validation missing", "of all images, or of none"],
    ),
    "objects": ({"classes": np.array(["a", "b", "c"], dtype=object)}, ["classes cannot be read", "Python objects"]),
    "object images": ({"x_train": np.array([None] * 30)}, ["x_train cannot be read", "Python objects"]),
}


@pytest.mark.parametrize(("changes", "parts"), WRONG_ARRAYS.values(), ids=WRONG_ARRAYS.keys())
def test_wrong_arrays_are_refused_with_file_array_and_advice(npz, changes, parts):
    file = npz(**changes)
    message = message_of(Source(file))
    assert message.startswith(f"{file}: ")
    for part in parts:
        assert part in message


def test_too_small_a_validation_share_is_refused_with_advice(npz):
    message = message_of(Source(npz(), validation=0.01))
    assert "0.01 of 30 images are 1" in message
    assert "use a --validation from 0.1 to 0.9" in message
    assert "--validation" in message


def damaged(path: Path) -> None:
    np.savez(path, **good_arrays())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("x_train.npy").header_offset + 400  # within the pixels: the checksum will not fit
    content = bytearray(path.read_bytes())
    content[start] ^= 0xFF
    path.write_bytes(content)


def truncated(path: Path) -> None:
    np.savez(path, **good_arrays())
    path.write_bytes(path.read_bytes()[:-100])


def not_an_array(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for key in npz_file.NPZ_ARRAYS:
            archive.writestr(f"{key}.npy", b"text")


WRONG_FILES = {
    "text": (lambda path: path.write_text("no numbers"), "not a readable .npz file, or a damaged one"),
    "empty": (lambda path: path.write_bytes(b""), "not a readable .npz file, or a damaged one"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2])), "not a readable .npz file, or a damaged one"),
    "single array": (lambda path: np.save(path.open("wb"), np.zeros(3)), "not a readable .npz file"),
    "truncated": (truncated, "not a readable .npz file, or a damaged one"),
    "damaged": (damaged, "x_train cannot be read"),
    "text inside": (not_an_array, "x_train has shape ()"),
    "no arrays": (lambda path: np.savez(path), "x_train, y_train, x_test, y_test missing, found nothing"),
}


@pytest.mark.parametrize(("write", "part"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_wrong_files_are_refused(tmp_path, write, part):
    file = tmp_path / "set.npz"
    write(file)
    message = message_of(Source(str(file)))
    assert message.startswith(f"{file}: ")
    assert part in message


def test_pickles_in_an_npz_are_never_run(tmp_path, npz):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    message_of(Source(npz(y_train=np.array([Trap()] * 30, dtype=object))))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["nowhere/set", "set.npz", "~/no such folder/at all"])
def test_missing_paths_are_told(name):
    assert message_of(Source(name)).startswith(f"{name}: no such file")


@pytest.mark.parametrize(
    ("name", "meant"), [("cifar-10", "cifar10"), ("MNIST", "mnist"), ("fashionmnist", "fashion-mnist")]
)
def test_unknown_names_get_the_closest_known_one(name, meant):
    message = message_of(Source(name))
    assert f"unknown data set {name!r}; did you mean {meant!r}?" in message
    assert all(known in message for known in DATASETS)


def test_names_like_no_other_get_only_the_list():
    message = message_of(Source("qqqq"))
    assert "did you mean" not in message
    assert "svhn" in message


# ---- Sizes ----


def test_resizing_gives_the_asked_size_and_keeps_the_type(npz):
    small = load(Source(npz(), size=3))
    assert small.x_train.shape[1:] == small.x_validation.shape[1:] == small.x_test.shape[1:] == (3, 3, 3)
    assert small.x_train.dtype == np.uint8
    digits = load(Source("digits", size=16))
    assert digits.input_shape == (1, 16, 16)
    assert digits.x_train.max() <= 16


def test_resizing_down_averages_and_rounds(npz):
    x_test = np.broadcast_to(np.array([[10, 20], [30, 41]], np.uint8), (12, 2, 2))
    x_train = np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None], (30, 2, 2))
    loaded = load(Source(npz(x_train=x_train, x_test=x_test), size=1))
    assert loaded.x_test.ravel().tolist() == [26] * 12  # Pillow: rows first, 15 and 35.5 -> 36, then 25.5 -> 26
    assert sorted(np.concatenate([loaded.x_train, loaded.x_validation]).ravel().tolist()) == list(range(30))


def test_resizing_floats_does_not_round(npz):
    x_test = np.broadcast_to(np.array([[0.0, 0.25], [0.5, 0.75]]), (12, 2, 2))
    loaded = load(Source(npz(x_train=np.zeros((30, 2, 2)), x_test=x_test), size=1))
    assert loaded.x_test.ravel() == pytest.approx([0.375] * 12)


# ---- Folders ----


def test_class_folders_get_a_fixed_stratified_test_part(tmp_path):
    name = str(class_folders(tmp_path / "set"))
    one, two = load(Source(name, seed=1)), load(Source(name, seed=2))
    assert one.classes == ("cat", "dog")
    assert one.input_shape == (3, 5, 6)
    assert one.x_train.dtype == np.uint8
    assert [np.bincount(y).tolist() for y in (one.y_train, one.y_validation, one.y_test)] == [[6, 6], [2, 2], [2, 2]]
    assert np.array_equal(one.x_test, two.x_test)
    assert not np.array_equal(one.x_validation, two.x_validation)
    reds = np.concatenate([x[:, 0, 0, 0] for x in (one.x_train, one.x_validation, one.x_test)])
    assert sorted(reds.tolist()) == list(range(20))
    assert np.array_equal(one.x_test[:, 0, 4, 5] // 10, one.y_test)


@pytest.mark.parametrize("part", ["test", "val"])
def test_folders_of_parts_are_used_as_they_are(tmp_path, part):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / part, each=3)
    loaded = load(Source(str(tmp_path)))
    assert [len(x) for x in (loaded.x_train, loaded.x_validation, loaded.x_test)] == [16, 4, 6]
    assert loaded.x_test[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert loaded.y_test.tolist() == [0, 0, 0, 1, 1, 1]


def test_validation_is_on_the_validation_folder_where_there_is_a_test_folder_too(tmp_path):
    for part, each in (("train", 10), ("test", 3), ("val", 5)):
        class_folders(tmp_path / part, each=each)
    loaded = load(Source(str(tmp_path)))
    assert [len(x) for x in (loaded.x_train, loaded.x_validation, loaded.x_test)] == [20, 10, 6]
    assert loaded.x_validation[:, 0, 0, 0].tolist() == list(range(10))
    assert loaded.y_validation.tolist() == [0] * 5 + [1] * 5
    assert loaded.notes == ("validation is on the pictures in val",)


def test_grey_pictures_are_read_as_rgb(tmp_path):
    class_folders(tmp_path)
    picture(tmp_path / "cat" / "grey.png", mode="L", colour=(9, 9, 9))
    assert load(Source(str(tmp_path))).input_shape == (3, 5, 6)


def test_pictures_of_differing_sizes_are_named_and_can_be_resized(tmp_path):
    class_folders(tmp_path)
    odd = picture(tmp_path / "dog" / "odd.png", width=9, height=7)
    message = message_of(Source(str(tmp_path)))
    assert f"{odd} is 9 x 7 pixels" in message
    assert f"{tmp_path / 'cat' / '0.png'} is 6 x 5 pixels" in message
    assert "--size" in message
    assert load(Source(str(tmp_path), size=4)).input_shape == (3, 4, 4)


def test_training_and_test_pictures_must_have_one_size(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", each=2)
    odd = picture(tmp_path / "test" / "dog" / "odd.png", width=9)
    assert f"{odd} is 9 x 5 pixels" in message_of(Source(str(tmp_path)))


def test_pictures_are_resized_with_antialiasing(tmp_path):
    class_folders(tmp_path)
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    for i in range(8):
        Image.fromarray(stripes).save(tmp_path / "cat" / f"stripes{i}.png")
    x_train = load(Source(str(tmp_path), size=4)).x_train
    grey = x_train[x_train[:, 2].max(axis=(1, 2)) > 0]  # the striped ones: the others have no blue
    assert len(grey) > 0
    assert np.abs(grey.astype(int) - 100).max() <= 5  # the mean of the stripes; without antialiasing 0 or 200


def one_lacks_a_class(folder: Path) -> Path:
    class_folders(folder / "train")
    class_folders(folder / "test", classes=("cat", "emu"))
    return folder


def unreadable(folder: Path) -> Path:
    class_folders(folder)
    (folder / "dog" / "broken.png").write_bytes(b"no picture")
    return folder


def cut_off(folder: Path) -> Path:
    class_folders(folder)
    content = io.BytesIO()
    Image.fromarray(images(64, 64, 3)).save(content, "PNG")
    (folder / "dog" / "broken.png").write_bytes(content.getvalue()[:2000])
    return folder


def lonely(folder: Path) -> Path:
    class_folders(folder)
    picture(folder / "emu" / "0.png")
    return folder


WRONG_FOLDERS = {
    "empty": (lambda folder: folder.mkdir(), ["class folder", "cat/1.png"]),
    "no class folders": (lambda folder: picture(folder / "0.png"), ["class folder", "cat/1.png"]),
    "class without images": (lambda folder: (class_folders(folder) / "emu").mkdir(), ["emu", "cat/1.png"]),
    "one class": (lambda folder: class_folders(folder, classes=("cat",)), ["fewer than two classes (cat)"]),
    "train alone": (lambda folder: class_folders(folder / "train"), ["fewer than two classes (train)"]),
    "lonely image": (lonely, ["class 2 (emu) has 1 images", "at least two"]),
    "other test classes": (one_lacks_a_class, ["dog, emu: class folders in only one of train and test"]),
    "unreadable image": (unreadable, ["broken.png: not a readable image", "replace or remove"]),
    "cut-off image": (cut_off, ["broken.png: not a readable image", "replace or remove"]),
}


@pytest.mark.parametrize(("build", "parts"), WRONG_FOLDERS.values(), ids=WRONG_FOLDERS.keys())
def test_wrong_folders_are_refused_with_advice(tmp_path, build, parts):
    folder = tmp_path / "set"
    build(folder)
    message = message_of(Source(str(folder)))
    assert str(folder) in message
    for part in parts:
        assert part in message


# ---- torchvision's sets ----


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files: 0, 0, 8 (uint8), the number of dimensions, their sizes as big-endian int32, data."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.astype(np.uint8).tobytes()


def idx_files(folder: Path) -> dict[str, np.ndarray]:
    arrays = {
        "train-images-idx3-ubyte": images(50, 28, 28),
        "train-labels-idx1-ubyte": labels(10, 5),
        "t10k-images-idx3-ubyte": images(20, 28, 28, seed=1),
        "t10k-labels-idx1-ubyte": labels(10, 2),
    }
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
    return arrays


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_idx_files_that_lie_there_are_read_without_network(tmp_path, name, folder, capsys):
    arrays = idx_files(tmp_path / folder / "raw")
    loaded = load(Source(name, root=str(tmp_path)))
    assert np.array_equal(loaded.x_test[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert loaded.x_train.shape == (40, 1, 28, 28)
    assert loaded.y_validation.dtype == np.int64
    assert np.bincount(loaded.y_validation).tolist() == [1] * 10
    assert len(loaded.classes) == 10
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_network")
def test_root_comes_from_the_environment_when_not_given(tmp_path, monkeypatch):
    load.cache_clear()
    monkeypatch.setenv("EVONAS_DATA", str(tmp_path))
    idx_files(tmp_path / "MNIST" / "raw")
    assert len(load(Source("mnist")).x_test) == 20
    load.cache_clear()


class Part:
    """What torchvision's classes offer: here for the two whose real files are checked by sum and cannot be small."""

    def __init__(self, root, download, **part):
        print("downloading")
        self.train = part in ({"train": True}, {"split": "train"})
        assert self.train or part in ({"train": False}, {"split": "test"})
        self.count = 50 if self.train else 20


class Cifar(Part):
    classes = [f"class {i}" for i in range(10)]  # noqa: RUF012

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data = images(self.count, 32, 32, 3)  # channels last, labels in a list
        self.targets = labels(10, self.count // 10).tolist()


class Svhn(Part):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data = images(self.count, 3, 32, 32)  # channels first, and no names of classes
        self.labels = labels(10, self.count // 10)


@pytest.mark.parametrize(("name", "loader", "fake"), [("cifar10", "CIFAR10", Cifar), ("svhn", "SVHN", Svhn)])
def test_colour_sets_come_channels_first_and_leave_stdout_alone(tmp_path, monkeypatch, capsys, name, loader, fake):
    monkeypatch.setattr(torchvision.datasets, loader, fake)
    loaded = load(Source(name, root=str(tmp_path)))
    assert loaded.x_train.shape == (40, 3, 32, 32)
    assert loaded.x_test.shape == (20, 3, 32, 32)
    assert loaded.x_test.flags.c_contiguous
    expected = images(20, 32, 32, 3).transpose(0, 3, 1, 2) if name == "cifar10" else images(20, 3, 32, 32)
    assert np.array_equal(loaded.x_test, expected)
    assert loaded.classes[3] == ("class 3" if name == "cifar10" else "3")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "folder", "files"),
    [
        ("mnist", "MNIST/raw", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]),
        ("fashion-mnist", "FashionMNIST/raw", ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"]),
        ("cifar10", "", ["cifar-10-python.tar.gz"]),
        ("cifar100", "", ["cifar-100-python.tar.gz"]),
        ("svhn", "", ["train_32x32.mat", "test_32x32.mat"]),
    ],
)
def test_failed_download_says_which_files_to_put_where(tmp_path, name, folder, files):
    message = message_of(Source(name, root=str(tmp_path)))
    assert message.startswith(f"{name} could be neither read nor downloaded")
    assert "the network was touched" in message
    assert f" in {tmp_path / folder}" in message
    assert all(file in message for file in files)


def test_named_files_are_those_that_torchvision_asks_for():
    for name in ("mnist", "fashion-mnist"):
        published = data.PUBLISHED[name]
        resources = getattr(torchvision.datasets, published.loader).resources
        assert sorted(published.files) == sorted(file for file, _ in resources)
    for name in ("cifar10", "cifar100"):
        published = data.PUBLISHED[name]
        assert published.files == (getattr(torchvision.datasets, published.loader).filename,)
    parts = torchvision.datasets.SVHN.split_list
    assert data.PUBLISHED["svhn"].files == (parts["train"][1], parts["test"][1])


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("train-images-idx3-ubyte", b""),
        ("train-images-idx3-ubyte", b"not the format"),
        ("train-images-idx3-ubyte", idx(images(50, 28, 28))[:-1]),
        ("t10k-labels-idx1-ubyte", idx(labels(10, 1))),
        ("t10k-labels-idx1-ubyte", gzip.compress(idx(labels(10, 2)))),
    ],
    ids=["empty", "text", "cut off", "too few labels", "still packed"],
)
def test_damaged_idx_files_are_told_with_what_to_do(tmp_path, file, content):
    idx_files(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / file).write_bytes(content)
    message = message_of(Source("mnist", root=str(tmp_path)))
    assert "mnist could be neither read nor downloaded" in message
    assert "delete unpacked ones" in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_damaged_colour_files_are_told_with_what_to_do(tmp_path, name):
    for file in data.PUBLISHED[name].files:
        (tmp_path / file).write_bytes(b"damaged")
    message = message_of(Source(name, root=str(tmp_path)))
    assert all(file in message for file in data.PUBLISHED[name].files)


def test_network_waits_are_bounded_during_a_download_only(tmp_path, monkeypatch):
    import socket

    waits = []

    def refuse(*_args, **_kwargs):
        waits.append(socket.getdefaulttimeout())
        raise OSError("refused")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    message_of(Source("svhn", root=str(tmp_path)))
    assert set(waits) == {data.NETWORK_TIMEOUT}
    assert socket.getdefaulttimeout() is None


# ---- A real set ----


@pytest.mark.skipif(not (SHARED / "cifar10_12k.npz").exists(), reason="shared/data/cifar10_12k.npz is not here")
def test_cifar_sample_has_its_documented_numbers():
    loaded = load(Source(str(SHARED / "cifar10_12k.npz")))
    assert loaded.input_shape == (3, 32, 32)
    assert np.bincount(loaded.y_train).tolist() == [800] * 10
    assert np.bincount(loaded.y_validation).tolist() == [200] * 10
    assert np.bincount(loaded.y_test).tolist() == [200] * 10
    assert loaded.classes[0] == "airplane"
    scaled = [mean / 255 for mean in loaded.mean]
    assert scaled == pytest.approx([0.4913, 0.4821, 0.4465], abs=0.005)  # the whole of CIFAR-10; this is a sample
    load.cache_clear()  # 37 MB
