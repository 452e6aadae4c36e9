"""Who evaluates, and where: what is said of it by a user, what is known otherwise, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from evonas.errors import UserError
from evonas.executors import fitting, started_workers
from evonas.executors.launch import read_hosts
from evonas.executors.sbatch import read_options
from evonas.support.device import ELSEWHERE, EXECUTORS, cores, gpus
from evonas.support.files import place

MOST = max(64, 8 * cores())  # worker processes of one host


def workplace(
    executor: str | Executor | None,
    workers: int | None,
    hostfile: str | Path | None = None,
    scheduler: str | None = None,
    *,
    device: str,
    workers_per_gpu: int = 1,
    slurm: str | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields executor, workers, hostfile, scheduler and slurm of a config.

    Workers are as many as a framework has started, else as many as are asked for, else as the hostfile has, else one
    a core or `workers_per_gpu` on each GPU.

    Raises UserError for what does not fit together.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers is {workers}; use at least 1")
    if workers_per_gpu < 1:
        raise UserError(f"workers_per_gpu is {workers_per_gpu}; use at least 1")
    if isinstance(executor, Executor):
        has = getattr(executor, "_max_workers", None)  # of the executors of the standard library
        return {"executor": "script", "workers": workers or has or cores(), "hostfile": None, "scheduler": None,
                "slurm": {}}  # fmt: skip
    here = len(gpus()) * workers_per_gpu if device == "cuda" else cores()
    name = executor or fitting(workers or here)
    _check(name, workers, hostfile, scheduler)
    options = read_options(slurm)
    if options and name != "slurm":
        raise UserError(f"options of Slurm are for its jobs, not for {name}; add --executor slurm")
    hosts = [] if hostfile is None else read_hosts(place(hostfile))
    there = sum(count for _, count in hosts)
    return {
        "executor": name,
        "workers": started_workers(name) or workers or there or (1 if name == "serial" else here),
        "hostfile": None if hostfile is None else str(place(hostfile).resolve()),
        "scheduler": scheduler,
        "slurm": options,
    }


def _check(name: str, workers: int | None, hostfile: str | Path | None, scheduler: str | None) -> None:
    if name not in EXECUTORS:
        raise UserError(f"there is no executor {name!r}; use one of {', '.join(EXECUTORS)}, or give an object")
    if hostfile is not None and name not in ("scoop", "mpi"):
        raise UserError(f"a hostfile is for SCOOP or MPI, not for {name}; add --executor scoop")
    if scheduler is not None and name != "dask":
        raise UserError(f"a scheduler is of dask, not of {name}; add --executor dask")
    if scheduler is not None and workers is None:
        raise UserError("give --workers: how many the dask scheduler has")
    if name in ELSEWHERE and workers is None:
        what = "how many jobs to submit" if name == "slurm" else "how many evaluations to hand out at a time"
        raise UserError(f"give --workers: {what}")
    if name == "processes" and (workers or 1) > MOST:
        raise UserError(f"workers is {workers}; on this host of {cores()} cores use at most {MOST}")
    if name == "serial" and (workers or 1) > 1:
        raise UserError(f"one worker is all that the executor serial has, not {workers}; use processes")
