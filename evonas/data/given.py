"""A script's own images, as arrays or torch datasets, kept in the run directory: later commands find them there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evonas.errors import UserError

_WANTED = (
    "(x, y), (x_train, y_train, x_test, y_test), a torch Dataset or two of them (train, test); x is N x H x W or "
    "N x H x W x C as numpy, N x C x H x W as torch tensors, y class numbers or names"
)


def write_own_data(data: Any, path: Path) -> None:
    """Write what `evonas.search` takes as data into an .npz file.

    data   (x, y): a test part is split off, the same for every seed; or (x_train, y_train, x_test, y_test); or a torch
           Dataset of (image, label), or two of them. numpy images are N x H x W or N x H x W x C, torch images are
           N x C x H x W; labels are class numbers from 0, or names.

    Raises UserError where the data are something else, or cannot be used.
    """
    from evonas.data.npz import splitted

    parts = _parts(data)
    x, y = _arrays(parts[0])
    names = _names(parts[0])
    if len(parts) == 1:
        y, names = _numbered(y, names)
        x, y, x_test, y_test = splitted("the data", x, y)
    else:
        x_test, y_test = _arrays(parts[1])
        y_all, names = _numbered(np.concatenate([y, y_test]), names)
        y, y_test = y_all[: len(y)], y_all[len(y) :]
    arrays: dict[str, Any] = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    if names is not None:
        arrays["classes"] = np.array(names)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def is_own_data(data: Any) -> bool:
    return not isinstance(data, str | Path)


def _parts(data: Any) -> list[Any]:
    """One or two parts, each a pair of arrays or a Dataset."""
    if isinstance(data, tuple | list):
        if len(data) == 4:
            return [tuple(data[:2]), tuple(data[2:])]
        if len(data) == 2 and all(map(_is_dataset, data)):
            return list(data)
        if len(data) == 2:
            return [tuple(data)]
    elif _is_dataset(data):
        return [data]
    raise UserError(f"data is {type(data).__name__}; give the name of a data set, or {_WANTED}")


def _is_dataset(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "shape") and not isinstance(
        data, str | bytes | list | tuple | dict
    )  # fmt: skip


def _arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    if _is_dataset(part):
        pairs = [_item(part, number) for number in range(len(part))]
        if not pairs or any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
            raise UserError("the dataset gives no (image, label) pairs; wrap it so that it does")
        images = [_image(image) for image, _ in pairs]
        shapes = sorted({image.shape for image in images})
        if len(shapes) > 1:
            raise UserError(f"the images of the dataset differ in shape: {shapes[0]} and {shapes[1]}; resize them")
        return np.stack(images), np.array([int(label) if _is_number(label) else label for _, label in pairs])
    x, y = part
    if _is_tensor(x) and x.ndim == 4 and x.shape[1] > 4 and x.shape[3] in (1, 3):
        raise UserError(f"the tensor of images has shape {tuple(x.shape)}, channels last; give it as N x C x H x W")
    if _is_tensor(x) and x.ndim == 3:
        x = x[:, None]
    x = _image(x) if _is_tensor(x) else np.asarray(x)
    y = np.asarray(y)
    if x.ndim not in (3, 4):
        raise UserError(f"the images have shape {x.shape}; give {_WANTED}")
    if len(x) != len(y):
        raise UserError(f"there are {len(x)} images but {len(y)} labels; give one label an image")
    return x, y


def _item(dataset: Any, number: int) -> Any:
    try:
        return dataset[number]
    except Exception as error:  # a user's dataset may raise anything
        raise UserError(f"item {number} of the dataset cannot be had: {type(error).__name__}: {error}") from error


def _image(image: Any) -> np.ndarray:
    """One image or a stack of them, channels last: tensors have their channels first, pictures and numpy last."""
    if _is_tensor(image):
        array = image.detach().cpu().numpy()
        return np.moveaxis(array, -3, -1) if array.ndim in (3, 4) else array
    return np.asarray(image)


def _names(part: Any) -> Sequence[str] | None:
    while not hasattr(part, "classes") and hasattr(part, "dataset"):  # torch's Subset
        part = part.dataset
    names = getattr(part, "classes", None)
    return None if names is None else [str(name) for name in names]


def _numbered(y: np.ndarray, names: Sequence[str] | None) -> tuple[np.ndarray, Sequence[str] | None]:
    """Class numbers, where labels are names."""
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y):
        y = y.astype(str)
    if y.dtype.kind not in "US":
        return y, names
    found, numbers = np.unique(np.char.decode(y) if y.dtype.kind == "S" else y, return_inverse=True)
    return numbers, [str(name) for name in found]


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch"


def _is_number(label: Any) -> bool:
    return isinstance(label, int | np.integer) or _is_tensor(label)
