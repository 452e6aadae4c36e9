"""What was chosen for a run, as config.json says it."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from evonas.errors import UserError
from evonas.executors import Equipment
from evonas.run.budget import Budget
from evonas.run.problem import BY_SCRIPT, ProblemText
from evonas.support.device import hardware
from evonas.support.files import read_json, write_json
from evonas.support.schema import VERSION, check_version, checked

# In the run directory; config.json names them so, and the directory may be moved.
OWN_DATA = "data.npz"
LATENCIES = "latency.json"
TEACHER = "teacher"  # the folder of the network by which others are trained, and the phase in which it is
PACKAGES = ("evonas", "torch", "torchvision", "deap", "numpy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class Config(ProblemText):
    """The text of a problem, and how it is searched. `budgets` grows by one each time a finished run is taken further.

    executor      serial, processes, scoop, dask, mpi, slurm or remote; script: an object that a script gave
    hostfile      of scoop and mpi
    scheduler     the address of a dask scheduler
    slurm         options of sbatch for the jobs of slurm, by their long names
    threads       of the CPU for each worker
    timeout_s     of one training or call of the script's function
    memory        bytes that one training may take
    fidelity      scheduler of trainings that stop early and go on, by name: asha:eta=3,least=4; None: all are whole
    finalists     networks of the search that are trained by the final recipe; the best on the validation split wins
    inherit       children begin with the weights of their first parent
    weights_disk  bytes on disk for the weights of the living population
    lent          the file of a supernet that another run has trained; None: this one trains its own, if it needs one
    init          codes of networks to begin with
    warm_start    random networks to begin with, as `evonas.run.warm_start` reads it; None: none
    track         what follows the run beside its own records, by name: tensorboard, optuna
    """

    seed: int
    budgets: tuple[Budget, ...]
    workers: int
    device: str
    precision: str
    executor: str = "processes"
    hostfile: str | None = None
    scheduler: str | None = None
    slurm: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    lent: str | None = None
    init: tuple[str, ...] = ()
    warm_start: str | None = None
    fidelity: str | None = None
    timeout_s: float | None = None
    memory: int | None = None
    accumulate: bool = False
    profile: bool = False
    baseline: bool = True
    finalists: int = 1
    inherit: bool = False
    weights_disk: int | None = None
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UserError(f"workers is {self.workers}; use at least 1")
        Equipment(self.threads, self.device)  # raises where workers cannot be equipped so
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UserError(f"timeout is {self.timeout_s} s; use more than 0")
        if self.weights_disk is not None and self.weights_disk < 1:
            raise UserError(f"weights_disk is {self.weights_disk} bytes; use more than 0, such as 2G")
        if self.finalists < 1:
            raise UserError(f"finalists is {self.finalists}; use at least 1")
        if self.memory is not None and self.memory < 1:
            raise UserError(f"memory is {self.memory} bytes; use more than 0, such as 2G")

    @property
    def by_script(self) -> list[str]:
        """What only the script that began the run can give again."""
        return [name for name in ("evaluate", "strategy") if getattr(self, name) == BY_SCRIPT]

    @property
    def data_name(self) -> str | None:
        """The name of the data; None where there are none."""
        return self.source.get("name", self.task)

    @property
    def source(self) -> dict[str, Any]:
        """What names the images of the task and says how they are split; empty where it has none that evonas reads."""
        found = (self.data or {}).get("source")
        return found if isinstance(found, dict) else {}

    def to_json(self) -> dict[str, Any]:
        versions = {name: metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
        return {"schema": VERSION, **asdict(self), "versions": versions, "hardware": hardware(self.device)}


def write(config: Config, directory: Path) -> None:
    """config.json; data that lie in the directory are named by their place in it. Raises RunError."""
    written = config.to_json()
    source = (written["data"] or {}).get("source")
    if source is not None and Path(source["name"]) == (directory / OWN_DATA).resolve():
        source["name"] = OWN_DATA
    if written["limits"]["latencies"] == str((directory / LATENCIES).resolve()):
        written["limits"]["latencies"] = LATENCIES
    if config.teacher is not None:
        written["teacher"] = f"{TEACHER}/{Path(config.teacher).name}"
    write_json(directory / "config.json", written)


def read(directory: Path) -> Config:
    """The config of a run. Raises UserError where there is none, or it is damaged or of another version."""
    path = directory / "config.json"
    try:
        written = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{directory} holds no run: there is no {path.name}; name the --out of a search") from None
    check_version(written, str(path))
    config = checked(written, Config, str(path))
    source = config.source
    if source and not isinstance(source.get("name"), str):
        raise UserError(f"{path} cannot be read (its data have no name); put the original back")
    if source.get("name") == OWN_DATA:
        source["name"] = str((directory / OWN_DATA).resolve())
    if config.limits.latencies == LATENCIES:
        limits = replace(config.limits, latencies=str((directory / LATENCIES).resolve()))
        config = replace(config, limits=limits)
    if config.teacher is not None:
        config = replace(config, teacher=str((directory / TEACHER / Path(config.teacher).name).resolve()))
    return config
