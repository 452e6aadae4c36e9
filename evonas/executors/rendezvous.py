"""How workers find a run: its directory says where its root listens, and has the key. Whoever may read it may join.

workers/door.json     addresses, key, and who wrote it; only while a root listens, and readable by its owner alone
workers/joined.json   who has joined and not left
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from evonas.errors import RunError, UserError
from evonas.executors.door import Door, Remote, Unfit, addresses
from evonas.executors.pool import Gone, PoolWorker
from evonas.executors.serving import Serving
from evonas.executors.worker import Equipment
from evonas.support.files import read_json, write_json
from evonas.support.schema import checked

FOLDER, DOOR, JOINED = "workers", "door.json", "joined.json"

Say = Callable[[str], None]


class NobodyThere(UserError):
    """No root listens for the run."""


class Found(Struct):
    """What the root of a run has written of its door."""

    addresses: list[tuple[str, Annotated[int, Meta(ge=1, le=65535)]]]
    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    root: str


class Joined(Struct):
    """Who has joined and not left."""

    workers: list[str]


class Rendezvous(Door):
    """A door whose address and key stand in the directory of a run.

    say   tells the user something, from whichever thread

    Raises RunError where they cannot be written.
    """

    def __init__(self, equipment: Equipment, directory: Path, say: Say) -> None:
        super().__init__(equipment)
        self.directory, self.folder, self.say = directory, directory / FOLDER, say
        self._listing = threading.Lock()
        port = self.address[1]
        root = f"process {os.getpid()} on {socket.gethostname()}"
        found = {"addresses": addresses(port), "key": self.key.hex(), "root": root}
        try:
            _write_for_owner(self.folder / DOOR, json.dumps(found, indent=2) + "\n")
        except BaseException:  # whatever it was, it goes on upwards
            super().shutdown(wait=False)
            raise
        say(f"workers may join: evonas worker {directory.resolve()}; port {port} listens on all network interfaces and "
            f"asks for the key in {FOLDER}/{DOOR}; the traffic is not encrypted")  # fmt: skip

    def join(self, worker: PoolWorker) -> None:
        super().join(worker)
        self._list()

    def left(self, worker: PoolWorker, gone: Gone) -> None:
        self._list()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        (self.folder / DOOR).unlink(missing_ok=True)
        super().shutdown(wait)
        with self._listing:
            (self.folder / JOINED).unlink(missing_ok=True)
        with suppress(OSError):  # the logs of jobs are in it
            self.folder.rmdir()

    def _list(self) -> None:
        with self._listing:
            names = [worker.name for worker in list(self._workers) if isinstance(worker, Remote)]
            if not self._closed:
                with suppress(RunError):  # a full disk ends the run by its journal, and is said there
                    write_json(self.folder / JOINED, {"workers": names})


class ByHand(Rendezvous):
    """Workers that all join by hand, with `evonas worker`."""

    def came(self, remote: Remote) -> None:
        self.say(f"a worker has come: {remote.name}")

    def left(self, worker: PoolWorker, gone: Gone) -> None:
        super().left(worker, gone)
        if not self._closed:
            waits = "" if self._workers else "; the search waits for others"
            self.say(f"a worker is of no use: {gone}{waits}" if isinstance(gone, Unfit) else f"{gone}{waits}")


def joined(directory: Path) -> list[str] | None:
    """Who has joined the run that is at work in a directory; None: nobody has, or can."""
    file = directory / FOLDER / JOINED
    try:
        return checked(read_json(file), Joined, str(file)).workers
    except FileNotFoundError:
        return None


def joining(directory: Path, job: str | None = None) -> Serving:
    """A worker that has joined the run in a directory; it computes nothing before its `serve`.

    job   as of Serving

    Raises NobodyThere where no root listens, or none can be reached; UserError where it does not take this worker.
    """
    file = directory / FOLDER / DOOR
    try:
        found = checked(read_json(file), Found, str(file))
    except FileNotFoundError:
        raise NobodyThere(f"no search that workers can join is at work in {directory}; 'evonas resume {directory} "
                          "--executor remote --workers N' begins to take them") from None  # fmt: skip
    try:
        return Serving(found.addresses, bytes.fromhex(found.key), job)
    except AuthenticationError:
        raise UserError(f"what listens there does not take the key in {file}: it is another program, or another run, "
                        f"since {found.root} has ended; resume the run, and join again") from None  # fmt: skip
    except (EOFError, OSError) as error:
        raise NobodyThere(f"{found.root}, which wrote {file}, cannot be reached ({error}): either it was killed, then "
                          "resume the run and join again; or a firewall or another network lies between the "
                          "hosts") from None  # fmt: skip


def _write_for_owner(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="utf-8") as opened:
            opened.write(text)
        partial.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}; make room or give permission, then resume") from error
