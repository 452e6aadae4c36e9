"""Labelled images as numpy arrays: known sets, .npz files and folders, split into training, validation and test part.

The test part belongs to the data set and never depends on a seed; the validation part is drawn from the training part.
torch, torchvision and scikit-learn are imported where they are needed, so that importing this module costs nothing.
"""

import contextlib
import difflib
import functools
import hashlib
import os
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evonas.errors import UserError

DATASETS: dict[str, str] = {
    "digits": "scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, 10 classes; needs no download",
    "mnist": "MNIST handwritten digits: 70,000 grey images of 28 x 28, 10 classes",
    "fashion-mnist": "Fashion-MNIST clothes: 70,000 grey images of 28 x 28, 10 classes",
    "cifar10": "CIFAR-10 objects: 60,000 colour images of 32 x 32, 10 classes",
    "cifar100": "CIFAR-100 objects: 60,000 colour images of 32 x 32, 100 classes",
    "svhn": "SVHN house numbers: 99,289 colour images of 32 x 32, 10 classes",
}

_CHOICES = f"one of {', '.join(DATASETS)}, or the path of an .npz file or of a folder of images"

TEST_SHARE = 0.2  # of a set that comes without a test part
TEST_SEED = 0  # fixed: the test part of a set is the same in every run
NETWORK_TIMEOUT = 15.0  # seconds without an answer until a download counts as failed
CHUNK = 1000  # images turned into floats at once, to bound the memory
SMALLEST_STD = 1e-6  # in the units of x

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]  # x, y train; x, y test; class names


@dataclass(frozen=True)
class Source:
    """What names a data set: a small value that travels to workers and is written to config.json.

    Raises    UserError when a value is out of its range
    """

    name: str  # a name of DATASETS, or the path of an .npz file, or of a folder of images
    size: int | None = None  # resize images to size x size
    validation: float = 0.2  # share of the training part that is held out for validation
    seed: int = 0  # of the validation split
    root: str | None = None  # where torchvision's sets lie or are downloaded to; None: $EVONAS_DATA, else ~/.cache/...

    def __post_init__(self) -> None:
        if not self.name:  # an empty path would be the working directory
            raise UserError(f"the name of the data is empty; give {_CHOICES}")
        if self.size is not None and self.size < 1:
            raise UserError(f"size is {self.size}; use at least 1, or leave it out to keep the images' own size")
        if not 0 < self.validation < 1:
            raise UserError(f"validation is {self.validation}; use a share between 0 and 1, such as 0.2")
        if not 0 <= self.seed < 2**32:  # the range of numpy's seeds
            raise UserError(f"seed is {self.seed}; use a whole number from 0 to {2**32 - 1}")


@dataclass(frozen=True, eq=False)
class ImageData:
    """The three parts of a data set: x is N x C x H x W, contiguous, uint8 or float32; y is N class numbers, int64.

    x, y      the training images and, after the first `training` of them, the validation images
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    training: int
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]

    @property
    def x_train(self) -> np.ndarray:
        return self.x[: self.training]

    @property
    def y_train(self) -> np.ndarray:
        return self.y[: self.training]

    @property
    def x_validation(self) -> np.ndarray:
        return self.x[self.training :]

    @property
    def y_validation(self) -> np.ndarray:
        return self.y[self.training :]

    @property
    def nbytes(self) -> int:
        """Of the images."""
        return self.x.nbytes + self.x_test.nbytes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    @functools.cached_property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the whole training part (train + validation), in the units of x."""
        return tuple((self.x.sum(axis=(0, 2, 3), dtype=np.float64) / self.x[:, 0].size).tolist())

    @functools.cached_property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel over the same images, in the units of x; never 0."""
        mean = np.array(self.mean)[:, None, None]
        total = sum(np.square(chunk - mean).sum(axis=(0, 2, 3)) for chunk in _chunks(self.x))
        deviation = np.sqrt(total / self.x[:, 0].size)
        return tuple(np.maximum(deviation, SMALLEST_STD).tolist())

    @functools.cached_property
    def pixel(self) -> float | None:
        """What one step of an image file's pixels (0 to 255) is in the units of x; None: not known, x goes below 0."""
        low, high = float(self.x_train.min()), float(self.x_train.max())
        brightest = next((full for full in (1, 16, 255) if high <= full), 255)  # floats, the digits, uint8
        return brightest / 255 if low >= 0 else None

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; equal for equal arrays in equal parts."""
        digest = hashlib.sha256()
        for part in ("train", "validation", "test"):
            for array in (getattr(self, f"x_{part}"), getattr(self, f"y_{part}")):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(memoryview(array).cast("B"))
        return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=4)
def load(source: Source) -> ImageData:
    """The data that `source` names, downloaded where torchvision knows them and they are not there yet.

    Returns   the same object for an equal source while it is among the last four; do not write into its arrays
    Raises    UserError when the data cannot be had, read or split; the message is one line that says what to do
    """
    x_train, y_train, x_test, y_test, classes = _reader(source.name)(source)
    _check_labels(source.name, y_train, y_test, classes)
    train, validation = _split(source.name, y_train, classes, source.validation, source.seed)
    if source.size is not None:
        x_train, x_test = _resize(x_train, source.size), _resize(x_test, source.size)
    rows = np.concatenate([train, validation])
    x, x_test = np.ascontiguousarray(x_train)[rows], np.ascontiguousarray(x_test)
    return ImageData(source.name, x, y_train[rows], len(train), x_test, y_test, classes)


def _reader(name: str) -> Callable[[Source], Parts]:
    path = Path(name).expanduser()
    if name in READERS:
        return READERS[name]
    if path.is_dir():
        return _read_folder
    if path.exists():
        return _read_npz
    if "/" in name or os.sep in name or name.endswith(".npz"):
        raise UserError(f"{name}: no such file or folder; check the path of the data")
    close = difflib.get_close_matches(name.lower(), DATASETS, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    raise UserError(f"unknown data set {name!r}; {suggestion}give {_CHOICES}")


# ---- Known sets ----


def _read_digits(source: Source) -> Parts:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 1, 8, 8).astype(np.uint8)  # whole numbers 0..16
    return _without_test_part(source.name, x, labels.astype(np.int64), tuple("0123456789"))


class _Published(NamedTuple):
    """A data set of torchvision."""

    loader: str  # the name of its class in torchvision.datasets
    files: tuple[str, ...]  # what is downloaded
    arrays: Callable[[Any], tuple[np.ndarray, np.ndarray]]  # x as N x C x H x W and y of one part
    folder: str = ""  # under root, where the files lie
    parts: tuple[tuple[str, Any], ...] = (("train", True), ("train", False))  # argument that selects train, test
    remark: str = ""


_IDX_FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
# torchvision checks only that the unpacked files exist, and does not unpack anew over damaged ones
_IDX_REMARK = "; delete unpacked ones there (without .gz) if they are damaged"


def _idx_arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    return part.data.numpy()[:, None], part.targets.numpy()


def _cifar_arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    return part.data.transpose(0, 3, 1, 2), np.array(part.targets, dtype=np.int64)


def _svhn_arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    return part.data, part.labels


PUBLISHED = {
    "mnist": _Published("MNIST", _IDX_FILES, _idx_arrays, "MNIST/raw", remark=_IDX_REMARK),
    "fashion-mnist": _Published("FashionMNIST", _IDX_FILES, _idx_arrays, "FashionMNIST/raw", remark=_IDX_REMARK),
    "cifar10": _Published("CIFAR10", ("cifar-10-python.tar.gz",), _cifar_arrays),
    "cifar100": _Published("CIFAR100", ("cifar-100-python.tar.gz",), _cifar_arrays),
    "svhn": _Published(
        "SVHN", ("train_32x32.mat", "test_32x32.mat"), _svhn_arrays, parts=(("split", "train"), ("split", "test"))
    ),
}


def _read_published(source: Source) -> Parts:
    import torchvision

    published = PUBLISHED[source.name]
    root = Path(source.root or os.environ.get("EVONAS_DATA") or "~/.cache/evonas/data").expanduser()
    loader = getattr(torchvision.datasets, published.loader)
    try:
        with _patient_for(NETWORK_TIMEOUT), contextlib.redirect_stdout(sys.stderr):  # stdout is the caller's
            train, test = [loader(root, download=True, **{key: value}) for key, value in published.parts]
        (x_train, y_train), (x_test, y_test) = published.arrays(train), published.arrays(test)
        if not (0 < len(x_train) == len(y_train) and 0 < len(x_test) == len(y_test)):
            raise ValueError("no images, or not as many as labels")
    except Exception as error:  # torchvision raises whatever its files and the network meet
        raise UserError(
            f"{source.name} could be neither read nor downloaded ({_reason(error)}); put {', '.join(published.files)} "
            f"in {root / published.folder}{published.remark}"
        ) from error
    classes = tuple(map(str, getattr(train, "classes", range(10))))  # SVHN, the one without, shows the digits
    return x_train, y_train, x_test, y_test, classes


@contextlib.contextmanager
def _patient_for(seconds: float) -> Iterator[None]:
    """Network waits end after so many seconds: torchvision sets no limit of its own and would hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# ---- A folder of images ----


def _read_folder(source: Source) -> Parts:
    folder = Path(source.name).expanduser()
    test_folder = next((folder / part for part in ("test", "val") if (folder / part).is_dir()), None)
    if test_folder is None or not (folder / "train").is_dir():
        paths, labels, classes = _list_images(folder)
        return _without_test_part(source.name, _read_images(paths, source.size), labels, classes)
    paths, labels, classes = _list_images(folder / "train")
    test_paths, test_labels, test_classes = _list_images(test_folder)
    if classes != test_classes:
        differing = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise UserError(
            f"{source.name}: {differing}: class folders in only one of train and {test_folder.name}; "
            "give both the same class folders"
        )
    x = _read_images(paths + test_paths, source.size)  # together, so that they are held against one size
    return x[: len(paths)], labels, x[len(paths) :], test_labels, classes


def _list_images(folder: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    from torchvision.datasets import ImageFolder

    try:
        images = ImageFolder(str(folder))
    except OSError as error:  # no class folders, or one without images
        raise UserError(
            f"{folder}: {_reason(error)}; give a folder of class folders with images, such as {folder.name}/cat/1.png"
        ) from error
    paths = [path for path, _ in images.samples]
    return paths, np.array(images.targets, dtype=np.int64), tuple(images.classes)


def _read_images(paths: Sequence[str], size: int | None) -> np.ndarray:
    """The RGB images as N x 3 x H x W, uint8."""
    first = _read_image(paths[0], size)
    x = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for i, path in enumerate(paths):
        image = _read_image(path, size)
        if image.shape != first.shape:
            raise UserError(
                f"{path} is {_pixels(image)} but {paths[0]} is {_pixels(first)}; "
                "images must have one size: use --size to resize them"
            )
        x[i] = image
    return x


def _read_image(path: str, size: int | None) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except Exception as error:  # the decoders raise many kinds
        raise UserError(f"{path}: not a readable image ({_reason(error)}); replace or remove it") from error
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def _pixels(image: np.ndarray) -> str:
    return f"{image.shape[2]} x {image.shape[1]} pixels"


# ---- An .npz file ----

NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def _read_npz(source: Source) -> Parts:
    file = source.name
    arrays = _npz_arrays(file)
    x_train, x_test = (_npz_images(f"{file}: {key}", arrays[key]) for key in ("x_train", "x_test"))
    y_train, y_test = (_npz_labels(f"{file}: {key}", arrays[key]) for key in ("y_train", "y_test"))
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise UserError(f"{file}: {len(x)} images in x_{part} but {len(y)} labels in y_{part}; give one per image")
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        train, test = (f"{x.shape[1:]} {x.dtype}" for x in (x_train, x_test))
        raise UserError(
            f"{file}: images of (C, H, W) {train} in x_train but {test} in x_test; give both one shape and type"
        )
    return x_train, y_train, x_test, y_test, _npz_classes(file, arrays.get("classes"), y_train)


def _npz_arrays(file: str) -> dict[str, np.ndarray]:
    advice = "save it anew with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)"
    path = Path(file).expanduser()
    if not zipfile.is_zipfile(path):  # told apart here because numpy would speak of pickles
        raise UserError(f"{file}: not a readable .npz file, or a damaged one; {advice}")
    arrays: dict[str, np.ndarray] = {}
    key = "the list of arrays"  # what is being read
    try:
        with np.load(path, allow_pickle=False) as archive:  # a pickle could run any code
            found = archive.files
            for key in sorted({*NPZ_ARRAYS, "classes"} & set(found)):
                arrays[key] = np.asarray(archive[key])  # numpy hands out bytes where a member is no array
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        raise UserError(f"{file}: {key} cannot be read ({_reason(error)}); {advice}, without Python objects") from error
    missing = [key for key in NPZ_ARRAYS if key not in arrays]
    if missing:
        raise UserError(f"{file}: {', '.join(missing)} missing, found {', '.join(found) or 'nothing'}; {advice}")
    return arrays


def _npz_images(which: str, x: np.ndarray) -> np.ndarray:
    """N x H x W or N x H x W x C to N x C x H x W, uint8 or float32."""
    if x.ndim not in (3, 4):
        raise UserError(f"{which} has shape {x.shape}; give it as N x H x W or N x H x W x C")
    if x.size == 0:
        raise UserError(f"{which} is empty, its shape is {x.shape}; give at least two images per class")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:  # would pass for flat images of many channels
        raise UserError(f"{which} has shape {x.shape}, channels first; give it as N x H x W x C")
    x = _npz_values(which, x)
    return x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)


def _npz_values(which: str, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # told below
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise UserError(f"{which} holds NaN, inf or values beyond float32; remove or replace them")
        return x
    if x.dtype.kind not in "iub":
        raise UserError(f"{which} is of type {x.dtype}; give it as uint8 or float32")
    if x.min() < 0 or x.max() > 255:
        raise UserError(f"{which} holds whole numbers from {x.min()} to {x.max()}; give 0..255, or save it as float32")
    return x.astype(np.uint8)


def _npz_labels(which: str, y: np.ndarray) -> np.ndarray:
    if y.ndim != 1:
        raise UserError(f"{which} has shape {y.shape}; give one class number per image, shape (N,)")
    if y.size == 0:
        raise UserError(f"{which} is empty; give one class number per image")
    whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((np.isfinite(y) & (y == np.round(y))).all()))
    if not whole:
        raise UserError(
            f"{which} holds labels that are not whole numbers (type {y.dtype}); give class numbers 0, 1, ..."
        )
    y = y.astype(np.int64)
    if y.min() < 0:
        raise UserError(f"{which} holds the negative label {y.min()}; number the classes from 0")
    return y


def _npz_classes(file: str, names: np.ndarray | None, y_train: np.ndarray) -> tuple[str, ...]:
    if names is None:
        # No more than one name per label, so that a stray huge label cannot fill the memory; it is refused later.
        return tuple(str(i) for i in range(min(int(y_train.max()), len(y_train)) + 1))
    if names.ndim != 1:
        raise UserError(f"{file}: classes has shape {names.shape}; give a list with one name per class")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


# ---- All kinds ----

READERS: dict[str, Callable[[Source], Parts]] = {"digits": _read_digits, **dict.fromkeys(PUBLISHED, _read_published)}


def _check_labels(name: str, y_train: np.ndarray, y_test: np.ndarray, classes: tuple[str, ...]) -> None:
    for part, y in (("train", y_train), ("test", y_test)):
        if y.max() >= len(classes):
            raise UserError(
                f"{name}: y_{part} holds label {y.max()}, but there are {len(classes)} classes, numbered from 0; "
                "give every class images in y_train and, where there is an array `classes`, a name"
            )


def splitted(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y of a training part and of a test part, which is the same for every seed. Raises UserError as `load` does."""
    y = _npz_labels(name, y)
    x_train, y_train, x_test, y_test, _ = _without_test_part(name, x, y, _npz_classes(name, None, y))
    return x_train, y_train, x_test, y_test


def _without_test_part(name: str, x: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> Parts:
    """A test part, the same for every seed, is split off."""
    train, test = _split(name, y, classes, TEST_SHARE, TEST_SEED)
    return x[train], y[train], x[test], y[test], classes


def _split(
    name: str, y: np.ndarray, classes: tuple[str, ...], share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of what stays and of the share that is held out, each with the classes in the proportions of y."""
    from sklearn.model_selection import train_test_split

    if len(classes) < 2:
        raise UserError(f"{name}: fewer than two classes ({', '.join(classes)}); give images of at least two")
    counts = np.bincount(y, minlength=len(classes))
    if counts.min() < 2:
        rare = int(counts.argmin())
        if rare == 0 and counts[0] == 0:
            raise UserError(f"{name}: no image has the label 0; number the classes from 0, as in y - y.min()")
        raise UserError(
            f"{name}: class {rare} ({classes[rare]}) has {counts[rare]} images to train and validate with; give at "
            "least two of every class, and number the classes 0, 1, 2, ... without gaps"
        )
    try:
        stay, held_out = train_test_split(np.arange(len(y)), test_size=share, random_state=seed, stratify=y)
    except ValueError as error:
        raise UserError(
            f"{name}: {share:g} of {len(y)} images cannot be held out with every class on both sides "
            f"({_reason(error)}); give more images, or change --validation"
        ) from error
    return stay, held_out


def _resize(x: np.ndarray, size: int) -> np.ndarray:
    """Bilinear with antialiasing; the type of x is kept."""
    import torch

    if x.shape[2:] == (size, size):
        return x
    resized = np.empty((*x.shape[:2], size, size), dtype=x.dtype)
    for target, chunk in zip(_chunks(resized), _chunks(x), strict=True):
        images = torch.from_numpy(chunk.astype(np.float32))
        images = torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        target[:] = images.round().numpy() if x.dtype == np.uint8 else images.numpy()
    return resized


def _chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Views of at most CHUNK images."""
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def _reason(error: Exception) -> str:
    """The error in one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:200]
