"""SCOOP (https://github.com/soravux/scoop, 0.7.2) starts the workers, on one host or by ssh on many; the root steers.

SCOOP sends a task a second time where its worker has been silent for long, loses its broker where an idle worker was
killed, and lets the root compute while others wait (docs/cluster.md). So each of its workers gets one task for the
whole run: to connect to the root and to serve it. The connection tells at once when a worker has died, and a sign of
life every second tells when it hangs.
"""

from __future__ import annotations

import multiprocessing.util
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import cloudpickle

from evonas.errors import UserError
from evonas.executors.pool import Gone, WorkerPool
from evonas.executors.worker import PLAIN, Equipment, Worker

SILENCE_S = 60.0  # after which a worker is given up: it says that it is alive every second
START_S = 120.0  # for the first worker to come
SPARE = 4  # invitations for each worker: one that has asked SCOOP for tasks before gets several, and takes the first

ALIVE, RESULT, ERROR = "alive", "result", "error"


def inside_scoop() -> bool:
    """Whether `python -m scoop` runs this process."""
    scoop = sys.modules.get("scoop")
    return scoop is not None and scoop.IS_RUNNING


def require_scoop() -> None:
    """Raises UserError outside of a SCOOP run, and in one without workers."""
    if not inside_scoop():
        raise UserError("no SCOOP run: start the script with 'python -m scoop -n 3 SCRIPT' (two workers)")
    import scoop

    if scoop.SIZE < 2:
        raise UserError("SCOOP has started the root alone; use -n 2 or more, one more than there are to be workers")


def serve_if_worker() -> None:
    """In a worker of SCOOP, work for the root, and never return; elsewhere, do nothing.

    SCOOP imports the script in each of its workers. Where the search has no main guard
    (`if __name__ == "__main__":`), the import comes to it before the worker has asked for its first task.
    """
    if inside_scoop():
        import scoop

        if not scoop.IS_ORIGIN:
            from scoop import futures

            futures._startup(None)  # what SCOOP calls after the import; it hands the worker `serve`


class Scoop(WorkerPool):
    """The workers of a SCOOP run, all but the root, where this is. Raises UserError as `require_scoop` does."""

    def __init__(self, equipment: Equipment = PLAIN, *, silence_s: float = SILENCE_S) -> None:
        super().__init__()
        require_scoop()
        import scoop

        self.workers = scoop.SIZE - 1
        self._silence_s = silence_s
        self._ended = False
        host = scoop.worker.decode().rpartition(":")[0]  # the address that reaches the root, as SCOOP found it
        key = secrets.token_bytes(32)
        self._door = Listener((host, 0), backlog=self.workers, authkey=key)
        threading.Thread(target=self._welcome, daemon=True).start()
        self._nobody = threading.Timer(START_S, self._give_up, args=(f"no worker has come within {START_S:g} s",))
        self._nobody.daemon = True
        self._nobody.start()
        for _ in range(SPARE * self.workers):
            scoop.futures.submit(serve, self._door.address, key, equipment)
        scoop._control.execQueue.flush()  # to the workers, all of them: the root computes nothing

    def left(self, worker: Any) -> None:
        if not self._workers and not self._ended:
            self._give_up("all workers are gone")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._ended = True
        self._nobody.cancel()
        super().shutdown(wait)
        self._door.close()

    def _give_up(self, reason: str) -> None:
        self.abandon(f"{reason}: see what SCOOP's workers have said, and resume")

    def _welcome(self) -> None:
        while not self._ended:
            try:
                remote = Remote(self._door.accept(), self._silence_s)
            except (AuthenticationError, EOFError, ConnectionError):  # somebody else, or gone again
                continue
            except OSError:  # the door was closed
                return
            self._nobody.cancel()
            self.join(remote)


class Remote:
    """A worker on the other side of a connection."""

    def __init__(self, connection: Connection, silence_s: float) -> None:
        self.connection, self.silence_s = connection, silence_s
        self.name = connection.recv()

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            self.connection.send_bytes(cloudpickle.dumps((fn, args, kwargs)))
            while True:
                if not self.connection.poll(self.silence_s):
                    self.connection.close()
                    raise Gone(f"{self.name} was silent for {self.silence_s:g} s")
                kind, value = cloudpickle.loads(self.connection.recv_bytes())
                if kind == RESULT:
                    return value
                if kind == ERROR:
                    break
        except (EOFError, OSError):
            raise Gone(f"{self.name} has ended") from None
        raise value

    def close(self) -> None:
        self.connection.close()


def serve(address: tuple[str, int], key: bytes, equipment: Equipment) -> None:
    """What each SCOOP worker does for the whole run. It ends with the connection, and so with the root."""
    worker = Worker(equipment)
    try:
        with Client(address, authkey=key) as connection:
            connection.send(f"process {os.getpid()} on {socket.gethostname()}")
            while True:
                fn, args, kwargs = cloudpickle.loads(connection.recv_bytes())
                try:
                    answer = RESULT, worker.run(fn, *args, meanwhile=partial(_say, connection, ALIVE, None), **kwargs)
                except _RootGone:
                    raise
                except Exception as error:  # it is the task's, and travels to whoever asked
                    answer = ERROR, error
                _say(connection, *answer)
    except (EOFError, OSError, _RootGone):
        worker.close()
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # lets go of the locks of its process
        os._exit(0)  # SCOOP's own loop would wait for ever where its broker has gone too


class _RootGone(Exception):
    """Nobody hears the answer."""


def _say(connection: Connection, kind: str, value: Any) -> None:
    try:
        said = cloudpickle.dumps((kind, value))
    except Exception as error:  # whatever a task has returned: that it cannot be sent is its answer
        said = cloudpickle.dumps((ERROR, TypeError(f"the result cannot be sent: {error}")))
    try:
        connection.send_bytes(said)
    except OSError as error:
        raise _RootGone from error
