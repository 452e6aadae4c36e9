"""Evaluations in the process that steers, one at a time: for debugging, and where starting a process costs more."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from evonas.executors.worker import PLAIN, Equipment, Worker, limit_of


class Serial(Executor):
    """Runs each task at once, in this process; one that has a limit of time in a process of its own, since it may not
    end by itself."""

    def __init__(self, equipment: Equipment = PLAIN) -> None:
        self.equipment = equipment
        self._worker: Worker | None = None  # of what has a limit

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if limit_of(fn) is None:
            return _done(fn, *args, **kwargs)
        if self._worker is None:
            self._worker = Worker(self.equipment)
        return _done(self._worker.run, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def submit_alone(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """In a process of its own: for a task that was in this process when it ended the last time."""
        worker = Worker(self.equipment)
        try:
            return _done(worker.run, fn, *args, attempts=1, **kwargs)
        finally:
            worker.close()


def _done(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
    future: Future = Future()
    try:
        future.set_result(fn(*args, **kwargs))
    except Exception as error:  # an executor hands every exception to the future
        future.set_exception(error)
    return future
