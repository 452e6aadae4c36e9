"""A folder of images: one folder a class, or those below train and test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evonas.data.splitting import Parts, reason, without_test_part
from evonas.errors import UserError


def read_folder(name: str, size: int | None) -> Parts:
    """Raises UserError where it cannot be read."""
    folder = Path(name).expanduser()
    test_folder = next((folder / part for part in ("test", "val") if (folder / part).is_dir()), None)
    if test_folder is None or not (folder / "train").is_dir():
        paths, labels, classes = _list_images(folder)
        return without_test_part(name, _read_images(paths, size), labels, classes)
    paths, labels, classes = _list_images(folder / "train")
    test_paths, test_labels, test_classes = _list_images(test_folder)
    if classes != test_classes:
        differing = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise UserError(
            f"{name}: {differing}: class folders in only one of train and {test_folder.name}; "
            "give both the same class folders"
        )
    x = _read_images(paths + test_paths, size)  # together, so that they are held against one size
    return x[: len(paths)], labels, x[len(paths) :], test_labels, classes


def _list_images(folder: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    from torchvision.datasets import ImageFolder

    try:
        images = ImageFolder(str(folder))
    except OSError as error:  # no class folders, or one without images
        raise UserError(
            f"{folder}: {reason(error)}; give a folder of class folders with images, such as {folder.name}/cat/1.png"
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
        raise UserError(f"{path}: not a readable image ({reason(error)}); replace or remove it") from error
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def _pixels(image: np.ndarray) -> str:
    return f"{image.shape[2]} x {image.shape[1]} pixels"
