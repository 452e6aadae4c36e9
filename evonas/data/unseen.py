"""Pictures for a trained network, read as those that it has learnt from: files, folders, globs, .npz files, arrays.

They come in batches, so that of many large files no more than a batch lies in memory.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from evonas.data.folder import TOLD, read_picture, test_pictures
from evonas.data.given import NAME, images_of, is_own_data, is_pillow
from evonas.data.given import labelled as examples
from evonas.data.npz import arrays_in, npz_classes, npz_images, npz_labels
from evonas.data.picture import bands, files_below, is_picture
from evonas.data.sources import resized_images
from evonas.errors import UserError
from evonas.support.files import place

PARTS = ("x_test", "x", "x_train")  # of an .npz file the first that it has
TOLERANCE = 0.5  # of the range of values, beyond which they are of another range
WHITE = 255  # of a picture file
Item = TypeVar("Item")
OnUnreadable = Callable[[UserError], None]


def refuse(error: UserError) -> None:
    """Who says nothing else has every picture read, or an error."""
    raise error


@dataclass(frozen=True)
class Form:
    """What a network takes.

    shape   (C, H, W)
    pixel   what a step of a picture file's 0 to 255 is in the values of its training data; None: not known
    whole   those are whole numbers
    """

    shape: tuple[int, ...]
    pixel: float | None
    whole: bool

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.shape[2], self.shape[1]

    def file(self, path: str) -> np.ndarray:
        """A picture file as C x H x W. Raises UserError where it cannot be read."""
        return read_picture(path, self.shape[0], self.size, self.step, self.whole)

    def pillow(self, image: Any) -> np.ndarray:
        """An image of Pillow as C x H x W. Raises UserError where its values have no known range."""
        try:
            found = bands(image, self.shape[0], self.size, self.step, self.whole)
        except ValueError as error:
            raise UserError(f"an image cannot be used: {error}") from None
        return np.stack([np.asarray(band) for band in found])

    @property
    def step(self) -> float:
        """`pixel`. Raises UserError where it is not known."""
        if self.pixel is None:
            raise UserError("the network was trained on values that went below 0, and nothing says which of them a "
                            "pixel of a file is; give arrays with values as in its training data")  # fmt: skip
        return self.pixel

    def array(self, what: str, x: np.ndarray) -> np.ndarray:
        """Images N x H x W or N x H x W x C of any size as N x C x h x w, in the type of the training data.

        Raises UserError where they are no images, or others than those of the training in channels or range.
        """
        x = npz_images(what, x)
        if x.shape[1] != self.shape[0]:
            raise UserError(f"{what}: images with channels: {x.shape[1]}, but the network takes {self.shape[0]}; give "
                            "them as N x H x W x C (a single image too: x[None])")  # fmt: skip
        if self.pixel is not None:
            self._check_range(what, x, WHITE * self.pixel)
        return x.astype(np.uint8 if self.whole else np.float32, copy=False)

    def _check_range(self, what: str, x: np.ndarray, full: float) -> None:
        """Raises UserError where values are plainly of another range than those of the training, 0 to `full`; a part of
        the same data may go beyond by a little."""
        low, high = float(x.min()), float(x.max())
        broken = x.dtype.kind == "f" and bool((x != np.round(x)).any())
        usual = self.whole or full < WHITE  # whoever trains on floats above 255 has no usual range
        beyond = low < -TOLERANCE * full or (usual and high > (1 + TOLERANCE) * full)
        of_one = broken and high <= 1 < full
        if beyond or of_one or (self.whole and (broken or low < 0 or high > WHITE)):
            kind = "whole numbers" if self.whole else "values"
            raise UserError(f"{what}: values from {low:g} to {high:g}{' with fractions' * broken}, but the network was "
                            f"trained on {kind} from 0 to {full:g}; give such")  # fmt: skip

    def sized(self, x: np.ndarray) -> np.ndarray:
        """N x C x h x w in the size of the network, as a search resizes arrays."""
        return np.ascontiguousarray(resized_images(x, self.size))


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in the order in which they were given.

    names   of each: the path of a file, an array's place in its file (mine.npz:x_test[3]), or a number
    read    of its number: what gives C x H x W; or all of them, N x C x h x w
    """

    names: Sequence[str]
    read: Callable[[int], np.ndarray] | np.ndarray

    def batches(
        self, size: int, form: Form, on_unreadable: OnUnreadable = refuse
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Their numbers and B x C x H x W; what cannot be read is told and left out."""
        if isinstance(self.read, np.ndarray):
            for rows in _batched(range(len(self.names)), size):
                yield rows, form.sized(self.read[rows[0] : rows[-1] + 1])
            return
        for found in _batched(self._each(self.read, on_unreadable), size):
            yield [row for row, _ in found], np.stack([image for _, image in found])

    def _each(self, read: Callable[[int], np.ndarray], on_unreadable: OnUnreadable) -> Iterator[tuple[int, np.ndarray]]:
        for row in range(len(self.names)):
            try:
                image = read(row)
            except UserError as error:
                on_unreadable(error)
            else:
                yield row, image


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch


# ---- Without labels ----


def pictures(given: Any, form: Form, on_unreadable: OnUnreadable = refuse) -> list[Pictures]:
    """What was given, in one or more groups.

    given   a path, or several: of picture files, folders, globs, .npz files with an array x_test, x or x_train; or
            images: numpy N x H x W or N x H x W x C, a tensor N x C x H x W, or a list of such or of Pillow's

    Raises UserError where there is nothing, or arrays are not what the network takes. Paths at which there is nothing
    are told, where there are others.
    """
    if _is_path(given):
        given = [given]
    if not isinstance(given, list | tuple) or (given and not any(map(_is_path, given))):
        return [_own(given, form)]
    if not all(map(_is_path, given)):
        raise UserError("some of what is given are paths and some are not; give paths, or images")
    return _at([os.fspath(each) for each in given], form, on_unreadable)


def _is_path(each: Any) -> bool:
    return isinstance(each, str | os.PathLike)


def _at(paths: Sequence[str], form: Form, on_unreadable: OnUnreadable) -> list[Pictures]:
    groups: list[Pictures] = []
    files: list[str] = []
    missing: list[UserError] = []

    def flush() -> None:
        if files:
            groups.append(_files(files.copy(), form))
            files.clear()

    for path in paths:
        try:
            for found in _matching(path):
                if found.lower().endswith(".npz") and not os.path.isdir(found):
                    flush()
                    groups.append(_npz(found, form))
                else:
                    files += _files_at(found)
        except _NothingThere as nothing:
            missing.append(nothing)
    flush()
    if not groups:
        raise missing[0] if missing else UserError("no picture is given; give files, folders, globs or .npz files")
    for each in missing:
        on_unreadable(each)
    return groups


class _NothingThere(UserError):
    """No picture at a path."""


def _matching(path: str) -> list[str]:
    """The path itself, or what it matches as a glob."""
    place(path)  # what can be no path is an error
    path = os.path.expanduser(path)
    if os.path.lexists(path):
        return [path]
    if found := sorted(glob.glob(path, recursive=True)):
        return found
    raise _NothingThere(f"{path}: there is no such file or folder")


def _files_at(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    try:
        found = list(filter(is_picture, files_below(path)))
    except OSError as error:
        raise _NothingThere(f"{error.filename}: cannot be read ({error.strerror})") from None
    if not found:
        raise _NothingThere(f"{path}: there is no picture in it")
    return found


def _files(paths: Sequence[str], form: Form) -> Pictures:
    _ = form.step  # an error before anything is read
    return Pictures(paths, lambda row: form.file(paths[row]))


def _npz(file: str, form: Form) -> Pictures:
    advice = f"save it anew with numpy.savez(file, {PARTS[1]}=...)"
    arrays, found = arrays_in(file, lambda found: _part(found), advice)
    return _stack(f"{file}:{_known(file, found, advice)}", next(iter(arrays.values())), form)


def _part(found: Sequence[str]) -> Sequence[str]:
    return [name for name in PARTS if name in found][:1]


def _known(file: str, found: Sequence[str], advice: str) -> str:
    if not (part := _part(found)):
        raise UserError(f"{file}: none of {', '.join(PARTS)} is in it, found {', '.join(found) or 'nothing'}; {advice}")
    return part[0]


def _own(given: Any, form: Form) -> Pictures:
    """A script's own images."""
    if isinstance(given, list | tuple) and given and all(map(is_pillow, given)):
        _ = form.step  # an error before anything is read
        return Pictures([str(row) for row in range(len(given))], lambda row: form.pillow(given[row]))
    return _stack("", images_of(given), form)


def _stack(name: str, x: np.ndarray, form: Form) -> Pictures:
    x = form.array(name or NAME, x)
    return Pictures([f"{name}[{row}]" if name else str(row) for row in range(len(x))], x)


# ---- With labels ----


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures, and the class of each as its number among those of the network.

    what    in words where they are from
    whole   they are all that there is, and no test part of it
    """

    pictures: Pictures
    targets: np.ndarray
    what: str
    whole: bool = False


def labelled(data: Any, classes: Sequence[str], form: Form) -> Labelled:
    """Pictures by which a network with these classes can be judged.

    data   a folder with a folder of pictures for each class, or with folders of splits, whose test part is taken as a
           search does; an .npz file with x_test and y_test, or x and y, or x_train and y_train, and perhaps classes; a
           script's own (x, y) or Dataset. Classes are known by their names where there are any, else by their numbers.

    Raises UserError where it is something else, or has pictures of a class that the network does not know.
    """
    if is_own_data(data):
        x, y, names = examples(data)
        return _labelled(_own(x, form), y, names, classes, NAME, NAME)
    path = place(data)
    if path.is_dir():
        where, listed = test_pictures(str(data))
        targets = _targets(str(where), np.array(listed.labels), listed.classes, classes)
        whole = where == Path(data).expanduser()
        return Labelled(_files(listed.paths, form), targets, f"pictures of {where}", whole)
    if not path.exists():
        raise UserError(f"{data}: no such file or folder; give a folder of class folders, or an .npz file")
    return _labelled_npz(str(data), classes, form)


def _labelled_npz(file: str, classes: Sequence[str], form: Form) -> Labelled:
    advice = f"save it anew with numpy.savez(file, {PARTS[0]}=..., {PARTS[0].replace('x', 'y', 1)}=...)"

    def wanted(found: Sequence[str]) -> list[str]:
        return [each for part in _part(found) for each in (part, f"y{part[1:]}", "classes")]

    arrays, found = arrays_in(file, wanted, advice)
    part = _known(file, found, advice)
    if (labels := f"y{part[1:]}") not in arrays:
        raise UserError(f"{file}: {labels} missing, found {', '.join(found)}; {advice}")
    names = npz_classes(file, arrays["classes"], arrays[labels]) if "classes" in arrays else None
    what = f"images of {file}:{part}"
    return _labelled(_stack(f"{file}:{part}", arrays[part], form), arrays[labels], names, classes, file, what)


def _labelled(
    found: Pictures, y: np.ndarray, names: Sequence[str] | None, classes: Sequence[str], name: str, what: str
) -> Labelled:
    if len(found.names) != len(y):
        raise UserError(f"{name}: {len(found.names)} images but {len(y)} labels; give one label an image")
    return Labelled(found, _targets(name, npz_labels(f"{name}: y", y), names, classes), what)


def _targets(what: str, y: np.ndarray, names: Sequence[str] | None, classes: Sequence[str]) -> np.ndarray:
    """Class numbers among names as numbers among the network's classes."""
    names = classes if names is None else names
    if y.max() >= len(names):
        raise UserError(f"{what}: there is a label {y.max()}, but there are {len(names)} classes, numbered from 0")
    if tuple(names) == tuple(classes):
        return y
    number = {name: label for label, name in enumerate(classes)}
    unknown = [names[label] for label in np.unique(y) if names[label] not in number]
    if unknown:
        more = f" and {len(unknown) - TOLD} more" if len(unknown) > TOLD else ""
        raise UserError(f"{what}: the network does not know {', '.join(unknown[:TOLD])}{more}; its classes are "
                        f"{', '.join(classes)}")  # fmt: skip
    return np.array([number.get(name, 0) for name in names])[y]
