"""Images once per host: large data lie in files that every process of this user on a host maps into its memory.

The files are named by the fingerprint of the data, and are there as long as some process uses them: each holds a lock,
which ends with it however it ends. The last one deletes them, and where that one was killed, the next that comes by.
Where the temporary folder has no room for them, each process has the data to itself.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evonas.data.sources import ImageData, Source, load
from evonas.errors import RunError
from evonas.support.files import read_json, write_json

KEPT = 4  # data sets in a process
SHARED_FROM = 16 << 20  # bytes of images; below, a copy for each process is no loss
ARRAYS = ("x", "y", "x_test", "y_test", "weights")  # the last one where there are weights
FACTS = ("name", "training", "classes", "pixel", "notes")
COMPUTED = ("mean", "std", "fingerprint")  # from all images: read where they are known

_in_use: dict[str, int] = {}  # fingerprint -> the open file whose lock says so


@lru_cache(maxsize=KEPT)
def shared(source: Source, fingerprint: str | None = None) -> ImageData:
    """The data of a source, of which a run says that this is their fingerprint: mapped where this host has them, else
    loaded, and left for the other processes. Whether they have changed is the caller's to see."""
    try:
        return _shared(source, fingerprint)
    except (OSError, RunError):  # no room, no permission, no locks: a folder that cannot be used
        return load(source)


def _shared(source: Source, fingerprint: str | None) -> ImageData:
    folder = _folder()
    with _alone(folder):
        _sweep(folder)
        if fingerprint is not None and (folder / fingerprint).exists():
            return _mapped(folder / fingerprint)
        data = load(source)
        if data.nbytes < SHARED_FROM:
            return data
        place = folder / data.fingerprint
        if not place.exists():
            _write(place, data)
        load.cache_clear()  # a copy of its own is what this process shall not keep
        return _mapped(place)


def _folder() -> Path:
    """A folder for this user on this host alone: a temporary folder may be shared by hosts, whose locks need not be."""
    folder = Path(tempfile.gettempdir()) / f"evonas-{os.getuid()}" / f"data-{socket.gethostname()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.parent.stat().st_uid != os.getuid() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is another user's")
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process looks, makes or deletes meanwhile; who would load the same data waits for them instead."""
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(place: Path, data: ImageData) -> None:
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for name in ARRAYS:
            if getattr(data, name) is not None:
                np.save(partial / f"{name}.npy", getattr(data, name))
        write_json(partial / "facts.json", {name: getattr(data, name) for name in (*FACTS, *COMPUTED)})
        (partial / "lock").touch()
        os.replace(partial, place)
    except BaseException:  # Ctrl-C too: whatever ends the writing, nothing half written stays, and it goes on upwards
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _mapped(place: Path) -> ImageData:
    if place.name not in _in_use:
        lock = os.open(place / "lock", os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not _in_use:
            atexit.register(_leave, place.parent)
        _in_use[place.name] = lock
        if len(_in_use) > KEPT:  # the oldest has gone from the cache of `shared`; what is mapped still stays readable
            os.close(_in_use.pop(next(iter(_in_use))))
    facts = {key: tuple(v) if isinstance(v, list) else v for key, v in read_json(place / "facts.json").items()}
    known: dict[str, Any] = {name: facts[name] for name in FACTS}
    for name in ARRAYS:
        if (file := place / f"{name}.npy").exists():
            known[name] = np.load(file, mmap_mode="c")  # who writes gets a page of his own
    data = ImageData(**known)
    data.__dict__.update({name: facts[name] for name in COMPUTED})
    return data


def _leave(folder: Path) -> None:
    with _alone(folder):
        while _in_use:
            os.close(_in_use.popitem()[1])
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Delete what nobody uses. Called by who is alone."""
    for place in folder.iterdir():
        if not (place / "lock").exists():  # a process was killed while it wrote
            shutil.rmtree(place, ignore_errors=True)
            continue
        lock = os.open(place / "lock", os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
