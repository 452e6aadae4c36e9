"""Labelled images as numpy arrays: known sets, .npz files and folders, split into training, validation and test part.

The test part belongs to the data set and never depends on a seed; the validation part is drawn from the training part.
torch and torchvision are imported where they are needed, so that importing this module costs nothing.
"""

import contextlib
import difflib
import functools
import gzip
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evonas.data.folder import read_folder
from evonas.data.npz import read_npz
from evonas.data.picture import resized
from evonas.data.splitting import Parts, validation_split, without_test_part
from evonas.errors import UserError
from evonas.support.files import place
from evonas.support.text import reason

DATASETS: dict[str, str] = {
    "digits": "scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, 10 classes; needs no download",
    "mnist": "MNIST handwritten digits: 70,000 grey images of 28 x 28, 10 classes",
    "fashion-mnist": "Fashion-MNIST clothes: 70,000 grey images of 28 x 28, 10 classes",
    "cifar10": "CIFAR-10 objects: 60,000 colour images of 32 x 32, 10 classes",
    "cifar100": "CIFAR-100 objects: 60,000 colour images of 32 x 32, 100 classes",
    "svhn": "SVHN house numbers: 99,289 colour images of 32 x 32, 10 classes",
}

_CHOICES = f"one of {', '.join(DATASETS)}, or the path of an .npz file or of a folder of images"

NETWORK_TIMEOUT = 15.0  # seconds without an answer until a download counts as failed
CHUNK = 1000  # images turned into floats at once, to bound the memory
SMALLEST_STD = 1e-6  # in the units of x


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
    pixel     what a step of a picture file's 0 to 255 is in the units of x; None: not known
    notes     what a user might not expect of how they were read
    weights   how much each of x counts in a training (N,), above 0; None: all of them alike
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    training: int
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    pixel: float | None = None
    notes: tuple[str, ...] = ()
    weights: np.ndarray | None = None

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
        """Bytes that the images take."""
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
    def fingerprint(self) -> str:
        """16 hexadecimal digits; equal for equal arrays and weights in equal parts, with equal names of classes."""
        digest = hashlib.sha256(repr((self.classes, self.pixel)).encode())
        for part in ("train", "validation", "test"):
            for array in (getattr(self, f"x_{part}"), getattr(self, f"y_{part}")):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(memoryview(array).cast("B"))
        if self.weights is not None:
            digest.update(b"weights" + self.weights.tobytes())
        return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=4)
def load(source: Source) -> ImageData:
    """The data that `source` names, downloaded where torchvision knows them and they are not there yet.

    Returns   the same object for an equal source while it is among the last four; do not write into its arrays
    Raises    UserError when the data cannot be had, read or split; the message is one line that says what to do
    """
    parts = _reader(source.name)(source)
    y = parts.y
    if parts.validation is None:
        train, held_out = validation_split(source.name, y, parts.classes, source.validation, source.seed)
        rows, training = np.concatenate([train, held_out]), len(train)
    else:
        rows, training = np.arange(len(y)), len(y) - parts.validation
    x, x_test = parts.x, parts.x_test
    if source.size is not None:
        x, x_test = (resized_images(each, (source.size, source.size)) for each in (x, x_test))
    x, x_test = np.ascontiguousarray(x)[rows], np.ascontiguousarray(x_test)
    return ImageData(
        source.name,
        x,
        y[rows],
        training,
        x_test,
        parts.y_test,
        parts.classes,
        pixel=parts.pixel,
        notes=parts.notes,
        weights=None if parts.weights is None else parts.weights[rows],
    )


def _reader(name: str) -> Callable[[Source], Parts]:
    if name in READERS:
        return READERS[name]
    path = place(name)
    if path.is_dir():
        return lambda source: read_folder(source.name, source.size)
    if path.exists():
        return lambda source: read_npz(source.name)
    if "/" in name or os.sep in name or name.endswith(".npz"):
        raise UserError(f"{name}: no such file or folder; check the path of the data")
    close = difflib.get_close_matches(name.lower(), DATASETS, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    raise UserError(f"unknown data set {name!r}; {suggestion}give {_CHOICES}")


# ---- Known sets ----


def _read_digits(source: Source) -> Parts:
    """What `load_digits` of scikit-learn reads, from its file: to import it takes longer than a small training.
    Raises UserError where scikit-learn has not the file."""
    package = find_spec("sklearn")
    places = [] if package is None else package.submodule_search_locations or []
    files = [path for place in places if (path := Path(place, "datasets", "data", "digits.csv.gz")).exists()]
    if not files:
        raise UserError("digits: scikit-learn, with its file datasets/data/digits.csv.gz, is not here; "
                        "pip install scikit-learn, or give --data another set")  # fmt: skip
    with gzip.open(files[0], "rt", encoding="ascii") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.int64)  # 64 pixels, whole numbers 0..16, and the label
    return without_test_part(
        source.name, rows[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8), rows[:, -1], tuple("0123456789"), 16 / 255
    )


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
    root = place(source.root or os.environ.get("EVONAS_DATA") or "~/.cache/evonas/data")
    loader = getattr(torchvision.datasets, published.loader)
    try:
        with _patient_for(NETWORK_TIMEOUT), contextlib.redirect_stdout(sys.stderr):  # stdout is the caller's
            train, test = [loader(root, download=True, **{key: value}) for key, value in published.parts]
        (x_train, y_train), (x_test, y_test) = published.arrays(train), published.arrays(test)
        if not (0 < len(x_train) == len(y_train) and 0 < len(x_test) == len(y_test)):
            raise ValueError("no images, or not as many as labels")
    except Exception as error:  # torchvision raises whatever its files and the network meet
        raise UserError(
            f"{source.name} could be neither read nor downloaded ({reason(error)}); put {', '.join(published.files)} "
            f"in {root / published.folder}{published.remark}"
        ) from error
    classes = tuple(map(str, getattr(train, "classes", range(10))))  # SVHN, the one without, shows the digits
    return Parts(x_train, y_train, x_test, y_test, classes, 1.0)


@contextlib.contextmanager
def _patient_for(seconds: float) -> Iterator[None]:
    """Network waits end after so many seconds: torchvision sets no limit of its own and would hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# ---- All kinds ----

READERS: dict[str, Callable[[Source], Parts]] = {"digits": _read_digits, **dict.fromkeys(PUBLISHED, _read_published)}


def resized_images(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """N x C x H x W in another (width, height), each channel as a picture file's is resized; the type of x is kept."""
    from PIL import Image

    if x.shape[:1:-1] == size:
        return x
    resized_to = np.empty((*x.shape[:2], *size[::-1]), dtype=x.dtype)
    for image, small in zip(x, resized_to, strict=True):
        for band, target in zip(image, small, strict=True):
            target[:] = np.asarray(resized(Image.fromarray(np.ascontiguousarray(band)), size))
    return resized_to


def _chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Views of at most CHUNK images."""
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))
