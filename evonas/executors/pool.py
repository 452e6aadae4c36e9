"""Workers that take tasks from one queue: local processes, and the base of those that are reached over a network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, Protocol

from evonas.executors.worker import PLAIN, Equipment, Worker, WorkerLost

LOSSES = 3  # workers that may be lost with one task before the task is to blame


class Gone(RuntimeError):
    """A worker that cannot be reached any more. Its task goes to another one."""


class Left(Gone):
    """A worker that has gone for reasons of its own: its task is not to blame."""


class PoolWorker(Protocol):
    """Whoever runs one task at a time. `run` raises Gone where the worker, and not the task, is at fault."""

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...

    def close(self) -> None: ...


class WorkerPool(Executor):
    """An executor of workers that may join and go at any time: each has a thread that waits for it."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: dict[PoolWorker, threading.Thread] = {}
        self._pending: set[Future] = set()
        self._lock = threading.Lock()
        self._given_up: Exception | None = None
        self._closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._given_up is not None:
                raise self._given_up
            if self._closed:
                raise RuntimeError("the executor was shut down")
            self._pending.add(future)
        self._tasks.put((future, fn, args, kwargs, 0))
        return future

    def join(self, worker: PoolWorker) -> None:
        """One more that takes tasks; none any more, where the executor was shut down."""
        thread = threading.Thread(target=self._serve, args=(worker,), daemon=True)
        with self._lock:
            if not self._closed:
                self._workers[worker] = thread
                thread.start()
                return
        worker.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """When not waiting, workers end at once, and what they were doing is given up."""
        with self._lock:
            self._closed = True
            workers = dict(self._workers)
        self._tasks.put(None)  # each worker that finds it hands it on
        if not wait:
            self.abandon(BrokenExecutor("the executor was shut down"))
        for worker, thread in workers.items():
            if wait:
                thread.join()
            worker.close()
        if wait:  # what a worker that left handed back, when the others had gone home
            self.abandon(BrokenExecutor("the executor was shut down"))

    def abandon(self, error: Exception) -> None:
        """Nobody is left who could do what is asked: all tasks, and those to come, end with this error, which is a
        BrokenExecutor where it is not the user's to mend."""
        with self._lock:
            self._given_up = error
            pending, self._pending = self._pending, set()
        for future in pending:
            future.set_exception(error)

    def left(self, worker: PoolWorker, gone: Gone) -> None:
        """Called when a worker is gone; for those that know what to do without it."""

    def _next(self, worker: PoolWorker) -> Any:
        """What a worker is to do next; None: nothing more. Raises Gone where it has gone meanwhile."""
        return self._tasks.get()

    def _serve(self, worker: PoolWorker) -> None:
        try:
            while (item := self._next(worker)) is not None:
                self._do(worker, *item)
            self._tasks.put(None)
        except Gone as gone:
            with self._lock:
                del self._workers[worker]
            self.left(worker, gone)

    def _do(self, worker: PoolWorker, future: Future, fn: Any, args: Any, kwargs: Any, losses: int) -> None:
        try:
            result, error = worker.run(fn, *args, **kwargs), None
        except Gone as gone:
            losses += not isinstance(gone, Left)
            if losses < LOSSES:
                self._tasks.put((future, fn, args, kwargs, losses))
            else:
                self._end(future, None, WorkerLost(f"{LOSSES} workers were lost with it, at last {gone}"))
            raise
        except BaseException as raised:  # whatever a task raises is its future's
            result, error = None, raised
        self._end(future, result, error)

    def _end(self, future: Future, result: Any, error: BaseException | None) -> None:
        """Once: a task that was abandoned has its end already."""
        with self._lock:
            if future not in self._pending:
                return
            self._pending.remove(future)
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Processes(WorkerPool):
    """Local worker processes (loky). One that dies or hangs is replaced; that costs time, and no result."""

    def __init__(self, workers: int, equipment: Equipment = PLAIN) -> None:
        super().__init__()
        for _ in range(workers):
            self.join(Worker(equipment))
