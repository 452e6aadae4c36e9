"""The root's side of workers that reach it over a network: a door at which they come and go at any time.

A worker that is lost in the midst of a task may have been ended by it; one that says goodbye, or that has gone before
it began the task, was not.
"""

from __future__ import annotations

import fcntl
import os
import queue
import secrets
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

import cloudpickle

from evonas.executors.pool import Gone, Left, PoolWorker, WorkerPool
from evonas.executors.wire import (
    END,
    ERROR,
    LEAVES,
    REFUSED,
    RESULT,
    SILENCE_S,
    UNFIT,
    WELCOME,
    Address,
    Line,
    differing,
    keep_alive,
    let_in,
)
from evonas.executors.worker import PLAIN, Equipment

IDLE_S = 1.0  # between two looks at whether a worker without a task is still there
BACKLOG = 128  # connections that wait for the door to open
GREETINGS = 32  # at a time: others wait, so that strangers cannot take all descriptors of the root
GET_ADDRESS = 0x8915  # SIOCGIFADDR of Linux: the IPv4 address of a network interface

EVERYWHERE = ""  # in place of a host: all network interfaces


class Unfit(Left):
    """A worker that is of no use to the run, and says why."""


class Remote:
    """A worker on the other side of a connection.

    about   what it says of itself: name, job
    """

    def __init__(self, connection: Connection, about: dict[str, Any], silence_s: float = SILENCE_S) -> None:
        self.name, self.job = about["name"], about.get("job")
        self.line, self.silence_s = Line(connection), silence_s

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        task = cloudpickle.dumps((fn, args, kwargs))
        lost: type[Gone] = Left  # until it says that it has begun
        try:
            self.line.say(task)
            while True:
                if not self.line.connection.poll(self.silence_s):
                    self.line.connection.close()
                    raise lost(f"{self.name} was silent for {self.silence_s:g} s")
                kind, value = self._heard()
                lost = Gone
                if kind == RESULT:
                    return value
                if kind == ERROR:
                    break
        except (EOFError, OSError):
            raise lost(f"{self.name} has ended") from None
        raise value

    def look(self) -> None:
        """Raises Left where it has gone while it had nothing to do."""
        try:
            if self.line.connection.poll():
                self._heard()
        except (EOFError, OSError):
            raise Left(f"{self.name} has ended") from None

    def close(self) -> None:
        self.line.end(END, wait=False)
        self.line.connection.close()

    def _heard(self) -> tuple[str, Any]:
        kind, value = cloudpickle.loads(self.line.connection.recv_bytes())
        if kind in (LEAVES, UNFIT):
            self.line.connection.close()
            raise Left(f"{self.name} has left") if kind == LEAVES else Unfit(value)
        return kind, value


class Door(WorkerPool):
    """A pool of workers that come over a network.

    host   the address at which it listens, at a port that the system chooses; EVERYWHERE: on all interfaces
    """

    def __init__(self, equipment: Equipment = PLAIN, host: str = EVERYWHERE, *, silence_s: float = SILENCE_S) -> None:
        super().__init__()
        self.equipment, self.silence_s = equipment, silence_s
        self.key = secrets.token_bytes(32)
        self._listener = Listener((host, 0), backlog=BACKLOG)
        self.address: Address = self._listener.address
        self._greetings = threading.Semaphore(GREETINGS)
        threading.Thread(target=self._open, daemon=True).start()

    def came(self, remote: Remote) -> None:
        """Called when a worker has come, before it is given a task."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait)
        with suppress(OSError):  # what waits for somebody to come wakes up, and finds it closed
            socket.create_connection((self.address[0].replace("0.0.0.0", "127.0.0.1"), self.address[1]), 1).close()
        self._listener.close()

    def _next(self, worker: PoolWorker) -> Any:
        while True:
            try:
                return self._tasks.get(timeout=IDLE_S)
            except queue.Empty:
                assert isinstance(worker, Remote), "none else comes through the door"
                worker.look()

    def _open(self) -> None:
        while True:
            self._greetings.acquire()
            try:
                connection = self._listener.accept()
            except OSError:
                self._greetings.release()
                if self._closed:
                    return
                continue  # it has gone again
            if self._closed:
                connection.close()
                return
            threading.Thread(target=self._admit, args=(connection,), daemon=True).start()

    def _admit(self, connection: Connection) -> None:
        try:
            remote = self._greeted(connection)
        finally:
            self._greetings.release()
        if remote is not None:
            self.came(remote)
            self.join(remote)

    def _greeted(self, connection: Connection) -> Remote | None:
        """The worker that has come; None where it may not come in."""
        try:
            keep_alive(connection)
            about = let_in(connection, self.key)
            if wrong := differing(about):
                connection.send((REFUSED, f"{wrong}; use the same on both sides"))
                connection.close()
                return None
            connection.send((WELCOME, (self.equipment, list(_modules()))))
        except (AuthenticationError, EOFError, OSError):  # somebody else, or gone again
            connection.close()
            return None
        return Remote(connection, about, self.silence_s)


def addresses(port: int) -> list[Address]:
    """Where other hosts may find this one: the addresses of its network interfaces; the loopback's where it has no
    other."""
    found = [host for host in _of_interfaces() if not host.startswith("127.")]
    return [(host, port) for host in found or ["127.0.0.1"]]


def _of_interfaces() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                known = fcntl.ioctl(any_socket, GET_ADDRESS, struct.pack("256s", name.encode()[:15]))
                yield socket.inet_ntoa(known[20:24])


def _modules() -> Iterator[str]:
    """Where this process imports modules from, as a worker with another working directory finds them."""
    return (os.path.abspath(folder) for folder in sys.path)
