"""A script's own images, as arrays or torch datasets, kept in the run directory: later commands find them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evonas.data.picture import in_mode, upright
from evonas.errors import UserError

NAME = "the data"  # in messages
GREY = ("1", "L", "LA", "La")  # Pillow's modes without colour
_WANTED = (
    "(x, y), (x_train, y_train, x_test, y_test), a torch Dataset or two of them (train, test), or a dict of arrays by "
    "the names that they have in an .npz file; x is N x H x W or N x H x W x C as numpy, N x C x H x W as torch "
    "tensors, y class numbers or names"
)


def write_own_data(data: Any, path: Path) -> None:
    """Write what `evonas.search` takes as data into an .npz file.

    data   (x, y): a test part is split off, the same for every seed; or (x_train, y_train, x_test, y_test); or a torch
           Dataset of (image, label), or two of them. numpy images are N x H x W or N x H x W x C, torch images are
           N x C x H x W, and Pillow's are read as those of a folder; labels are class numbers from 0, or names. Or a
           dict of what shall be in the file, as numpy arrays (`evonas.data.npz`).

    Raises UserError where the data are something else, or cannot be used.
    """
    from evonas.data.npz import checked_parts

    arrays = _named(data) if isinstance(data, Mapping) else _parted(data)
    checked_parts(NAME, arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _named(data: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """Arrays by the names that they have in an .npz file."""
    from evonas.data.npz import FURTHER_ARRAYS, NPZ_ARRAYS

    known = (*NPZ_ARRAYS, *FURTHER_ARRAYS)
    missing, unknown = [key for key in NPZ_ARRAYS if key not in data], [key for key in data if key not in known]
    if missing or unknown:
        raise UserError(f"the data have {', '.join(map(str, data)) or 'nothing'}; give {', '.join(NPZ_ARRAYS)}, and "
                        f"perhaps {', '.join(FURTHER_ARRAYS)}")  # fmt: skip
    return {key: np.asarray(data[key]) for key in data}


def _parted(data: Any) -> dict[str, np.ndarray]:
    """The arrays of (x, y) and the like, with a test part."""
    from evonas.data.npz import splitted

    parts = _parts(data)
    x, y = _arrays(parts[0])
    names = _names(parts[0])
    if len(parts) == 1:
        y, names = _numbered(y, names)
        x, y, x_test, y_test = splitted(NAME, x, y)
    else:
        x_test, y_test = _arrays(parts[1])
        y_all, names = _numbered(np.concatenate([y, y_test]), names)
        y, y_test = y_all[: len(y)], y_all[len(y) :]
    arrays = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    if names is not None:
        arrays["classes"] = np.array(names)
    return arrays


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


def labelled(data: Any) -> tuple[Any, np.ndarray, Sequence[str] | None]:
    """The images of (x, y) or of a Dataset as they are, their labels, and the names of the classes, where labels are
    numbers whose names are known. Raises UserError where the data are something else."""
    parts = _parts(data)
    if len(parts) > 1:
        raise UserError(f"there are {len(parts)} parts of data; give one of them: (x, y), or one Dataset")
    x, y = _examples(parts[0])
    return (x, *_numbered(y, _names(parts[0])))


def _arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = _examples(part)
    x = images_of(x)
    if len(x) != len(y):
        raise UserError(f"there are {len(x)} images but {len(y)} labels; give one label an image")
    return x, y


def images_of(x: Any) -> np.ndarray:
    """Images N x H x W or N x H x W x C, of an array like that, a tensor N x C x H x W, or a list of images. Raises
    UserError where they are something else."""
    try:
        x = (
            _channels_last(x, "the tensor of images")
            if _is_tensor(x)
            else _stacked(x)
            if _is_list(x)
            else np.asarray(x)
        )
    except UserError:
        raise
    except ValueError as error:  # rows of several lengths
        raise UserError(f"the images are no array ({error}); give {_WANTED}") from None
    if x.ndim not in (3, 4):
        raise UserError(f"the images have shape {x.shape}; give {_WANTED}")
    return x


def _examples(part: Any) -> tuple[Any, np.ndarray]:
    """Images as they are, and their labels."""
    if _is_dataset(part):
        pairs = [_item(part, number) for number in range(len(part))]
        if not pairs or any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
            raise UserError("the dataset gives no (image, label) pairs; wrap it so that it does")
        return [image for image, _ in pairs], np.array([_label(label) for _, label in pairs])
    x, y = part
    if y is None:
        raise UserError("the labels are None; give one class number or name for each image")
    y = _plain(y, "the tensor of labels") if _is_tensor(y) else np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        raise UserError(f"the labels have shape {y.shape}, a row for each image; give class numbers, as y.argmax(1) of "
                        "one-hot rows")  # fmt: skip
    return x, y


def _item(dataset: Any, number: int) -> Any:
    try:
        return dataset[number]
    except Exception as error:  # a user's dataset may raise anything
        raise UserError(f"item {number} of the dataset cannot be had: {type(error).__name__}: {error}") from error


def _stacked(given: Sequence[Any]) -> np.ndarray:
    """Images, each a picture, an array H x W or H x W x C, or a tensor C x H x W, as one array with channels last."""
    pictures = [image for image in given if is_pillow(image)]
    try:
        colour = any(upright(image).mode not in GREY for image in pictures)
        mode = "RGB" if colour else "L"
        images = [np.asarray(in_mode(upright(image), mode)) if is_pillow(image) else _image(image) for image in given]
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"an image of the dataset cannot be used: {error}") from None
    shapes = sorted({image.shape for image in images}, key=repr)
    if len(shapes) > 1:
        raise UserError(f"the images of the dataset differ in shape: {shapes[0]} and {shapes[1]}; resize them")
    return np.stack(images)


def _image(image: Any) -> np.ndarray:
    return _channels_last(image, "an image of the dataset") if _is_tensor(image) else np.asarray(image)


def _channels_last(tensor: Any, what: str) -> np.ndarray:
    """Tensors have their channels first, pictures and numpy last; without channels they stay as they are."""
    array = _plain(tensor, what)
    single = 3 if what == "an image of the dataset" else 4
    if array.ndim != single:
        return array
    if array.shape[-3] > 4 >= array.shape[-1]:  # would pass for flat images of many channels
        wanted = "C x H x W" if single == 3 else "N x C x H x W"
        raise UserError(f"{what} has shape {tuple(array.shape)}, channels last; give it as {wanted}")
    return np.moveaxis(array, -3, -1)


def _plain(tensor: Any, what: str) -> np.ndarray:
    try:
        return tensor.detach().cpu().numpy()
    except TypeError:  # bfloat16, float8, quantised ones
        raise UserError(f"{what} is of type {tensor.dtype}, which numpy does not have; give it as float32 or "
                        "uint8") from None  # fmt: skip


def _label(label: Any) -> int | str | float:
    """A class number, a name, or a number that is refused later on."""
    if isinstance(label, str):
        return label
    array = _plain(label, "a label of the dataset") if _is_tensor(label) else np.asarray(label)
    if array.size != 1 or array.dtype.kind not in "iubfUS":
        shown = "None" if label is None else f"of shape {array.shape}" if array.ndim else f"a {type(label).__name__}"
        raise UserError(f"a label of the dataset is {shown}; give class numbers from 0, or names (of one-hot rows, "
                        "their argmax)")  # fmt: skip
    return array.item()


def _names(part: Any) -> Sequence[str] | None:
    while not hasattr(part, "classes") and hasattr(part, "dataset"):  # torch's Subset
        part = part.dataset
    names = getattr(part, "classes", None)
    if names is None:
        return None
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise UserError(f"the dataset's `classes` are {names!r}; make them a list with one name per class, or leave "
                        "them out")  # fmt: skip
    return [str(name) for name in names]


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


def is_pillow(value: Any) -> bool:
    """Whether it is an image of Pillow."""
    return type(value).__module__.startswith("PIL.")


def _is_list(value: Any) -> bool:
    """Whether it lists images, each a picture, an array or a tensor."""
    return isinstance(value, list | tuple) and any(hasattr(each, "shape") or is_pillow(each) for each in value)
