"""Pictures as people have them: every mode, size and layout means the same to a search and to an exported network."""

import importlib.util
import os
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from evonas.data.given import write_own_data
from evonas.data.sources import Source, load
from evonas.errors import UserError
from evonas.graph import INPUT, Draft
from evonas.model.export import export
from evonas.model.trained import TrainedNetwork, keep
from evonas.network import build
from evonas.operations import GlobalAveragePool, Linear
from evonas.support import device
from evonas.tasks.classification import ImageClassification


def drawn(value, size=(8, 6), mode="L"):
    """A picture of one value, in (width, height)."""
    return Image.new(mode, size, value)


def folders(place, pictures, suffix="png", **options):
    """A folder of classes a and b, each with ten pictures: pictures(class, number)."""
    for label, name in enumerate("ab"):
        (place / name).mkdir(parents=True)
        for number in range(10):
            pictures(label, number).save(place / name / f"{number}.{suffix}", **options)
    return place


def every_image(data):
    return np.concatenate([data.x, data.x_test])


def labels_of(data):
    return np.concatenate([data.y, data.y_test])


# ---- Modes ----


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_pictures_of_16_bits_are_scaled_to_8(tmp_path, suffix):
    values = np.array([[0, 128, 129, 257], [30_000, 40_000, 65_406, 65_535]], np.uint16)
    folders(tmp_path / "set", lambda label, number: Image.fromarray(values + label - label), suffix)
    found = load(Source(str(tmp_path / "set"))).x
    assert found.shape[1:] == (3, 2, 4)
    assert (found == np.array([[0, 0, 1, 1], [117, 156, 254, 255]])).all()  # v / 257, rounded


def test_a_grey_map_of_16_bits_is_scaled_to_8(tmp_path):
    def write(label, number):
        return Image.fromarray(np.full((2, 2), 257 * (number + 100 * label), np.int32))

    folders(tmp_path / "set", write, "pgm")
    found = {int(x.max()) for x in every_image(load(Source(str(tmp_path / "set"))))}
    assert found == {*range(10), *range(100, 110)}


@pytest.mark.parametrize(("kind", "mode"), [("int32", "I"), ("float32", "F")])
def test_values_without_a_known_range_are_refused_with_file_and_mode(tmp_path, kind, mode):
    folders(tmp_path / "set", lambda label, number: Image.fromarray(np.full((4, 4), 3, kind)), "tif")
    with pytest.raises(UserError, match=rf"a/0\.tif: .*its mode is {mode}, whose values have no known range; save it"):
        load(Source(str(tmp_path / "set")))


def transparent(mode, line):
    """A black drawing on a transparent ground: the diagonal, or the other one."""
    alpha = np.where(np.eye(8)[:: 1 if line else -1] > 0, 255, 0).astype(np.uint8)
    black = np.zeros((8, 8, 3), np.uint8)
    if mode == "P":
        image = Image.fromarray((alpha > 0).astype(np.uint8), mode="P")
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.info["transparency"] = 0
        return image
    if mode == "RGB with a transparent colour":
        image = Image.fromarray(np.where(alpha[..., None] > 0, black, 7).astype(np.uint8))
        image.info["transparency"] = (7, 7, 7)
        return image
    return Image.fromarray(np.dstack([black, alpha])).convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB with a transparent colour"])
def test_what_is_transparent_is_laid_on_white(tmp_path, mode):
    def picture(label, number):
        return transparent(mode, label)

    options = {"transparency": picture(0, 0).info["transparency"]} if "transparency" in picture(0, 0).info else {}
    folders(tmp_path / "set", picture, **options)
    data = load(Source(str(tmp_path / "set")))
    for image, label in zip(data.x, data.y, strict=True):
        assert (image == np.where(np.eye(8)[:: 1 if label else -1] > 0, 0, 255)).all()


def test_what_is_half_transparent_is_half_white(tmp_path):
    folders(tmp_path / "set", lambda label, number: drawn((0, 0, 0, 51), mode="RGBA"))
    assert (every_image(load(Source(str(tmp_path / "set")))) == 204).all()


def test_a_picture_lies_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise

    def picture(label, number):
        image = np.zeros((8, 12, 3), np.uint8)
        image[:, :6] = 255  # white left: on top when turned
        return Image.fromarray(image)

    folders(tmp_path / "set", picture, exif=exif)
    found = load(Source(str(tmp_path / "set"))).x[0]
    assert found.shape == (3, 12, 8)
    assert (found[:, :6] == 255).all()
    assert (found[:, 6:] == 0).all()


@pytest.mark.parametrize("suffix", ["gif", "jfif", "webp", "GIF", "bmp", "ppm", "tga"])
def test_usual_kinds_of_files_are_read(tmp_path, suffix):
    folders(tmp_path / "set", lambda label, number: drawn(200 * label), suffix)
    data = load(Source(str(tmp_path / "set")))
    assert len(labels_of(data)) == 20
    assert (abs(data.x.mean(axis=(1, 2, 3)) - 200 * data.y) <= 2).all()


# ---- Folders ----


@pytest.mark.parametrize(
    "names", [("train", "valid"), ("Train", "Validation"), ("training", "dev"), ("TRAIN", "Testing")]
)
def test_folders_of_splits_are_known_by_their_usual_names_in_any_case(tmp_path, names):
    for name in names:
        folders(tmp_path / name, lambda label, number: drawn(label))
    data = load(Source(str(tmp_path)))
    assert data.classes == ("a", "b")
    assert [len(data.y_train), len(data.y_validation), len(data.y_test)] == [16, 4, 20]


@pytest.mark.parametrize("names", [("one", "two"), ("train", "part"), ("day", "night", "dusk")])
def test_folders_that_all_hold_the_same_folders_are_no_classes(tmp_path, names):
    for name in names:
        folders(tmp_path / name, lambda label, number: drawn(label))
    with pytest.raises(UserError, match=r"all hold the folders a, b, as splits do .* name them train, val and test"):
        load(Source(str(tmp_path)))


def test_splits_beside_other_folders_or_twice_are_refused(tmp_path):
    for name in ("train", "test", "extra"):
        folders(tmp_path / name, lambda label, number: drawn(label))
    with pytest.raises(UserError, match="extra beside train, test; keep those of splits only"):
        load(Source(str(tmp_path)))
    (tmp_path / "extra").rename(tmp_path / "Testing")
    with pytest.raises(UserError, match="both Testing and test are names of its test split; keep one"):
        load(Source(str(tmp_path)))


def test_one_folder_around_the_classes_is_told(tmp_path):
    folders(tmp_path / "images", lambda label, number: drawn(label))
    with pytest.raises(UserError, match=r"fewer than two classes \(images\); give .*/images if its folders are the"):
        load(Source(str(tmp_path)))


def test_folders_below_classes_are_merged_with_a_word(tmp_path):
    folders(tmp_path, lambda label, number: drawn(label))
    shutil.copytree(tmp_path / "b", tmp_path / "a" / "old")
    data = load(Source(str(tmp_path)))
    assert np.bincount(labels_of(data)).tolist() == [20, 10]
    assert data.notes == ("pictures in folders below those of classes count as theirs: a/old",)
    assert "count as theirs: a/old" in ImageClassification(Source(str(tmp_path))).about()


def test_files_that_are_no_pictures_are_counted_aloud(tmp_path):
    folders(tmp_path, lambda label, number: drawn(label))
    for name in ("a/1.heic", "a/2.HEIC", "b/notes.txt", "b/Makefile", "b/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    assert load(Source(str(tmp_path))).notes == (
        "left out, as they are no pictures by their names: 2 .heic, 1 no suffix, 1 .txt",
    )


@pytest.mark.parametrize(
    "hidden", [".ipynb_checkpoints", "__MACOSX", "a/.ipynb_checkpoints", "a/.thumbnails/b", ".git"]
)
def test_hidden_folders_are_left_out(tmp_path, hidden):
    folders(tmp_path, lambda label, number: drawn(label))
    shutil.copytree(tmp_path / "b", tmp_path / hidden)
    (tmp_path / "a" / "._1.png").write_bytes(b"a resource fork")
    data = load(Source(str(tmp_path)))
    assert data.classes == ("a", "b")
    assert len(labels_of(data)) == 20


@pytest.mark.parametrize("target", [".", "a", "..", "../.."])
def test_a_link_to_a_folder_above_counts_no_file_again(tmp_path, target):
    place = tmp_path / "outer" / "set"
    folders(place, lambda label, number: drawn(label))
    (place / "a" / "again").symlink_to((place / target).resolve())
    assert len(labels_of(load(Source(str(place))))) == 20


def test_links_are_followed_to_where_the_pictures_lie(tmp_path):
    folders(tmp_path / "pool", lambda label, number: drawn(200 * label))
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "b").symlink_to(tmp_path / "pool" / "b")
    for number in range(10):
        (tmp_path / "set" / "a" / f"{number}.png").symlink_to(tmp_path / "pool" / "a" / f"{number}.png")
        (tmp_path / "set" / "a" / f"{number} again.png").symlink_to(tmp_path / "pool" / "a" / f"{number}.png")
    data = load(Source(str(tmp_path / "set")))
    assert np.bincount(labels_of(data)).tolist() == [10, 10]
    assert (data.x.max(axis=(1, 2, 3)) == 200 * data.y).all()


def test_a_file_in_two_classes_or_splits_is_refused(tmp_path):
    folders(tmp_path, lambda label, number: drawn(label))
    (tmp_path / "b" / "same.png").symlink_to(tmp_path / "a" / "1.png")
    with pytest.raises(UserError, match=r"b/same\.png and .*a/1\.png are one file; remove the link"):
        load(Source(str(tmp_path)))


def test_a_pipe_is_no_picture_and_a_broken_link_is_told(tmp_path):
    folders(tmp_path, lambda label, number: drawn(label))
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert len(labels_of(load(Source(str(tmp_path))))) == 20
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    load.cache_clear()
    with pytest.raises(UserError, match=r"gone\.png: not a readable image \(FileNotFoundError"):
        load(Source(str(tmp_path)))


def test_all_pictures_that_cannot_be_read_are_counted(tmp_path):
    folders(tmp_path, lambda label, number: drawn(label))
    for name in ("a/3.png", "b/4.png", "b/5.png"):
        (tmp_path / name).write_bytes(b"none")
    with pytest.raises(
        UserError, match=r"a/3\.png: not a readable image.*; 2 more of 20 pictures cannot be read either"
    ):
        load(Source(str(tmp_path)))


def test_memory_is_asked_for_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "free_memory", lambda: 100_000_000)
    folders(tmp_path / "many", lambda label, number: drawn(label, (1500, 1500)))
    with pytest.raises(
        UserError, match=r"20 pictures of 1500 x 1500 pixels: 0\.3 GB of memory are needed, and 0\.1 GB"
    ):
        load(Source(str(tmp_path / "many")))
    assert load(Source(str(tmp_path / "many"), size=8)).input_shape == (3, 8, 8)
    folders(tmp_path / "large", lambda label, number: drawn(label, (4000, 4000)))
    with pytest.raises(UserError, match=r"a picture of 4000 x 4000 pixels: 0\.1 GB of memory are needed"):
        load(Source(str(tmp_path / "large"), size=8))
    zeros = np.zeros((9000, 100, 100), np.uint8)
    np.savez_compressed(
        tmp_path / "bomb.npz", x_train=zeros, y_train=zeros[:, 0, 0], x_test=zeros, y_test=zeros[:, 0, 0]
    )
    with pytest.raises(UserError, match=r"bomb\.npz: 0\.4 GB of memory are needed, and 0\.1 GB are free; give fewer"):
        load(Source(str(tmp_path / "bomb.npz")))


@pytest.mark.parametrize(
    ("each", "share", "advice"), [(6, 0.05, "from 0.22 to 0.78"), (3, 0.2, "test images of your own")]
)
def test_advice_for_rare_classes_helps(tmp_path, each, share, advice):
    for label in range(11):
        for number in range(each):
            (tmp_path / f"{label:02}").mkdir(exist_ok=True)
            drawn(label).save(tmp_path / f"{label:02}" / f"{number}.png")
    with pytest.raises(UserError, match=advice):
        load(Source(str(tmp_path), validation=share))
    if each == 6:
        assert len(load(Source(str(tmp_path), validation=0.22)).y_validation) == 12


# ---- Given by a script ----


class Items(torch.utils.data.Dataset):
    def __init__(self, images, labels, **more):
        self.images, self.labels = images, labels
        self.__dict__.update(more)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.images[number], self.labels[number]


def kept(data, tmp_path):
    write_own_data(data, tmp_path / "data.npz")
    load.cache_clear()
    return load(Source(str(tmp_path / "data.npz")))


TWO = [number % 2 for number in range(40)]


@pytest.mark.parametrize(
    ("red", "grey"),
    [
        (lambda: drawn((200, 30, 30), mode="RGB").quantize(4), None),
        (lambda: drawn((200, 30, 30, 255), mode="RGBA"), None),
        (lambda: drawn((200, 30, 30), mode="RGB").convert("CMYK"), None),
        (lambda: drawn(200), 200),
        (lambda: drawn((200, 255), mode="LA"), 200),
        (lambda: drawn(True, mode="1"), 255),
        (lambda: Image.fromarray(np.full((6, 8), 257 * 9, np.uint16)), 9),
    ],
)
def test_pictures_of_a_dataset_are_read_as_those_of_a_folder(tmp_path, red, grey):
    black = drawn(0)
    data = kept(Items([red() if label else black for label in TWO], TWO), tmp_path)
    expected = np.array([200, 30, 30] if grey is None else [grey])[:, None, None]
    assert data.input_shape == (len(expected), 6, 8)
    assert (data.x == np.where(data.y[:, None, None, None] == 1, expected, 0)).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("form", ["tensor", "TensorDataset", "items"])
def test_tensors_with_channels_last_are_refused(tmp_path, channels, form):
    x, y = torch.zeros(40, 9, 8, channels), torch.tensor(TWO)
    given = {"tensor": (x, y), "TensorDataset": torch.utils.data.TensorDataset(x, y), "items": Items(list(x), TWO)}[
        form
    ]
    with pytest.raises(UserError, match=r"has shape .*, channels last; give it as (N x )?C x H x W"):
        write_own_data(given, tmp_path / "data.npz")
    right = x.permute(0, 3, 1, 2)
    assert kept((right, y), tmp_path).input_shape == (channels, 9, 8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_with_channels_first_are_refused(tmp_path, channels):
    with pytest.raises(UserError, match=r"the data: x_train has shape .*, channels first; give it as N x H x W x C"):
        write_own_data((np.zeros((40, channels, 9, 8)), np.array(TWO)), tmp_path / "data.npz")


X = np.zeros((12, 8, 8), np.uint8)
Y = [number % 3 for number in range(12)]
BAD = {
    "one-hot": (Items(torch.zeros(12, 1, 8, 8), torch.eye(3)[Y]), r"a label of the dataset is of shape \(3,\)"),
    "one-hot array": ((X, np.eye(3)[Y]), r"labels have shape \(12, 3\), a row for each image; give class numbers, as"),
    "soft": (Items(torch.zeros(12, 1, 8, 8), torch.tensor(Y) + 0.7), "labels that are not whole numbers"),
    "no labels": ((X, None), "the labels are None; give one class number or name for each image"),
    "a label None": (Items(X, [*Y[:11], None]), "a label of the dataset is None; give class numbers"),
    "a list with None": (
        (X, [*Y[:11], None]),
        "the data: y_train holds labels that are not whole numbers|the data holds",
    ),
    "classes a number": (Items(X, Y, classes=3), "the dataset's `classes` are 3; make them a list with one name per"),
    "fewer names": (Items(X, Y, classes=["a", "b"]), "the data: y_train holds label 2, but there are 2 classes"),
    "two sizes": (([np.zeros((8 + n % 2, 8)) for n in range(12)], Y), r"differ in shape: \(8, 8\) and \(9, 8\)"),
    "ragged": (([[[1, 2], [3]]] * 12, Y), "the images are no array"),
    "bfloat16": (
        (torch.zeros(12, 1, 8, 8).bfloat16(), torch.tensor(Y)),
        "bfloat16, which numpy does not have; give it",
    ),
    "bfloat16 items": (
        Items(torch.zeros(12, 1, 8, 8).bfloat16(), Y),
        "an image of the dataset is of type torch.bfloat16",
    ),
    "complex": ((np.zeros((12, 8, 8), complex), Y), "the data: x_train is of type complex128"),
    "a picture of floats": (Items([drawn(0.5, mode="F")] * 12, Y), "its mode is F, whose values have no known range"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_gets_a_clear_error_before_anything_is_written(tmp_path, name):
    data, message = BAD[name]
    with pytest.raises(UserError, match=message):
        write_own_data(data, tmp_path / "data.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label", [np.int64, np.uint8, torch.tensor, str, bool, np.str_, float])
def test_labels_may_be_of_any_kind_that_numbers_or_names_classes(tmp_path, label):
    data = kept(Items([drawn(200 * one) for one in TWO], [label(one) for one in TWO]), tmp_path)
    assert (data.x.max(axis=(1, 2, 3)) == 200 * data.y).all()


# ---- A search and an exported file read alike ----


def exported(folder, data):
    """The module network.py of a network for these data."""
    shape, classes = data.input_shape, len(data.classes)
    draft = Draft(shape)
    draft.node("classifier", [INPUT], GlobalAveragePool(), Linear(classes))
    graph = draft.graph()
    weights = {name: tensor.contiguous() for name, tensor in build(graph, seed=0).state_dict().items()}
    preprocessing = ImageClassification(Source(data.name)).preprocessing() | {
        "mean": data.mean, "std": data.std, "pixel": data.pixel, "whole": data.x.dtype == np.uint8
    }  # fmt: skip
    facts = {
        "code": "c",
        "metric": "accuracy",
        "test_accuracy": 0.5,
        "data": data.name,
        "epochs": 1,
        "trained_on": "train",
    }
    facts |= {"recipe": {}, "precision": "float32"}
    keep(folder / "kept", weights=save(weights), graph=graph, preprocessing=preprocessing, facts=facts)
    export(TrainedNetwork.open(folder / "kept"), folder / "exported")
    spec = importlib.util.spec_from_file_location("network", folder / "exported" / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fresh(tmp_path_factory):
    """A new folder for each example."""
    return lambda: tmp_path_factory.mktemp("example")


MODES = {  # with a kind of file that keeps the mode
    "1": "png", "L": "png", "LA": "png", "P": "png", "RGB": "png", "RGBA": "png", "I;16": "png", "CMYK": "tiff",
    "YCbCr": "tiff", "LAB": "tiff", "PA": "png",
}  # fmt: skip


def random_picture(mode, size, rng):
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 2**16, size[::-1], dtype=np.uint16))
    colours = Image.fromarray(rng.integers(0, 256, (*size[::-1], 4), dtype=np.uint8))
    if mode in ("P", "PA"):
        found = colours.convert("RGB").quantize(16)
        if mode == "PA":
            found.info["transparency"] = bytes(rng.integers(0, 256, 16, dtype=np.uint8).tolist())
        return found
    if mode == "LAB":
        return Image.frombytes("LAB", size, rng.integers(0, 256, (*size, 3), dtype=np.uint8).tobytes())
    return colours.convert(mode) if mode == "RGBA" else colours.convert("RGB").convert(mode)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(sorted(MODES)),
    size=st.tuples(st.integers(2, 24), st.integers(2, 24)),
    resize=st.one_of(st.none(), st.integers(1, 24)),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_exported_file_reads_a_folders_pictures_as_the_search_did(fresh, mode, size, resize, seed):
    place, rng = fresh(), np.random.default_rng(seed)

    def picture(label, number):
        return random_picture(mode, size, rng)

    folders(place / "set", picture, MODES[mode])
    data = load(Source(str(place / "set"), size=resize))
    network = exported(place, data)
    found = {network.read(str(path)).numpy().tobytes() for path in (place / "set").rglob("*.*")}
    assert found == {image.astype(np.float32).tobytes() for image in every_image(data)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.integers(1, 4),
    size=st.tuples(st.integers(5, 24), st.integers(5, 24)),
    resize=st.one_of(st.none(), st.integers(1, 24)),
    values=st.sampled_from(["uint8", "int64", "float 0..1", "float 0..255", "0..16", "0..1", "float32 0..16"]),
    tensor=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_exported_file_reads_pictures_as_the_arrays_that_the_search_had(
    fresh, channels, size, resize, values, tensor, seed
):
    place, rng = fresh(), np.random.default_rng(seed)
    full = {"0..16": 16, "float32 0..16": 16, "0..1": 1, "float 0..1": 1}.get(values, 255)
    steps = 255 if values == "float 0..1" else full
    whole = rng.integers(0, steps + 1, (20, *size[::-1], channels))
    whole[:, 0, 0] = steps  # the brightest value is there, as it is in a real set
    kind = {"uint8": np.uint8, "int64": np.int64, "0..16": np.uint8, "0..1": np.int32}.get(values, np.float32)
    x = (whole if steps == full else whole / steps).astype(kind)
    y = np.arange(20) % 2
    given = (torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)) if tensor else (x, y)
    write_own_data(given, place / "data.npz")
    data = load(Source(str(place / "data.npz"), size=resize))
    network = exported(place, data)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    found = []
    for number, image in enumerate(whole):
        pixels = np.round(image * (255 / steps)).astype(np.uint8)
        Image.frombytes(mode, size, pixels.tobytes()).save(place / f"{number}.png")
        found.append(network.read(str(place / f"{number}.png")).numpy()[0])
    order = np.lexsort(np.array(found).reshape(20, -1).T)
    searched = every_image(data).astype(np.float32)
    expected = searched[np.lexsort(searched.reshape(20, -1).T)]
    if kind is np.float32:  # multiplied and divided
        distance = min_distance(np.array(found), searched)
        assert distance <= (1e-6 if steps == 255 else 0.51 / 255) * full  # a file has 256 steps of grey
    else:
        assert (np.array(found)[order] == expected).all()


def min_distance(found, expected):
    """How far each image is from the nearest one of the others, at most."""
    return max(np.abs(expected - image).max(axis=(1, 2, 3)).min() for image in found)


def test_an_exported_file_names_every_picture_of_a_folder_and_goes_on_after_one_that_cannot_be_read(tmp_path, capsys):
    folders(tmp_path / "set", lambda label, number: drawn(200 * label + number))
    network = exported(tmp_path, load(Source(str(tmp_path / "set"))))
    (tmp_path / "set" / "a" / "broken.png").write_bytes(b"none")
    (tmp_path / "set" / "a" / "notes.txt").write_bytes(b"none")
    assert network.main([str(tmp_path / "set"), str(tmp_path / "set" / "b" / "0.png")]) == 1
    printed = capsys.readouterr()
    rows = [line.split(",") for line in printed.out.splitlines()]
    assert rows[0] == ["file", "class", "a", "b"]
    assert [row[0] for row in rows[1:]] == [
        *(str(tmp_path / "set" / name / f"{number}.png") for name in "ab" for number in range(10)),
        str(tmp_path / "set" / "b" / "0.png"),
    ]
    for row in rows[1:]:
        shares = [float(share) for share in row[2:]]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert row[1] == "ab"[shares.index(max(shares))]
    assert "broken.png" in printed.err
    assert network.main([]) == 2


@pytest.mark.parametrize("darkest", [1, 16])
def test_a_folder_of_dark_pictures_is_read_as_it_is(tmp_path, darkest):
    folders(tmp_path / "set", lambda label, number: drawn(darkest * label))
    network = exported(tmp_path, load(Source(str(tmp_path / "set"))))
    assert (network.read(str(tmp_path / "set" / "b" / "0.png")) == darkest).all()


def test_data_of_equal_images_but_other_class_names_differ(tmp_path):
    for name, classes in (("one", ("a", "b")), ("two", ("c", "d"))):
        np.savez(
            tmp_path / f"{name}.npz",
            x_train=X,
            y_train=np.array(Y) % 2,
            x_test=X,
            y_test=np.array(Y) % 2,
            classes=classes,
        )
    one, two = (load(Source(str(tmp_path / f"{name}.npz"))) for name in ("one", "two"))
    assert one.fingerprint != two.fingerprint


def test_a_search_begins_with_the_number_of_pictures_of_each_class(tmp_path):
    y = np.array([0] * 30 + [1] * 15 + [2] * 5)
    write_own_data(
        Items([drawn(int(label)) for label in y], [("emu", "cat", "dog")[label] for label in y]), tmp_path / "d.npz"
    )
    assert ImageClassification(Source(str(tmp_path / "d.npz"))).about().splitlines()[-1] == (
        "3 classes: emu 30, cat 15, dog 5; whoever always says emu is right in 60.0%"
    )
    assert ImageClassification(Source("digits")).about().splitlines()[-1].startswith("10 classes: 3 183, 1 182, 5 182,")
