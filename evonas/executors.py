"""Where evaluations run: `concurrent.futures` executors."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import loky


class WorkerLost(RuntimeError):
    """A task has ended two worker processes: the second one was its own."""


class Serial(Executor):
    """Runs each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # an executor hands every exception to the future
            future.set_exception(error)
        return future


class Processes(Executor):
    """Local worker processes (loky). A worker that dies costs time, and no result.

    When a process of the pool dies, all tasks that the pool held are suspects: which of them was in the dead process
    cannot be known. Each is run again, alone, in a process of its own, while a new pool serves further tasks. A task
    that ends that process too raises WorkerLost.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = _pool(workers)
        self._suspects: queue.SimpleQueue = queue.SimpleQueue()
        self._alone: loky.ProcessPoolExecutor | None = None
        self._closed = False
        threading.Thread(target=self._rerun_suspects, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_running_or_notify_cancel()
        try:
            inner = self._pool.submit(fn, *args, **kwargs)
        except BrokenProcessPool:
            self._pool = _pool(self.workers)
            inner = self._pool.submit(fn, *args, **kwargs)
        inner.add_done_callback(lambda inner: self._ended(inner, future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers at once when not waiting."""
        self._closed = True
        self._suspects.put(None)
        for pool in (self._pool, self._alone):
            if pool is not None:
                pool.shutdown(wait=wait, kill_workers=not wait)

    def _ended(self, inner: Future, future: Future, task: tuple) -> None:
        error = inner.exception()
        if isinstance(error, BrokenProcessPool) and not self._closed:
            self._suspects.put((future, task))
        else:
            _pass_on(inner, future)

    def _rerun_suspects(self) -> None:
        while (suspect := self._suspects.get()) is not None and not self._closed:
            future, (fn, args, kwargs) = suspect
            self._alone = _pool(1)  # a new one each time: a process that died idle would accuse the next suspect
            inner = self._alone.submit(fn, *args, **kwargs)
            if isinstance(inner.exception(), BrokenProcessPool):  # waits
                future.set_exception(WorkerLost("it ended its worker process twice, the second time alone in it"))
            else:
                _pass_on(inner, future)
            self._alone.shutdown(wait=False)


def _pass_on(inner: Future, future: Future) -> None:
    error = inner.exception()
    if error is None:
        future.set_result(inner.result())
    else:
        future.set_exception(error)


def _pool(workers: int) -> loky.ProcessPoolExecutor:
    return loky.ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),), env=_ENVIRONMENT)


# One thread; and memory that was freed is kept, in large pages: to have it mapped anew in each step takes a tenth of
# the time of cell networks (benchmarks/README.md).
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
    "THP_MEM_ALLOC_ENABLE": "1",
}


def _start_worker(parent: int) -> None:
    """Ctrl-C is the parent's to handle, and a worker whose parent has been killed ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
