"""Files known by the checksum of their content: weights, checkpoints, supernets, teachers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evonas.errors import UserError
from evonas.support.files import checksum, write_bytes


class WeightsLost(UserError):
    """Weights that are not there, or not what they were. The message says which."""


def stored(path: Path, name: str | None = None) -> bytes:
    """What a file holds, by the checksum of its content, which by default is the stem of its name. Raises WeightsLost
    where it is missing, cut off, or holds something else."""
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise WeightsLost(f"{path.name} cannot be read: {error.strerror}") from None
    if checksum(weights) != (name or path.stem):
        raise WeightsLost(f"{path.name} is damaged: its content is not what it was")
    return weights


class WeightStore:
    """Weights in files of a folder, each named by the checksum of its content; equal weights are one file.

    limit   bytes on disk in all; None: no limit
    suffix  of the files
    """

    def __init__(self, folder: Path, limit: int | None = None, *, suffix: str = ".safetensors") -> None:
        self.folder, self.limit, self.suffix = folder, limit, suffix
        self.sizes = {path.stem: path.stat().st_size for path in folder.glob(f"*{suffix}")}
        for partial in folder.glob("*.partial"):  # of a process that was killed while it wrote
            partial.unlink()

    @property
    def total(self) -> int:
        """Bytes on disk."""
        return sum(self.sizes.values())

    def put(self, weights: bytes) -> str:
        """Their name. Raises RunError where they cannot be written."""
        name = checksum(weights)
        if self.sizes.get(name) != len(weights):  # not there, or cut off
            write_bytes(self._path(name), weights)
            self.sizes[name] = len(weights)
        return name

    def get(self, name: str) -> bytes:
        """Raises WeightsLost where the file is missing, cut off, or holds something else."""
        return stored(self._path(name))

    def keep_only(self, names: Iterable[str | None]) -> None:
        for name in set(self.sizes) - set(names):
            self.drop(name)

    def drop(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        del self.sizes[name]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{self.suffix}"
