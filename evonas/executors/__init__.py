"""Where evaluations run: `concurrent.futures` executors, from this process to a cluster.

Whichever executor it is, a worker computes in a process of its own (`evonas.executors.worker`): what dies or hangs is
that process, and never the worker, its host's other workers, or the run.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evonas.errors import UserError
from evonas.executors.isolated import Isolated, dask_executor, inside_mpi, mpi_executor, require_mpi
from evonas.executors.pool import Gone, Processes, WorkerPool
from evonas.executors.rendezvous import ByHand, Say
from evonas.executors.sbatch import SlurmJobs, require_slurm
from evonas.executors.scoop import Scoop, inside_scoop, require_scoop, serve_if_worker
from evonas.executors.serial import Serial
from evonas.executors.slurm import Slurm
from evonas.executors.worker import Equipment, Overdue, Worker, WorkerLost, require_children
from evonas.support.device import EXECUTORS

__all__ = [
    "Equipment",
    "Gone",
    "Isolated",
    "Overdue",
    "Processes",
    "Scoop",
    "Serial",
    "Worker",
    "WorkerLost",
    "WorkerPool",
    "fitting",
    "open_executor",
    "require",
    "serve_if_worker",
    "started_workers",
    "submit_again",
]  # fmt: skip


def fitting(workers: int | None) -> str:
    """The executor that this process has been started for; else local processes, or none where one would be alone."""
    if inside_scoop():
        return "scoop"
    if inside_mpi():
        return "mpi"
    return "serial" if workers == 1 else "processes"


def started_workers(name: str) -> int | None:
    """How many workers a framework has started for this process; None where none has."""
    if name == "scoop" and inside_scoop():
        import scoop

        return scoop.SIZE - 1
    if name == "mpi" and inside_mpi():
        from mpi4py import MPI

        return MPI.COMM_WORLD.size - 1
    return None


def require(name: str) -> None:
    """Raises UserError where this process cannot have such an executor: its framework has not started it, as it must,
    or it may not start workers."""
    if name == "processes":
        require_children()
    elif name == "scoop":
        require_scoop()
    elif name == "mpi":
        require_mpi()
    elif name == "slurm":
        require_slurm()


def submit_again(executor: Executor, job: Callable[[], Any]) -> Future:
    """Submit what was in flight when a run ended. It may be what ended it, where it shared a process with the run: then
    it gets one of its own."""
    return executor.submit_alone(job) if isinstance(executor, Serial) else executor.submit(job)


def open_executor(
    name: str,
    workers: int,
    equipment: Equipment,
    *,
    directory: Path = Path(),
    scheduler: str | None = None,
    slurm: Mapping[str, str] = MappingProxyType({}),
    say: Say = print,
) -> Executor:
    """One of serial, processes, scoop, dask, mpi, slurm and remote. Raises UserError where it cannot be opened.

    directory  of the run, in which workers of slurm and remote find it
    scheduler  of dask: its address
    slurm      options of sbatch
    say        what tells the user something, from any thread
    """
    if name == "serial":
        return Serial(equipment)
    if name == "processes":
        return Processes(workers, equipment)
    if name == "scoop":
        return Scoop(equipment)
    if name == "dask":
        return dask_executor(workers, equipment, scheduler)
    if name == "mpi":
        return mpi_executor(equipment)
    if name == "slurm":
        require_slurm()
        return Slurm(SlurmJobs(directory, equipment, slurm), workers, equipment, directory, say)
    if name == "remote":
        return ByHand(equipment, directory, say)
    raise UserError(f"there is no executor {name!r}; use one of {', '.join(EXECUTORS)}, or give an object")
