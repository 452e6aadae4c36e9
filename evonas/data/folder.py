"""A folder of pictures: one folder a class, or those below the folders of splits."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evonas.data.picture import bands, files_below, is_hidden, is_picture
from evonas.data.splitting import Parts, without_test_part
from evonas.errors import UserError
from evonas.support.device import require_memory
from evonas.support.text import reason

SPLITS = {  # the names that folders of splits have, in any case
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
TOLD = 3  # so many files are named in a message


@dataclass
class Listed:
    """The pictures below the class folders of one folder."""

    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    deeper: list[str] = field(default_factory=list)  # folders below those of classes
    left_out: Counter[str] = field(default_factory=Counter)  # suffix -> files that are no pictures


def read_folder(name: str, size: int | None) -> Parts:
    """The pictures as RGB, uint8.

    A folder `train` with `test` beside it, or a validation folder, or both, are splits, under their usual names in any
    case; without a test folder, the validation folder is the test part. Else the folders are classes.

    Raises UserError where it cannot be read.
    """
    folder = Path(name).expanduser()
    with _readable():
        splits = _splits(folder)
        listed = {part: _listed(place) for part, place in splits.items()} or {"train": _listed(folder)}
    train, notes = listed["train"], _notes(listed.values())
    _once(listed.values())
    for part, found in listed.items():
        if found.classes != train.classes:
            differing = ", ".join(sorted(set(found.classes) ^ set(train.classes)))
            raise UserError(
                f"{name}: {differing}: class folders in only one of {splits['train'].name} and {splits[part].name}; "
                "give both the same class folders"
            )
    x = _read([path for found in listed.values() for path in found.paths], size)  # together: they must have one size
    y = {part: np.array(found.labels, dtype=np.int64) for part, found in listed.items()}
    if not splits:
        return without_test_part(name, x, y["train"], train.classes, 1.0, notes)
    rest = len(x) - len(y["test" if "test" in y else "validation"])
    if "test" not in y:
        return Parts(x[:rest], y["train"], x[rest:], y["validation"], train.classes, 1.0, notes=notes)
    if "validation" not in y:
        return Parts(x[:rest], y["train"], x[rest:], y["test"], train.classes, 1.0, notes=notes)
    given = f"validation is on the pictures in {splits['validation'].name}"
    both = np.concatenate([y["train"], y["validation"]])
    return Parts(x[:rest], both, x[rest:], y["test"], train.classes, 1.0, len(y["validation"]), (given, *notes))


def test_pictures(name: str) -> tuple[Path, Listed]:
    """The folder of the test part, as `read_folder` has it, and its pictures; those of all where there are no splits. A
    class may be without pictures.

    Raises UserError where they cannot be read.
    """
    folder = Path(name).expanduser()
    with _readable():
        splits = _splits(folder)
        place = splits.get("test", splits.get("validation", folder))
        listed = _listed(place, empty=True)
    _once([listed])
    if not listed.paths:
        raise UserError(f"{place}: there is no picture in its class folders")
    return place, listed


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); give permission, or remove it") from None


def _splits(folder: Path) -> dict[str, Path]:
    """train, validation and test, in this order, as far as there are folders of them; empty: there are none."""
    found: dict[str, Path] = {}
    inner = _folders(folder)
    for part, names in SPLITS.items():
        named = [place for place in inner if place.name.lower() in names]
        if len(named) > 1:
            raise UserError(
                f"{folder}: both {named[0].name} and {named[1].name} are names of its {part} split; keep one"
            )
        if named:
            found[part] = named[0]
    if "train" not in found or len(found) == 1:
        _check_classes(folder, inner)
        return {}
    others = [place.name for place in inner if place not in found.values()]
    if others:
        splits = ", ".join(place.name for place in found.values())
        raise UserError(
            f"{folder}: {', '.join(others[:TOLD])} beside {splits}; keep those of splits only, or those of classes"
        )
    return found


def _check_classes(folder: Path, inner: Sequence[Path]) -> None:
    """Raises UserError where the folders are no classes."""
    below = [tuple(place.name for place in _folders(each)) for each in inner]
    if len(inner) > 1 and below[0] and len(set(below)) == 1:
        raise UserError(
            f"{folder}: {', '.join(place.name for place in inner[:TOLD])} all hold the folders "
            f"{', '.join(below[0][:TOLD])}, as splits do and classes do not; name them train, val and test, or put the "
            "pictures of each class into one folder without folders"
        )
    if len(inner) == 1 and below[0]:
        raise UserError(f"{folder}: fewer than two classes ({inner[0].name}); give {inner[0]} if its folders are the "
                        "classes")  # fmt: skip


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


def _listed(folder: Path, *, empty: bool = False) -> Listed:
    listed = Listed()
    example = f"give a folder of class folders with pictures, such as {folder.name}/cat/1.png"
    inner = _folders(folder)
    if not inner:
        raise UserError(f"{folder}: there is no class folder in it; {example}")
    listed.classes = tuple(place.name for place in inner)
    for label, place in enumerate(inner):
        before = len(listed.paths)
        for path in files_below(place):
            if not is_picture(path):
                listed.left_out[Path(path).suffix.lower() or "no suffix"] += 1
                continue
            listed.paths.append(path)
            listed.labels.append(label)
            deeper = str(Path(path).parent.relative_to(folder))
            if deeper != place.name and deeper not in listed.deeper:
                listed.deeper.append(deeper)
        if len(listed.paths) == before and not empty:
            raise UserError(f"{place}: there is no picture in it; remove the folder, or {example}")
    return listed


def _once(listed: Any) -> None:
    """Raises UserError for a file that is found in two classes or splits, by a link: it would be tested on what it was
    trained on."""
    found: dict[str, str] = {}
    for path in (path for each in listed for path in each.paths):
        first = found.setdefault(os.path.realpath(path), path)
        if first != path:
            raise UserError(f"{path} and {first} are one file; remove the link, so that it counts once")


def _notes(listed: Any) -> tuple[str, ...]:
    notes = []
    deeper = [place for each in listed for place in each.deeper]
    if deeper:
        shown = ", ".join(deeper[:TOLD]) + (f" and {len(deeper) - TOLD} more" if len(deeper) > TOLD else "")
        notes.append(f"pictures in folders below those of classes count as theirs: {shown}")
    left_out: Counter[str] = sum((each.left_out for each in listed), Counter())
    if left_out:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in left_out.most_common())
        notes.append(f"left out, as they are no pictures by their names: {kinds}")
    return tuple(notes)


def _read(paths: Sequence[str], size: int | None) -> np.ndarray:
    """The pictures as N x 3 x H x W, uint8."""
    x, failed = np.empty((0,), dtype=np.uint8), []
    for i, path in enumerate(paths):
        try:
            image = read_picture(path, 3, None if size is None else (size, size))
        except UserError as error:
            failed.append(str(error))
            continue
        if not len(x):
            enough = "resize them with --size, or give fewer"
            require_memory(2 * len(paths) * image.nbytes, f"{len(paths)} pictures of {_pixels(image)}", enough)
            x, first = np.empty((len(paths), *image.shape), dtype=np.uint8), path
        if image.shape != x.shape[1:]:
            raise UserError(
                f"{path} is {_pixels(image)} but {first} is {_pixels(x[0])}; "
                "images must have one size: use --size to resize them"
            )
        x[i] = image
    if failed:
        more = f"; {len(failed) - 1} more of {len(paths)} pictures cannot be read either" if len(failed) > 1 else ""
        raise UserError(failed[0] + more)
    return x


def read_picture(
    path: str, channels: int, size: tuple[int, int] | None, pixel: float = 1.0, whole: bool = True
) -> np.ndarray:
    """A picture file as C x H x W, uint8, or float32 where values are no whole numbers; see `picture.bands`.

    Raises UserError where it cannot be read.
    """
    from PIL import Image

    advice = "replace or remove it"
    try:
        with Image.open(path) as image:
            width, height = image.size
            require_memory(8 * width * height, f"{path}, a picture of {width} x {height} pixels", advice)
            return np.stack([np.asarray(band) for band in bands(image, channels, size, pixel, whole)])
    except UserError:
        raise
    except Exception as error:  # the decoders raise many kinds
        raise UserError(f"{path}: not a readable image ({reason(error)}); {advice}") from error


def _pixels(image: np.ndarray) -> str:
    return f"{image.shape[2]} x {image.shape[1]} pixels"
