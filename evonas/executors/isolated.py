"""Any executor of the ecosystem, with each of its workers computing in a process of its own; dask and MPI so."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

import cloudpickle

from evonas.errors import UserError
from evonas.executors.pool import LOSSES
from evonas.executors.worker import PLAIN, Equipment, Worker, WorkerLost, start_tracker

_here = threading.local()


class Isolated(Executor):
    """Runs tasks on `executor`. A worker hands each to a process of its own, which may die or hang without harm.

    lost   exceptions by which the executor says that it has lost workers with a task; it is handed in again, since it
           shared them with others
    close  ends the executor's workers, at once or not; None: as `executor.shutdown` does
    """

    def __init__(
        self,
        executor: Executor,
        equipment: Equipment = PLAIN,
        *,
        lost: tuple[type[BaseException], ...] = (),
        close: Callable[[bool], None] | None = None,
    ) -> None:
        self.executor, self.equipment, self.lost, self._close = executor, equipment, lost, close

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        future.set_running_or_notify_cancel()
        task = cloudpickle.dumps((fn, args, kwargs))  # what a script has defined goes by value, whatever pickles it on
        self._hand_in(future, task, 0)
        return future

    def _hand_in(self, future: Future, task: bytes, losses: int) -> None:
        inner = self.executor.submit(_run, self.equipment, task)
        inner.add_done_callback(partial(self._ended, future, task, losses))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._close is not None:
            self._close(not wait)
        else:
            self.executor.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _ended(self, future: Future, task: bytes, losses: int, inner: Future) -> None:
        if inner.cancelled():
            future.set_exception(BrokenExecutor("it has let go of its tasks; perhaps it was shut down"))
            return
        error = inner.exception()
        if error is None:
            future.set_result(inner.result())
        elif isinstance(error, self.lost) and losses + 1 < LOSSES:
            self._hand_in(future, task, losses + 1)
        elif isinstance(error, self.lost):
            future.set_exception(WorkerLost(f"{type(error).__name__}: {error}"))
        else:
            future.set_exception(error)


def dask_executor(workers: int, equipment: Equipment, scheduler: str | None = None) -> Isolated:
    """dask.distributed: worker processes on this host, or those of the scheduler at an address.

    Raises UserError where dask is not installed or no scheduler answers.
    """
    try:
        import dask.config
        from distributed import Client, KilledWorker, LocalCluster
    except ModuleNotFoundError:
        raise UserError("dask.distributed is not installed; `pip install 'evonas[dask]'`") from None
    if scheduler is None:
        dask.config.set({"distributed.worker.daemon": False})  # else its workers may not start processes
        start_tracker(resource_tracker)
        port = "127.0.0.1:0"  # any that is free: by default a second search on this host would hear of the first
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=port, silence_logs=logging.ERROR
        )
        client = Client(cluster)
    else:
        cluster = None
        try:
            client = Client(scheduler)
        except OSError as error:
            raise UserError(f"no dask scheduler answers at {scheduler} ({error}); start one with 'dask scheduler', or "
                            "leave --scheduler out to work on this host") from None  # fmt: skip

    async def end(nannies: Iterable[Any]) -> None:
        await asyncio.gather(*(nanny.kill(timeout=0.5) for nanny in nannies))

    def close(at_once: bool) -> None:
        if cluster is not None and at_once:  # it would wait for what they do
            cluster.sync(end, cluster.workers.values())
        client.close()
        if cluster is not None:
            cluster.close()

    return Isolated(client.get_executor(pure=False), equipment, lost=(KilledWorker,), close=close)


def mpi_executor(equipment: Equipment) -> Isolated:
    """The ranks of an MPI job but the first, which steers. Raises UserError outside of a job."""
    require_mpi()
    from mpi4py.futures import MPIPoolExecutor

    return Isolated(MPIPoolExecutor(main=False), equipment)


def inside_mpi() -> bool:
    """Whether `python -m mpi4py.futures` runs this process as the first of several ranks."""
    if "mpi4py.futures" not in sys.modules:
        return False
    from mpi4py import MPI

    return MPI.COMM_WORLD.size > 1


def require_mpi() -> None:
    """Raises UserError outside of a job."""
    if not inside_mpi():
        raise UserError(
            "no MPI job: start the script with 'mpiexec -n 3 python -m mpi4py.futures SCRIPT' (two workers)"
        )


def _run(equipment: Equipment, task: bytes) -> Any:
    """In a worker of the executor, which keeps its process between tasks."""
    if getattr(_here, "equipment", None) != equipment:
        _here.equipment, _here.worker = equipment, Worker(equipment)
    fn, args, kwargs = cloudpickle.loads(task)
    return _here.worker.run(fn, *args, **kwargs)
