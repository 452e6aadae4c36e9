"""What a worker is: one process that computes, its threads, its GPU, and what happens when it dies or hangs."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import loky
from loky.backend import resource_tracker

from evonas.errors import UserError
from evonas.support.device import gpus

TICK_S = 1.0  # between two looks of a waiting worker at its limits
MOST_THREADS = 1024  # of one worker: no host has more cores
STARTS = 3  # tries to start a process that dies before it has been given anything


class WorkerLost(RuntimeError):
    """A task has ended the processes that it was given to."""


class Overdue(RuntimeError):
    """A task was over its limit and did not end by itself; its process was ended."""


def limit_of(task: Callable[..., Any]) -> float | None:
    """Seconds after which the process that computes a task is ended, where it says so (`limit_s`); None: never."""
    return getattr(task, "limit_s", None)


@dataclass(frozen=True)
class Equipment:
    """What each worker gets.

    threads  of the CPU, for torch and the libraries under it
    device   cpu, or cuda: each worker sees one of the GPUs that its host shows (CUDA_VISIBLE_DEVICES), in turn
    """

    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise UserError(f"threads is {self.threads}; use 1 to {MOST_THREADS}")

    def environment(self, gpu: str | None) -> dict[str, str]:
        """Threads; the GPU; and memory that was freed is kept, in large pages: to have it mapped anew in each step
        takes a tenth of the time of cell networks (benchmarks/README.md)."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))
        memory = {
            "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
            "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
            "THP_MEM_ALLOC_ENABLE": "1",
        }
        kept = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}  # else loky, with psutil, takes torch and the data for a leak
        mpi = {"MPI4PY_RC_INITIALIZE": "0"}  # a process that computes for a rank of MPI is none itself
        return threads | memory | kept | mpi | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})


PLAIN = Equipment()


class Worker:
    """A process that computes one task at a time, and is replaced when it dies or hangs.

    Nothing else runs in the process, so whatever ends it is known: a task that was in it is tried once more, in a new
    process. What dies before it has been given a task costs no attempt.

    unheeded   signals that its process does not heed, since they are sent to all processes of a worker's job and are
               the worker's to handle
    """

    def __init__(self, equipment: Equipment = PLAIN, *, unheeded: tuple[int, ...] = ()) -> None:
        self.equipment, self.unheeded = equipment, unheeded
        self._seat = Seat() if equipment.device == "cuda" else None
        self._process: loky.ProcessPoolExecutor | None = None
        self._ended, self._is_new = False, True

    def run(
        self,
        fn: Callable[..., Any],
        *args: Any,
        attempts: int = 2,
        meanwhile: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> Any:
        """The result of fn(*args, **kwargs), or what it raises.

        fn         may have a `limit_s`: its process is ended after so many seconds
        meanwhile  called about once a second while waiting

        Raises WorkerLost where it has ended `attempts` processes, Overdue where it had to be ended; BrokenExecutor
        where processes die before they are given anything.
        """
        limit = limit_of(fn)
        number, where = 0, ""
        for _ in range(attempts):
            number = self._ready(meanwhile)
            where = f"process {number} on {socket.gethostname()}"
            assert self._process is not None, "it has just been started"
            try:
                if limit is not None and self._is_new:
                    loaded = self._process.submit(_received, fn)  # libraries are, before its time begins
                    self._wait(loaded, None, meanwhile)
                    loaded.result()
                self._is_new = False
                future = self._process.submit(fn, *args, **kwargs)
                if not self._wait(future, limit, meanwhile):
                    self.end()
                    raise Overdue(f"over its limit of {limit:g} s in {where}, which was ended")
                return future.result()
            except BrokenProcessPool as died:
                self._discard()
                reason = "" if isinstance(died, loky.process_executor.TerminatedWorkerError) else f": {died}"
                if self._ended:
                    break
        each = "each of the two processes" if attempts == 2 else "the process"
        raise WorkerLost(f"it ended {each} that it was given to, at last {where}{reason}")

    def end(self) -> None:
        """End its process at once."""
        if self._process is not None:
            self._process.shutdown(wait=False, kill_workers=True)
            self._process = None

    def close(self) -> None:
        """No more tasks. Whatever is running is given up, such as a thread that a task has left."""
        self._ended = True
        self.end()
        if self._seat is not None:
            self._seat.leave()

    def _wait(self, future: Future, limit: float | None, meanwhile: Callable[[], None]) -> bool:
        """Until the task has ended; False where it is over its limit."""
        start = time.monotonic()
        while True:
            left = TICK_S if limit is None else min(TICK_S, start + limit - time.monotonic())
            if wait([future], timeout=max(left, 0.0)).done:
                return True
            if limit is not None and time.monotonic() - start >= limit:
                return False
            meanwhile()

    def _ready(self, meanwhile: Callable[[], None]) -> int:
        """The number of a process that is alive and waits for a task."""
        require_children()
        for _ in range(STARTS):
            if self._process is None:
                start_tracker(resource_tracker)
                gpu = None if self._seat is None else self._seat.gpu
                self._is_new = True
                self._process = loky.ProcessPoolExecutor(
                    1, initializer=_begin, initargs=(os.getpid(), self.unheeded), env=self.equipment.environment(gpu)
                )
            try:
                number = self._process.submit(os.getpid)
                self._wait(number, None, meanwhile)
                return number.result()
            except BrokenProcessPool:  # it died while it was idle, or while it started
                self._discard()
        raise BrokenExecutor(f"{STARTS} processes on {socket.gethostname()} died as they started; see whether its "
                             "memory is full")  # fmt: skip

    def _discard(self) -> None:
        if self._process is not None:
            self._process.shutdown(wait=False)
            self._process = None


def require_children() -> None:
    """Raises UserError in a daemonic process, such as a worker of multiprocessing.Pool: it may start no other."""
    process = multiprocessing.current_process()
    if not process.daemon:
        return
    if process.name.startswith("Dask"):
        raise UserError("a daemonic process may not start the one that computes; start dask's workers with "
                        "DASK_DISTRIBUTED__WORKER__DAEMON=False in their environment")  # fmt: skip
    raise UserError(f"{process.name} is a daemonic process, as all of a multiprocessing.Pool are, and may not start "
                    "those that compute; use concurrent.futures.ProcessPoolExecutor in place of the pool, or search in "
                    "it with workers=1 and without a timeout")  # fmt: skip


def start_tracker(tracker: ModuleType) -> None:
    """Start the process by which loky, or multiprocessing, removes the locks of a run that was killed. It does so
    without telling the user that it does, which reads like a fault.

    tracker   the module `resource_tracker` of one of the two
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join([*filter(None, [before]), "ignore:resource_tracker"])
    try:
        tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


class Seat:
    """A number that no other worker on this host has at the time, whichever framework started it: it picks the GPU."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"evonas-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        self.number = -1
        self._file = -1
        while self._file < 0:
            self.number += 1
            file = os.open(folder / f"worker-{self.number}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of when this process ends, however it does
                self._file = file
            except BlockingIOError:
                os.close(file)

    @property
    def gpu(self) -> str:
        visible = gpus()
        if not visible:
            raise UserError(f"{socket.gethostname()} shows no GPU; use --device cpu")
        return visible[self.number % len(visible)]

    def leave(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _received(fn: Callable[..., Any]) -> None:
    """In a new process, which has loaded what a task needs as it came."""


def _begin(parent: int, unheeded: tuple[int, ...]) -> None:
    """In a new process. Ctrl-C is the parent's to handle; a process whose parent has been killed ends too; and where
    memory runs out, the kernel ends the process that computes and not the one that steers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in unheeded:
        signal.signal(number, _unheard)  # and not SIG_IGN, which programs that a task starts would inherit
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        try:
            score.write_text("500", encoding="ascii")
        except OSError:  # some containers forbid it: then the kernel decides by size alone
            return


def _unheard(number: int, frame: Any) -> None:
    """The handler of a signal that is for another process to heed: nothing is done here."""


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
