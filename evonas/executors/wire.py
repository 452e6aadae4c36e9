"""What a root and a worker on another host say to each other, and how they find out that the other one has gone.

Both prove first that they have the key of the run, without sending it. Then the worker introduces itself, is welcomed
or refused, and is given one task after the other.
"""

from __future__ import annotations

import hmac
import os
import platform
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import cloudpickle

from evonas import __version__

SILENCE_S = 60.0  # after which the other side is given up: a worker says that it is alive every second
GREETING_S = 10.0  # for the other side to prove itself: it may be another program

# what a worker says: of a task, and of itself
ALIVE, RESULT, ERROR, LEAVES, UNFIT = "alive", "result", "error", "leaves", "unfit"
WELCOME, REFUSED = "welcome", "refused"
END = b""  # the root's last word, in place of a task

Address = tuple[str, int]


def versions() -> dict[str, str]:
    """What must be the same on both sides, since tasks are pickled."""
    return {"evonas": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}


def differing(theirs: dict[str, str]) -> str:
    """What is not the same on both sides, in words; empty: nothing."""
    return " and ".join(
        f"{name} is {theirs.get(name)} there and {here} at the root"
        for name, here in versions().items()
        if theirs.get(name) != here
    )


class Line:
    """A connection on which whoever speaks is heard whole, from whichever thread, and nobody after the last word."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._over = False
        self._lock = threading.Lock()

    def say(self, data: bytes) -> None:
        """Raises OSError where nobody hears it."""
        with self._lock:
            if self._over:
                raise ConnectionError("the last word has been said")
            self.connection.send_bytes(data)

    def end(self, last: bytes, *, wait: bool = True) -> None:
        """Say a last word, and hear nothing more. When not waiting, it is left out where somebody is speaking."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            self._over = True
            with suppress(OSError):  # nobody is there any more, which is what it was to say
                self.connection.send_bytes(last)
                with _socket_of(self.connection) as known:
                    known.shutdown(socket.SHUT_RD)  # whoever waits for the other side wakes up
        finally:
            self._lock.release()


def pickled(kind: str, value: Any) -> bytes:
    """What a worker says. A result that cannot be pickled is the error that says so."""
    try:
        return cloudpickle.dumps((kind, value))
    except Exception as error:  # whatever a task has returned: that it cannot be sent is its answer
        return cloudpickle.dumps((ERROR, TypeError(f"the result cannot be sent: {error}")))


def _key_of(side: bytes, key: bytes) -> bytes:
    """By which one side proves itself. With one key for both, somebody without it could hand on what it is asked to
    another worker, and its answer back."""
    return hmac.digest(key, side, "sha256")


def let_in(connection: Connection, key: bytes) -> Any:
    """At the root: what a worker that has the key says of itself.

    Raises multiprocessing.AuthenticationError, EOFError or OSError where it has not, or is something else.
    """
    with _in_time(connection):
        deliver_challenge(connection, _key_of(b"worker", key))
        answer_challenge(connection, _key_of(b"root", key))
        return connection.recv()


def knock(address: Address, key: bytes, about: dict[str, Any]) -> tuple[Connection, tuple]:
    """In a worker: a connection to the root, and how it has answered.

    Raises multiprocessing.AuthenticationError where it has another key, EOFError or OSError where nobody answers.
    """
    with socket.create_connection(address, timeout=GREETING_S) as reached:
        reached.settimeout(None)
        connection = Connection(reached.detach())
    try:
        keep_alive(connection)
        with _in_time(connection):
            answer_challenge(connection, _key_of(b"worker", key))
            deliver_challenge(connection, _key_of(b"root", key))
            connection.send(about)
            return connection, connection.recv()
    except BaseException:  # whatever it was, it goes on upwards
        connection.close()
        raise


def keep_alive(connection: Connection) -> None:
    """The system asks the other side now and then whether it is there, and ends the connection where it is not: a host
    that has lost its power says no goodbye."""
    with _socket_of(connection) as known:
        known.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wanted = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": int(1000 * SILENCE_S)}
        for name, value in wanted.items():
            if hasattr(socket, name):  # Linux has them all
                known.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextmanager
def _in_time(connection: Connection) -> Iterator[None]:
    """Reading raises OSError where the other side is silent for long."""
    _limit_reading(connection, GREETING_S)
    yield
    _limit_reading(connection, 0.0)


def _limit_reading(connection: Connection, seconds: float) -> None:
    with _socket_of(connection) as known:
        at_most = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))  # a timeval; 0: for ever
        known.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, at_most)


def _socket_of(connection: Connection) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))
