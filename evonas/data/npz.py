"""An .npz file with the arrays x_train, y_train, x_test, y_test, and perhaps others.

x_validation, y_validation            a validation part of its own; without it, one is drawn from the training part
weights_train, weights_validation     how much each image counts in a training, above 0; without them, all alike
classes                               the names of the classes
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from evonas.data.splitting import Parts, check_labels, without_test_part
from evonas.errors import UserError
from evonas.support.device import require_memory
from evonas.support.text import reason

NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
FURTHER_ARRAYS = ("x_validation", "y_validation", "weights_train", "weights_validation", "classes")


def read_npz(file: str) -> Parts:
    """Raises UserError where it cannot be read."""
    return checked_parts(file, _npz_arrays(file))


def checked_parts(file: str, arrays: dict[str, np.ndarray]) -> Parts:
    """The arrays of a file, or of what messages call so. Raises UserError where they are no images with labels."""
    names = [part for part in ("train", "validation", "test") if f"x_{part}" in arrays or f"y_{part}" in arrays]
    if lacking := [key for part in names for key in (f"x_{part}", f"y_{part}") if key not in arrays]:
        raise UserError(f"{file}: {', '.join(lacking)} missing; give images and labels of each part")
    x = {part: npz_images(f"{file}: x_{part}", arrays[f"x_{part}"]) for part in names}
    y = {part: npz_labels(f"{file}: y_{part}", arrays[f"y_{part}"]) for part in names}
    for part in names:
        if len(x[part]) != len(y[part]):
            raise UserError(f"{file}: {len(x[part])} images in x_{part} but {len(y[part])} labels in y_{part}; give "
                            "one per image")  # fmt: skip
        if x["train"].shape[1:] != x[part].shape[1:] or x["train"].dtype != x[part].dtype:
            train, other = (f"{each.shape[1:]} {each.dtype}" for each in (x["train"], x[part]))
            raise UserError(f"{file}: images of (C, H, W) {train} in x_train but {other} in x_{part}; give both one "
                            "shape and type")  # fmt: skip
    classes = npz_classes(file, arrays.get("classes"), y["train"])
    for part in names:
        check_labels(file, part, y[part], classes)
    learnt = [part for part in names if part != "test"]
    return Parts(
        np.concatenate([x[part] for part in learnt]),
        np.concatenate([y[part] for part in learnt]),
        x["test"],
        y["test"],
        classes,
        pixel_of(x["train"]),
        validation=len(y["validation"]) if "validation" in learnt else None,
        weights=_npz_weights(file, arrays, {part: len(y[part]) for part in learnt}),
    )


def _npz_weights(file: str, arrays: dict[str, np.ndarray], counts: dict[str, int]) -> np.ndarray | None:
    """The weights of the images of these parts, one after the other; None where there are none."""
    wanted = [f"weights_{part}" for part in counts]
    if not any(key in arrays for key in ("weights_train", "weights_validation")):
        return None
    if lacking := [key for key in wanted if key not in arrays]:
        raise UserError(f"{file}: {', '.join(lacking)} missing; give weights of all images, or of none")
    for key, count in zip(wanted, counts.values(), strict=True):
        weights = arrays[key]
        if weights.shape != (count,) or weights.dtype.kind not in "iuf":
            raise UserError(f"{file}: {key} has shape {weights.shape} and type {weights.dtype}; give one number for "
                            f"each of {count} images")  # fmt: skip
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise UserError(f"{file}: {key} holds numbers that are not above 0; leave out images that shall not count")
    return np.concatenate([arrays[key].astype(np.float64) for key in wanted])


def pixel_of(x: np.ndarray) -> float | None:
    """What a step of a picture file's 0 to 255 is in images with these values, by the least of the usual ranges that
    holds them: floats to 1, whole numbers to 16 (the digits) or to 255. None: not known, as they go below 0."""
    brightest = next((full for full in (1, 16, 255) if x.max() <= full), 255)
    return brightest / 255 if x.min() >= 0 else None


def _npz_arrays(file: str) -> dict[str, np.ndarray]:
    advice = "save it anew with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)"
    arrays, found = arrays_in(file, lambda found: (*NPZ_ARRAYS, *FURTHER_ARRAYS), advice)
    missing = [key for key in NPZ_ARRAYS if key not in arrays]
    if missing:
        raise UserError(f"{file}: {', '.join(missing)} missing, found {', '.join(found) or 'nothing'}; {advice}")
    return arrays


def arrays_in(
    file: str, wanted: Callable[[Sequence[str]], Sequence[str]], advice: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays in a file that `wanted` chooses among the names that the file has; and all these names.

    Raises UserError where they cannot be read; the advice says what to do then.
    """
    path = Path(file).expanduser()
    if not zipfile.is_zipfile(path):  # told apart here because numpy would speak of pickles
        raise UserError(f"{file}: not a readable .npz file, or a damaged one; {advice}")
    arrays: dict[str, np.ndarray] = {}
    key = "the list of arrays"  # what is being read
    try:
        with np.load(path, allow_pickle=False) as archive:  # a pickle could run any code
            found = archive.files
            keys = sorted(set(wanted(found)) & set(found))
            _require_memory(file, archive.zip, keys)
            for key in keys:
                arrays[key] = np.asarray(archive[key])  # numpy hands out bytes where a member is no array
    except UserError:
        raise
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        raise UserError(f"{file}: {key} cannot be read ({reason(error)}); {advice}, without Python objects") from error
    return arrays, found


def _require_memory(file: str, archive: zipfile.ZipFile, keys: Sequence[str]) -> None:
    """Twice what the arrays take: they are put in another order once."""
    unpacked = sum(each.file_size for each in archive.infolist() if each.filename.removesuffix(".npy") in keys)
    require_memory(2 * unpacked, file, "give fewer images, or smaller ones")


def npz_images(which: str, x: np.ndarray) -> np.ndarray:
    """N x H x W or N x H x W x C to N x C x H x W, uint8 or float32."""
    if x.ndim not in (3, 4):
        raise UserError(f"{which} has shape {x.shape}; give it as N x H x W or N x H x W x C")
    if x.size == 0:
        raise UserError(f"{which} is empty, its shape is {x.shape}; give at least two images per class")
    if x.ndim == 4 and x.shape[1] <= 4 < x.shape[3]:  # would pass for flat images of many channels
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


def npz_labels(which: str, y: np.ndarray) -> np.ndarray:
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


def npz_classes(file: str, names: np.ndarray | None, y_train: np.ndarray) -> tuple[str, ...]:
    if names is None:
        # No more than one name per label, so that a stray huge label cannot fill the memory; it is refused later.
        return tuple(str(i) for i in range(min(int(y_train.max()), len(y_train)) + 1))
    if names.ndim != 1:
        raise UserError(f"{file}: classes has shape {names.shape}; give a list with one name per class")
    return tuple(name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)


def splitted(name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y of a training part and of a test part, which is the same for every seed. Raises UserError as `load` does."""
    y = npz_labels(name, y)
    parts = without_test_part(name, x, y, npz_classes(name, None, y), None)
    return parts.x, parts.y, parts.x_test, parts.y_test
