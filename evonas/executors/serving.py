"""A worker that reaches its root over a network: it takes one task after the other until the root ends, or it leaves.

A worker in the job of a cluster is told before it is killed. Then it says goodbye, so that its task goes to another
worker at once, and is not blamed for its end.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import cloudpickle

from evonas.errors import Interrupted, UserError
from evonas.executors.wire import (
    ALIVE,
    END,
    ERROR,
    LEAVES,
    RESULT,
    UNFIT,
    WELCOME,
    Address,
    Line,
    knock,
    pickled,
    versions,
)
from evonas.executors.worker import Worker
from evonas.support.device import gpus

NOW = (signal.SIGINT, signal.SIGTERM)  # leave at once: Ctrl-C, or a job that is cancelled, preempted, out of time
SOON = (signal.SIGUSR1, signal.SIGUSR2)  # leave after this task: what `sbatch --signal` sends ahead of the limit


class RootGone(ConnectionError):
    """The root has ended without a word, or cannot be reached any more."""


class Serving:
    """A worker at the first of the addresses of a root that answers.

    job   the job of a cluster that it runs in, by its id there; None: it is in none

    Raises UserError where it is refused, or cannot compute what the run needs; AuthenticationError where its key is of
    another run; OSError where nobody answers.
    """

    def __init__(self, addresses: Sequence[Address], key: bytes, job: str | None = None) -> None:
        self.name = f"process {os.getpid()} on {socket.gethostname()}"
        connection, kind, answer = _reached(addresses, key, {"name": self.name, "job": job, **versions()})
        self.line = Line(connection)
        self._left = self._busy = self._leaves_soon = False
        if kind != WELCOME:
            connection.close()
            raise UserError(f"the root does not take this worker: {answer}")
        self.equipment, path = answer
        sys.path += [folder for folder in path if folder not in sys.path]  # where the root has its modules from
        if self.equipment.device == "cuda" and not gpus():
            self._refuse(f"{socket.gethostname()} shows no GPU, and the run computes on GPUs")

    def heed_signals(self) -> None:
        """Leave when the cluster or the user wants it. To be called in the main thread."""
        for number in (*NOW, *SOON):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in its background
                signal.signal(number, self._told_to_leave)

    def serve(self) -> None:
        """Until the root ends. Raises Interrupted where a signal has ended it before, RootGone where the root has gone
        without a word, UserError where a task cannot be read here."""
        worker = Worker(self.equipment, unheeded=(signal.SIGTERM, *SOON))  # a cluster sends them to all of a job
        try:
            while (task := self.line.connection.recv_bytes()) != END:
                self._busy = True
                self._say(ALIVE, None)  # from now on the task has been begun here
                self._say(*self._outcome(worker, task))
                self._busy = False
                if self._leaves_soon:
                    self._leave()
        except (EOFError, OSError, _Unheard) as error:
            if self._left:
                raise Interrupted from None
            raise RootGone("the root has ended without a word, or cannot be reached any more") from error
        finally:
            worker.close()
            self.line.connection.close()

    def _outcome(self, worker: Worker, task: bytes) -> tuple[str, Any]:
        try:
            fn, args, kwargs = cloudpickle.loads(task)
        except Exception as error:  # it imports modules, which may raise anything
            self._refuse(f"{self.name} cannot read a task: {type(error).__name__}: {error}")
        try:
            return RESULT, worker.run(fn, *args, meanwhile=partial(self._say, ALIVE, None), **kwargs)
        except _Unheard:
            raise
        except Exception as error:  # it is the task's, and travels to whoever asked
            return ERROR, error

    def _say(self, kind: str, value: Any) -> None:
        try:
            self.line.say(pickled(kind, value))
        except OSError as error:
            raise _Unheard from error

    def _refuse(self, reason: str) -> NoReturn:
        """This worker is of no use to the run; others may be."""
        self.line.end(pickled(UNFIT, reason))
        self.line.connection.close()
        raise UserError(reason)

    def _told_to_leave(self, number: int, frame: Any) -> None:
        """The goodbye is said by a thread: the signal may have come in the midst of another word."""
        if number in SOON and self._busy:
            self._leaves_soon = True
        else:
            threading.Thread(target=self._leave, daemon=True).start()

    def _leave(self) -> None:
        self._left = True
        self.line.end(pickled(LEAVES, None))


class _Unheard(Exception):
    """Nobody hears the answer."""


def _reached(addresses: Sequence[Address], key: bytes, about: dict[str, Any]) -> tuple[Connection, str, Any]:
    """The connection to the first address that answers, and what it says."""
    failures: list[Exception] = []
    for address in addresses:
        try:
            connection, (kind, answer) = knock(address, key, about)
            return connection, kind, answer
        except (AuthenticationError, EOFError, OSError) as error:
            failures.append(error)
    for failure in failures:
        if isinstance(failure, AuthenticationError):
            raise failure
    raise ConnectionError("; ".join(
        f"{host}:{port}: {getattr(failure, 'strerror', None) or failure or 'it hangs up'}"
        for (host, port), failure in zip(addresses, failures, strict=True)
    ))  # fmt: skip
