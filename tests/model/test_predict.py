"""What a trained network says of new pictures, and what that is worth."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from bright import bright
from PIL import Image
from torch import nn

import evonas
from evonas.data.sources import Source
from evonas.data.unseen import Form
from evonas.errors import UserError
from evonas.model.predict import columns, predictions
from evonas.model.source import source
from evonas.model.trained import TrainedNetwork
from evonas.tasks.classification import ImageClassification


def grey(path, value, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)
    return str(path)


@pytest.fixture
def seen(monkeypatch):
    """What goes into a network, picture by picture; it says nothing."""
    found = []

    class Recorder(nn.Module):
        def forward(self, inputs):
            found.extend(inputs.clone())
            return torch.zeros(len(inputs), 2)

    monkeypatch.setattr(TrainedNetwork, "network", lambda self, trust: Recorder())
    return found


def exported(trained):
    """The names of network.py."""
    names = {"__name__": "network", "__file__": "network.py"}
    exec(source(trained), names)
    return names


# ---- Prepared as the run prepared its own ----


def colours(size, rng):
    return Image.fromarray(rng.integers(0, 256, (*size[::-1], 4), dtype=np.uint8))


def palette(size, rng, **info):
    found = colours(size, rng).convert("RGB").quantize(16)
    found.info |= info
    return found


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    return {"exif": exif}


MODES = {  # a picture, the kind of its file, options of saving it
    "L": (lambda size, rng: colours(size, rng).convert("L"), "png", {}),
    "LA": (lambda size, rng: colours(size, rng).convert("LA"), "png", {}),
    "P": (palette, "png", {}),
    "P with transparency": (palette, "png", {"transparency": bytes(range(0, 256, 16))}),
    "RGB": (lambda size, rng: colours(size, rng).convert("RGB"), "png", {}),
    "RGB in JPEG": (lambda size, rng: colours(size, rng).convert("RGB"), "jpg", {}),
    "RGBA": (colours, "png", {}),
    "1": (lambda size, rng: colours(size, rng).convert("1"), "png", {}),
    "I;16": (
        lambda size, rng: Image.fromarray(rng.integers(0, 2**16, size[::-1], dtype=np.uint16)),
        "png",
        {},
    ),
    "CMYK": (lambda size, rng: colours(size, rng).convert("RGB").convert("CMYK"), "tiff", {}),
    "turned": (lambda size, rng: colours(size, rng).convert("RGB"), "jpg", turned()),
}
SIZES = {"as it is": ((12, 9), None), "shrunk": ((12, 9), 6), "stretched": ((5, 7), 8)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_a_folders_pictures_are_prepared_alike_by_search_prediction_and_exported_file(tmp_path, seen, mode, size):
    made, suffix, options = MODES[mode]
    (shape, resize), rng = SIZES[size], np.random.default_rng(len(mode))
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(6):
            made(shape, rng).save(tmp_path / "set" / name / f"{number}.{suffix}", **options)
    task = ImageClassification(Source(str(tmp_path / "set"), size=resize, validation=0.5))
    trained = bright(tmp_path / "kept", shape=task.input_shape, **task.preprocessing())
    network = exported(trained)
    found = trained.predict(str(tmp_path / "set"), batch=5)
    assert len(found.pictures) == len(seen) == 12
    for path, image in zip(found.pictures, seen, strict=True):
        assert torch.equal(image, network["prepare"](network["read"](path))[0])
    splits = task.splits("cpu")
    searched = [image for split in (splits.whole, splits.test) for images, _ in split.batches() for image in images]
    assert {image.numpy().tobytes() for image in searched} == {image.numpy().tobytes() for image in seen}


FORMS = {
    "digits": {"shape": (1, 8, 8), "pixel": 16 / 255, "mean": [4.9], "std": [6.0]},
    "floats": {"shape": (3, 6, 10), "pixel": 1 / 255, "whole": False, "mean": [0.4] * 3, "std": [0.2] * 3},
    "grey and alpha": {"shape": (2, 5, 5), "mean": [100.0, 200.0], "std": [60.0, 30.0]},
    "colours and alpha": {"shape": (4, 7, 7), "mean": [100.0] * 4, "std": [60.0] * 4},
    "as they are": {"shape": (1, 8, 8), "mean": None, "std": None},
}


@pytest.mark.parametrize("form", FORMS)
def test_files_are_prepared_as_the_exported_file_prepares_them_whatever_the_network_takes(tmp_path, seen, form):
    trained = bright(tmp_path / "kept", **FORMS[form])
    network, rng = exported(trained), np.random.default_rng(0)
    for number, (made, suffix, options) in enumerate(MODES.values()):
        made((11, 9), rng).save(tmp_path / f"{number:02}.{suffix}", **options)
    found = trained.predict(tmp_path)
    assert len(found.pictures) == len(MODES)
    for path, image in zip(found.pictures, seen, strict=True):
        assert torch.equal(image, network["prepare"](network["read"](path))[0])


@pytest.mark.parametrize("resize", [None, 5, 12])
@pytest.mark.parametrize("kind", ["uint8", "float 0..1", "float -1..1"])
def test_arrays_are_prepared_as_the_search_prepared_its_own(tmp_path, seen, kind, resize):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    x = x if kind == "uint8" else x / 255 if kind == "float 0..1" else x / 127.5 - 1
    y = np.arange(12) % 2
    np.savez(tmp_path / "set.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    task = ImageClassification(Source(str(tmp_path / "set.npz"), size=resize))
    trained = bright(tmp_path / "kept", shape=task.input_shape, **task.preprocessing())
    searched = torch.cat([images for images, _ in task.splits("cpu").test.batches()])
    for given in (x, torch.from_numpy(x).permute(0, 3, 1, 2), tmp_path / "set.npz", list(x)):
        seen.clear()
        trained.predict(given, batch=5)
        assert torch.equal(torch.stack(seen), searched)


def test_pictures_of_pillow_of_any_mode_are_prepared_as_files(tmp_path, seen):
    trained, rng = bright(tmp_path / "kept", shape=(3, 6, 6)), np.random.default_rng(0)
    images = [made((11, 9), rng) for made, _, options in MODES.values() if not options]
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number:02}.tiff")
    found = trained.predict(images)
    assert found.pictures == tuple(map(str, range(len(images))))
    trained.predict(tmp_path)
    assert torch.equal(torch.stack(seen[: len(images)]), torch.stack(seen[len(images) :]))


# ---- What the run said ----


@pytest.fixture(scope="module")
def in_bfloat16(tmp_path_factory):
    """A network trained in bfloat16 on a folder of splits, and that folder."""
    place, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(0)
    for split in ("train", "test"):
        for label, name in enumerate("abc"):
            (place / "set" / split / name).mkdir(parents=True)
            for number in range(20):
                noise = rng.integers(0, 100 + 70 * label, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(noise).save(place / "set" / split / name / f"{number:02}.png")
    settings = {"filters": (4, 4)}
    trained = evonas.train("genet", "1-01/1-01-100", data=place / "set", epochs=3, settings=settings,
                           precision="bfloat16", preset="digits", out=place / "trained")  # fmt: skip
    return trained, place / "set"


@pytest.mark.parametrize("batch", [None, 1, 7, 60])
def test_the_runs_classes_and_probabilities_come_out_whatever_the_batch_and_the_precision_of_the_training(
    in_bfloat16, batch
):
    trained, place = in_bfloat16
    found = trained.predict(place / "test", batch=batch)
    answers = trained.answers["predictions"]
    assert len(found.pictures) == 60
    assert np.abs(found.outputs - answers).max() <= 1e-5
    assert found.said == ["abc"[label] for label in answers.argmax(1)]
    assert len(set(found.said)) > 1, "else it shows little"


def test_the_runs_own_data_are_judged_as_at_its_end(in_bfloat16):
    trained, place = in_bfloat16
    found = trained.evaluate(place)
    assert found.to_json() | {"confidence": 0, "calibration_error": 0} == (
        trained.judgement.to_json() | {"confidence": 0, "calibration_error": 0}
    )
    assert found.accuracy == trained.test
    assert found.names[0] == str(place / "test" / "a" / "00.png")


# ---- What can be given ----


def test_files_folders_globs_and_arrays_come_in_the_order_in_which_they_are_given(tmp_path, monkeypatch):
    trained = bright(tmp_path / "kept")
    for number, name in enumerate(("two/2.png", "two/deeper/3.png", "one.png", "glob/5.png", "glob/6.png")):
        grey(tmp_path / "in" / name, 10 * number, (3 + number, 5))
    (tmp_path / "in" / "two" / "notes.txt").write_text("none")
    np.savez(tmp_path / "in" / "own.npz", x=np.zeros((2, 4, 4), np.uint8), other=np.zeros(3))
    monkeypatch.chdir(tmp_path / "in")
    found = trained.predict(["one.png", "own.npz", "two", Path("glob/[5-9].png")])
    assert found.pictures == (
        "one.png", "own.npz:x[0]", "own.npz:x[1]", "two/2.png", "two/deeper/3.png", "glob/5.png", "glob/6.png",
    )  # fmt: skip
    assert found.said == ["dark"] * 7
    assert [row[:2] for row in found.rows()][:2] == [["one.png", "dark"], ["own.npz:x[0]", "dark"]]


def test_a_file_whose_name_is_a_glob_is_the_file(tmp_path):
    trained = bright(tmp_path / "kept")
    path = grey(tmp_path / "one[1].png", 200)
    assert trained.predict(path).pictures == (path,)


@pytest.mark.parametrize("parts", [("x_test", "x", "x_train"), ("x", "x_train"), ("x_train",)])
def test_of_an_npz_file_the_test_part_is_taken_where_there_is_one(tmp_path, parts):
    trained = bright(tmp_path / "kept")
    arrays = {name: np.full((1, 4, 4), 255 if name == parts[0] else 0, np.uint8) for name in parts}
    np.savez(tmp_path / "own.npz", **arrays)
    found = trained.predict(tmp_path / "own.npz")
    assert found.pictures == (f"{tmp_path / 'own.npz'}:{parts[0]}[0]",)
    assert found.said == ["bright"]


def test_probabilities_are_those_of_the_network(tmp_path):
    trained = bright(tmp_path / "kept", classes=("bright", "dark", "none"))
    found = trained.predict([grey(tmp_path / "one.png", 130)])
    share = 1 / (1 + np.exp(-2 * 2.5 / 50))
    assert np.allclose(found.outputs, [[share, 1 - share, 0]], atol=1e-6)
    assert list(found.rows()) == [[str(tmp_path / "one.png"), "bright", f"{share:.6f}", f"{1 - share:.6f}", "0.000000"]]
    assert columns(trained) == ["class", "bright", "dark", "none"]


def test_a_network_without_classes_gives_its_outputs_and_is_not_judged(tmp_path):
    trained = bright(tmp_path / "kept", classes=None)
    path = grey(tmp_path / "one.png", 130)
    found = trained.predict(path)
    assert columns(trained) == ["output 0", "output 1"]
    assert list(found.rows()) == [[path, "0.05", "-0.05"]]
    with pytest.raises(UserError, match="no classes; its outputs are plain numbers"):
        _ = found.said
    with pytest.raises(UserError, match="has no classes, and only a classifier can be judged here"):
        trained.evaluate(tmp_path)


def test_no_more_than_a_batch_of_pictures_is_read_at_once(tmp_path, monkeypatch):
    trained, read = bright(tmp_path / "kept"), []
    for number in range(9):
        grey(tmp_path / "in" / f"{number}.png", number)
    file = Form.file
    monkeypatch.setattr(Form, "file", lambda self, path: read.append(path) or file(self, path))
    batches = predictions(trained, tmp_path / "in", batch=4)
    assert not read
    assert [(len(batch.pictures), len(read)) for batch in batches] == [(4, 4), (4, 8), (1, 9)]


def test_threads_and_gradients_are_left_as_they_were(tmp_path):
    trained = bright(tmp_path / "kept")
    paths = [grey(tmp_path / f"{number}.png", number) for number in range(2)]
    torch.set_num_threads(2)
    try:
        for _ in predictions(trained, paths, batch=1):
            assert torch.get_num_threads() == 2
            assert torch.is_grad_enabled()
    finally:
        torch.set_num_threads(1)


# ---- What cannot be used ----


def test_a_picture_that_cannot_be_read_is_an_error_or_told_and_left_out(tmp_path):
    trained, told = bright(tmp_path / "kept"), []
    for name in ("1.png", "3.png", "4.png"):
        grey(tmp_path / "in" / name, 200)
    (tmp_path / "in" / "2.png").write_bytes(b"none")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "in" / "5.tiff")
    given = [tmp_path / "in", tmp_path / "nowhere.png"]
    with pytest.raises(UserError, match=r"nowhere\.png: there is no such file or folder"):
        trained.predict(given)
    with pytest.raises(UserError, match=r"2\.png: not a readable image \(UnidentifiedImageError"):
        trained.predict(given[:1])
    found = trained.predict(given, on_unreadable=lambda error: told.append(str(error)), batch=2)
    assert [os.path.basename(path) for path in found.pictures] == ["1.png", "3.png", "4.png"]
    assert [message.partition(":")[0] for message in told] == [
        str(tmp_path / name) for name in ("nowhere.png", "in/2.png", "in/5.tiff")
    ]
    assert "its mode is F, whose values have no known range" in told[2]
    found = trained.predict(tmp_path / "in" / "2.png", on_unreadable=lambda error: None)
    assert found.outputs.shape == (0, 2)
    assert found.said == []


NOTHING = {
    "no path": ([], "no picture is given; give files, folders, globs or"),
    "nowhere": (["nowhere.png"], "nowhere.png: there is no such file or folder"),
    "a glob of nothing": (["*.png"], r"\*.png: there is no such file or folder"),
    "an empty folder": (["empty"], "empty: there is no picture in it"),
    "paths beside images": (["empty", np.zeros((4, 4))], "some of what is given are paths and some are not"),
    "a null": (["a\0b"], "cannot be the path of a file"),
    "an npz of something else": (["else.npz"], "else.npz: none of x_test, x, x_train is in it, found y; save it anew"),
    "no npz": (["none.npz"], "none.npz: not a readable .npz file, or a damaged one"),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_to_predict_is_an_error(tmp_path, monkeypatch, name):
    trained = bright(tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "else.npz", y=np.zeros(3))
    (tmp_path / "none.npz").write_bytes(b"none")
    given, message = NOTHING[name]
    with pytest.raises(UserError, match=message):
        trained.predict(given)


BYTES, ONES = np.full((2, 4, 4), 200, np.uint8), np.full((2, 4, 4), 0.5)
ARRAYS = {  # what the network takes besides one channel, the array, the message
    "two channels": ({}, np.zeros((2, 4, 4, 2), np.uint8), "images with channels: 2, but the network takes 1"),
    "one picture": ({}, np.zeros((4, 4), np.uint8), r"the images have shape \(4, 4\)"),
    "channels first": ({}, np.zeros((2, 1, 8, 8), np.uint8), "channels first; give it as N x H x W x C"),
    "none": ({}, np.zeros((0, 4, 4), np.uint8), "is empty, its shape is"),
    "floats for whole numbers": ({}, ONES, "values from 0.5 to 0.5 with fractions, .* whole numbers from 0 to 255"),
    "negative": ({}, -1.0 * BYTES, "values from -200 to -200, but the network was trained on whole numbers"),
    "negative bytes": ({}, -1 * BYTES.astype(int), "holds whole numbers from -200 to -200"),
    "bytes for sixteen": ({"pixel": 16 / 255}, BYTES, "values from 200 to 200, .* whole numbers from 0 to 16"),
    "bytes for ones": ({"pixel": 1 / 255, "whole": False}, BYTES, "values from 200 to 200, .* values from 0 to 1"),
    "ones for floats": ({"whole": False}, ONES, "values from 0.5 to 0.5 with fractions, .* values from 0 to 255"),
    "standardised": ({"pixel": 1 / 255, "whole": False}, 4 * ONES - 4, "values from -2 to -2, .* from 0 to 1"),
    "not a number": ({"whole": False}, ONES * np.nan, "holds NaN, inf"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_not_what_the_network_takes_are_an_error(tmp_path, name):
    form, x, message = ARRAYS[name]
    with pytest.raises(UserError, match=message):
        bright(tmp_path / "kept", **form).predict(x)


@pytest.mark.parametrize(
    ("form", "x"),
    [
        ({}, BYTES.astype(np.float64)),
        ({"pixel": 1 / 255, "whole": False}, np.array([[[-0.1, 1.1]]])),  # a filter overshoots
        ({"whole": False}, np.array([[[0.5, 900.0]]])),  # above 255 there is no usual range
        ({"pixel": None, "whole": False}, np.array([[[-3.0, 900.0]]])),
    ],
)
def test_arrays_may_go_beyond_the_range_of_the_training_by_a_little(tmp_path, form, x):
    assert len(bright(tmp_path / "kept", **form).predict(x).said) == len(x)


def test_files_for_a_network_of_values_below_0_are_an_error(tmp_path):
    trained = bright(tmp_path / "kept", pixel=None, whole=False)
    for given in (grey(tmp_path / "one.png", 3), [Image.new("L", (4, 4))]):
        with pytest.raises(UserError, match=r"trained on values that went below 0, .*; give arrays with"):
            trained.predict(given, on_unreadable=lambda error: None)


def test_a_batch_of_none_is_an_error(tmp_path):
    with pytest.raises(UserError, match="batch is 0; use at least 1"):
        bright(tmp_path / "kept").predict(BYTES, batch=0)


# ---- What it is worth ----


def judged_folder(place):
    """Three of four bright pictures are bright, and one of two dark ones is dark."""
    for name, values in (("dark", (30, 250)), ("bright", (140, 150, 100, 160))):
        for number, value in enumerate(values):
            grey(place / name / f"{number}.png", value)
    return place


def check(found):
    assert found.classes == ("bright", "dark", "none")
    assert found.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)


@pytest.fixture
def trained(tmp_path):
    return bright(tmp_path / "kept", classes=("bright", "dark", "none"))


def test_a_folder_is_judged_by_the_names_of_its_classes(tmp_path, trained):
    judged_folder(tmp_path / "set")
    (tmp_path / "set" / "none").mkdir()  # a class may have no picture
    (tmp_path / "set" / "other").mkdir()  # one that the network does not know has none either
    found = trained.evaluate(tmp_path / "set", batch=4)
    check(found)
    worst = found.most_wrong(2)
    assert [found.names[row] for row in worst] == [
        str(tmp_path / "set" / name) for name in ("dark/1.png", "bright/2.png")
    ]


@pytest.mark.parametrize("splits", [("train", "test"), ("Train", "val"), ("train", "val", "Testing")])
def test_of_a_folder_of_splits_the_test_part_is_judged(tmp_path, trained, splits):
    for name in splits[:-1]:
        grey(tmp_path / "set" / name / "bright" / "0.png", 0)
        grey(tmp_path / "set" / name / "dark" / "0.png", 0)
    judged_folder(tmp_path / "set" / splits[-1])
    check(trained.evaluate(tmp_path / "set"))


X = np.array([30, 250, 140, 150, 100, 160], np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
Y = np.array([1, 1, 0, 0, 0, 0])
OTHERS = {"x_train": X[:1], "y_train": Y[:1]}


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_test": X, "y_test": Y} | OTHERS,
        {"x": X, "y": Y} | OTHERS,
        {"x_train": X, "y_train": Y},
        {"x": X, "y": Y, "classes": ["bright", "dark", "none"]},
        {"x": X, "y": 1 - Y, "classes": ["dark", "bright", "never seen"]},
    ],
)
def test_an_npz_file_is_judged_by_the_names_of_its_classes_or_their_numbers(tmp_path, trained, arrays):
    np.savez(tmp_path / "own.npz", **arrays)
    check(trained.evaluate(tmp_path / "own.npz"))


class Items(torch.utils.data.Dataset):
    classes = ("dark", "bright")

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return Image.fromarray(X[row]).convert("RGB"), 1 - Y[row]


def test_a_scripts_own_images_are_judged(trained):
    names = np.array(["bright", "dark"])
    for data in (
        (X, Y),
        (torch.from_numpy(X)[:, None], torch.from_numpy(Y)),
        (X, names[Y]),
        (X, list(names[Y])),
        Items(),
    ):
        check(trained.evaluate(data))


LABELLED = {
    "an unknown class": (lambda place: grey(place / "cat" / "1.png", 3), "does not know cat; its classes are bright, "),
    "no picture": (lambda place: (place / "bright").mkdir(parents=True), "there is no picture in its class folders"),
    "no folder": (lambda place: grey(place / "1.png", 3), "there is no class folder in it"),
    "nowhere": (lambda place: None, "no such file or folder; give a folder of class folders, or an .npz file"),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELLED)
def test_folders_that_cannot_be_judged_are_an_error(tmp_path, trained, name):
    made, message = LABELLED[name]
    made(tmp_path / "set")
    with pytest.raises(UserError, match=message):
        trained.evaluate(tmp_path / "set")


BROKEN = {
    "no labels": ({"x": X}, "y missing, found x; save it anew with"),
    "fewer labels": ({"x": X, "y": Y[1:]}, "6 images but 5 labels"),
    "a label without a class": ({"x": X, "y": Y + 2}, "there is a label 3, but there are 3 classes"),
    "an unknown class": (
        {"x": X, "y": Y, "classes": ["cat", "dark"]},
        "the network does not know cat; its classes are bright, dark, none",
    ),
    "fewer names": ({"x": X, "y": Y, "classes": ["bright"]}, "there is a label 1, but there are 1 classes"),
    "fractions": ({"x": X, "y": Y + 0.5}, "own.npz: y holds labels that are not whole numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_arrays_that_cannot_be_judged_are_an_error(tmp_path, trained, name):
    arrays, message = BROKEN[name]
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError, match=message):
        trained.evaluate(tmp_path / "own.npz")


def test_pictures_that_cannot_be_read_are_not_judged(tmp_path, trained):
    told = []
    judged_folder(tmp_path / "set")
    for name in ("bright", "dark"):
        (tmp_path / "set" / name / "00.png").write_bytes(b"none")
    check(trained.evaluate(tmp_path / "set", on_unreadable=told.append))
    assert len(told) == 2
    with pytest.raises(UserError, match=r"bright/00\.png: not a readable image"):
        trained.evaluate(tmp_path / "set")
