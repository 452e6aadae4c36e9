"""A run: a directory, and what can be read from it.

config.json      everything that was chosen, with versions and device
journal.jsonl    every event; the truth from which all else can be made again
summary.json     the winner beside its baselines
best/            the winner, trained: see `evonas.model.trained`
as_trained/      the winner with the weights that the search has left it with, where weights are inherited
weights/         of those that are alive, by their checksums
trained/ID/      others that were trained afterwards
profile.json     where the time went, if that was asked for
plots/           pictures
report.html      all of it on one page
data.npz         the images, where a script gave them as arrays
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from random import Random
from typing import Any

from deap import base

from evonas.data.shared import shared
from evonas.data.sources import Source
from evonas.errors import RunError, UserError
from evonas.evaluation import Genome
from evonas.executors import Equipment, open_executor
from evonas.graph import Graph
from evonas.objectives import Best, Limits, best
from evonas.run.journal import Journal, read
from evonas.run.loop import Budget
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.support.device import hardware
from evonas.support.files import read_json, write_json
from evonas.systems import Setup, System, system

OWN_DATA = "data.npz"  # in the run directory; config.json names it so, and the directory may be moved


@dataclass(frozen=True, kw_only=True)
class Config:
    """What was chosen for a run. `budgets` grows by one each time a finished run is taken further.

    source     None where a search trains nothing
    images     shape of an image of the source, and its number of classes: with them a run is read without its data
    data       fingerprint of the data
    executor   serial, processes, scoop, dask or mpi; own: an object that a script gave
    hostfile   of scoop and mpi, scheduler the address of a dask scheduler
    threads    of the CPU for each worker
    memory     bytes that one training may take
    inherit       children begin with the weights of their first parent
    weights_disk  bytes on disk for the weights of those alive
    by_script  what only the script that began the run can give again: evaluate, strategy
    """

    system: str
    preset: str
    settings: dict[str, Any]
    source: Source | None
    images: tuple[tuple[int, ...], int] | None
    data: str | None
    seed: int
    budgets: tuple[Budget, ...]
    workers: int
    device: str
    precision: str
    executor: str = "processes"
    hostfile: str | None = None
    scheduler: str | None = None
    threads: int = 1
    objectives: dict[str, float] = field(default_factory=lambda: {"accuracy": 1.0})
    limits: Limits = field(default_factory=Limits)
    init: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory: int | None = None
    accumulate: bool = False
    profile: bool = False
    baseline: bool = True
    inherit: bool = False
    weights_disk: int | None = None
    by_script: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UserError(f"workers is {self.workers}; use at least 1")
        Equipment(self.threads, self.device)  # raises where workers cannot be equipped so
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UserError(f"timeout is {self.timeout_s} s; use more than 0")
        if self.weights_disk is not None and self.weights_disk < 1:
            raise UserError(f"weights_disk is {self.weights_disk} bytes; use more than 0, such as 2G")
        if self.memory is not None and self.memory < 1:
            raise UserError(f"memory is {self.memory} bytes; use more than 0, such as 2G")

    def to_json(self) -> dict[str, Any]:
        packages = ("evonas", "torch", "torchvision", "deap", "numpy", "scikit-learn")
        versions = {name: metadata.version(name) for name in packages}
        versions |= {"python": platform.python_version()}
        return asdict(self) | {"versions": versions, "hardware": hardware(self.device)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Config:
        chosen = {key: value for key, value in data.items() if key not in ("versions", "hardware")}
        return cls(
            **chosen
            | {
                "source": None if data["source"] is None else Source(**data["source"]),
                "images": None if data["images"] is None else (tuple(data["images"][0]), data["images"][1]),
                "budgets": tuple(Budget(**budget) for budget in data["budgets"]),
                "limits": Limits(**data["limits"]),
                "init": tuple(data["init"]),
                "by_script": tuple(data["by_script"]),
            }
        )


@dataclass(frozen=True)
class Given:
    """What a script hands over as objects, where a run is not described by its config alone.

    system      of a user's own space
    evaluate    genome -> values, in place of training
    strategy    in place of the system's; fresh, since the journal is replayed into it; or (toolbox, rng) -> strategy,
                over the system's DEAP toolbox
    executor    in place of local processes
    """

    system: System | None = None
    evaluate: Callable[[Genome], Any] | None = None
    strategy: Strategy | Callable[[base.Toolbox, Random], Strategy] | None = None
    executor: Executor | None = None


def fitted(preset: Setup, images: tuple[tuple[int, ...], int] | None, settings: Mapping[str, Any]) -> Setup:
    """A set-up with these settings, for images of a shape and a number of classes."""
    return preset.having(settings) if images is None else preset.fitted_having(*images, settings)


class Run:
    """A run directory. `Run.new` makes one, `Run.open` opens one; `go` does what is left to do."""

    def __init__(self, directory: Path, config: Config, given: Given = Given()) -> None:
        self.directory, self.config, self.given = Path(directory), config, given
        self.interrupted = False  # the last `search` was ended by Ctrl-C

    def __repr__(self) -> str:
        told = sum(event["event"] == "told" for _, event in read(self.journal_path)[0])
        return f"Run({str(self.directory)!r}, {told} evaluations)"

    @classmethod
    def new(cls, directory: Path, config: Config, given: Given = Given()) -> Run:
        """Raises UserError where the directory cannot be written."""
        run = cls(directory, config, given)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the directory {directory}: {error.strerror}; choose another --out") from None
        try:
            run.write_config()
        except RunError as error:
            reason = getattr(error.__cause__, "strerror", error)
            raise UserError(f"cannot write into {directory}: {reason}; choose another --out") from error
        return run

    @staticmethod
    def exists(directory: Path) -> bool:
        return (directory / "config.json").exists() or (directory / "journal.jsonl").exists()

    @classmethod
    def open(cls, directory: Path | str, given: Given = Given()) -> Run:
        """Raises UserError where there is no run."""
        directory = Path(directory)
        path = directory / "config.json"
        try:
            config = Config.from_json(read_json(path))
        except FileNotFoundError:
            raise UserError(f"{directory} holds no run: there is no {path.name}; name the --out of a search") from None
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} cannot be read ({error}); put the original back") from None
        if config.source is not None and config.source.name == OWN_DATA:
            config = replace(config, source=replace(config.source, name=str((directory / OWN_DATA).resolve())))
        return cls(directory, config, given)

    def about(self) -> str:
        """What is searched, on what: two lines."""
        config = self.config
        known = {"serial": "", "processes": "", "own": " by an executor of its own"}
        how = known.get(config.executor, f" by {config.executor}")
        where = f"{config.workers} worker{'s' * (config.workers > 1)}{how} on {config.device} in {config.precision}"
        if config.source is None:
            return f"{config.system} ({config.preset})\n{where}; in {self.directory}"
        data = shared(config.source, config.data)
        counts = f"{len(data.y_train)} training, {len(data.y_validation)} validation and {len(data.y_test)} test images"
        shape = "x".join(map(str, data.input_shape))
        return (f"{config.system} ({config.preset}) on {config.source.name}: {counts} of {shape}\n"
                f"{where}; in {self.directory}")  # fmt: skip

    def write_config(self) -> None:
        source = self.config.source
        if source is not None and Path(source.name) == (self.directory / OWN_DATA).resolve():
            source = replace(source, name=OWN_DATA)
        write_json(self.directory / "config.json", replace(self.config, source=source).to_json())

    # ---- what was searched ----------------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        """Raises UserError where the run is of a space of one's own that is not found again."""
        if self.given.system is not None or ":" not in self.config.system:
            return self.given.system or system(self.config.system)
        file, _, what = self.config.system.rpartition(":")
        places = [Path(file), *(place / Path(file).name for place in (Path(), *self.directory.resolve().parents[:3]))]
        found = next((str(place) for place in places if place.exists()), file)
        try:
            return system(f"{found}:{what}")
        except UserError as error:
            raise UserError(f"{error}; in a script, evonas.open_run({str(self.directory)!r}, space=...) opens the run "
                            "with a space that is given") from None  # fmt: skip

    @property
    def setup(self) -> Setup:
        """The set-up, fitted to the data."""
        return fitted(self.system.preset(self.config.preset), self.config.images, self.config.settings)

    @property
    def space(self) -> Space:
        return self.setup.space

    @property
    def journal_path(self) -> Path:
        return self.directory / "journal.jsonl"

    @property
    def summary(self) -> dict[str, Any] | None:
        """summary.json; None while the run has not come to an end."""
        try:
            return read_json(self.directory / "summary.json")
        except FileNotFoundError:
            return None

    def records(self) -> list[dict[str, Any]]:
        """One dict an evaluation: what was asked, joined with what was told (absent while it is in flight).

        Fields: id, genome, code, parents, operator, phase (search, baseline, final), role, generation, proposal (what
        a learning strategy says of it, such as epsilon), provisional (where it is), values (one an objective), status,
        measures (accuracy, parameters, multiply_adds, ...), cost (epochs, seconds), curve, error, reused, t (seconds of
        run time).
        """
        records: dict[int, dict[str, Any]] = {}
        space = self.space
        for _, event in read(self.journal_path)[0]:
            if event["event"] == "asked":
                code = "" if event["role"] == "reference" else space.format(event["genome"])
                records[event["id"]] = event | {"code": code}
            elif event["event"] == "told":
                records[event["id"]] |= event
        return list(records.values())

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame, with a column for each objective and each measure."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise UserError("pandas is not installed; `pip install pandas`, or use run.records()") from None
        return pandas.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """The records flat, for tables: one column for each objective, measure and cost."""
        columns = ("id", "code", "phase", "role", "generation", "operator", "status")
        return [
            {name: record.get(name) for name in columns}
            | {"parents": " ".join(map(str, record["parents"]))}
            | record.get("measures", {})
            | dict(zip(self.config.objectives, record.get("values", ()), strict=False))
            | record.get("cost", {"epochs": None, "seconds": None})
            | ({"ancestry_epochs": record["lineage"]["epochs"]} if record.get("lineage") else {})
            | {"reused": record.get("reused"), "error": (record.get("error") or "").split("\n")[-1]}
            for record in self.records()
        ]

    def finished(self) -> bool:
        """Everything that the budgets ask for has been done."""
        events = [event for _, event in read(self.journal_path)[0]]
        done = sum(event["event"] == "finished" for event in events)
        return done >= len(self.config.budgets)

    def extended(self, *, evaluations: int | None, seconds: float | None) -> Run:
        """The same run with a new budget: evaluations in all, seconds from now on."""
        events = [event for _, event in read(self.journal_path)[0]]
        spent = max((event.get("t", 0.0) for event in events), default=0.0)
        budget = Budget(evaluations, None, None if seconds is None else spent + seconds)
        before = self.config.budgets if self.finished() else self.config.budgets[:-1]
        return Run(self.directory, replace(self.config, budgets=(*before, budget)), self.given)

    def moved(self, **where: Any) -> Run:
        """The same run with other workers, executor, device...; None leaves a field as it is. It is written down."""
        config = replace(self.config, **{name: value for name, value in where.items() if value is not None})
        run = Run(self.directory, config, self.given)
        run.write_config()
        return run

    # ---- what was found -------------------------------------------------------------------------------------------

    @property
    def best(self) -> Found:
        """The best of the search by its first objective: the mean over the evaluations of its genome.

        Raises UserError where nothing has been evaluated yet.
        """
        found = best(
            (
                Best(record["id"], tuple(record["genome"]), record["values"][0], record.get("provisional", False))
                for record in self.records()
                if record["phase"] == "search" and record.get("values")
            ),
            next(iter(self.config.objectives.values())),
            apart=self.config.inherit,
        )
        if found is None:
            raise UserError(f"{self.directory}: no network has been evaluated yet; go on with the search")
        return self[found.id]

    @property
    def front(self) -> list[Found]:
        """The networks of the search that no other one beats in all objectives (the Pareto front), best first."""
        from evonas.plots import pareto_front

        records = [record for record in self.records() if record["phase"] == "search"]
        return [Found(self, record) for record in pareto_front(records, self.config.objectives)]

    def __getitem__(self, number: int) -> Found:
        """Raises UserError for an id that the run does not have."""
        records = {record["id"]: record for record in self.records()}
        if number not in records:
            known = f"ids are 0 to {max(records)}" if records else "it has none yet"
            raise UserError(f"{self.directory} has no individual {number}: {known}; see 'evonas show {self.directory}'")
        return Found(self, records[number])

    # ---- what is done ---------------------------------------------------------------------------------------------

    def go(self, observer: Any, *, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
        """Search, final training of the winner and the reference, random search, its final training; the summary.

        What the journal holds is replayed, and what is left is done. Raises JournalError, RunError; on
        KeyboardInterrupt workers are ended and the run can be resumed.
        """
        from evonas.run.session import Conduct

        missing = [name for name in self.config.by_script if getattr(self.given, name) is None]
        if missing:
            raise UserError(f"{self.directory} was begun by a script with its own {' and '.join(missing)}; run the "
                            "script again with resume=True")  # fmt: skip
        config, executor = self.config, self.given.executor
        journal = Journal(self.journal_path, self.space.to_json(), clock=clock)
        try:
            if executor is None:
                equipment = Equipment(config.threads, config.device)
                executor = open_executor(config.executor, config.workers, equipment, scheduler=config.scheduler)
            summary = Conduct(self, journal, executor, observer).go()
            if self.given.executor is None:
                executor.shutdown()
            return summary
        except BaseException:  # Ctrl-C too: workers end at once, then it goes on upwards
            if executor is not None and self.given.executor is None:
                executor.shutdown(wait=False)
            raise
        finally:
            journal.close()

    def plot(self) -> list[Path]:
        """Draw the pictures of the run into plots/, and report.html, from the journal alone."""
        from evonas.reports.pictures import draw

        return draw(self)


@dataclass(frozen=True)
class Found:
    """An individual of a run, with what is known of it. `record` is as in `Run.records`."""

    run: Run
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:g}" for name, value in self.values.items())
        return f"<{self.id}: {self.code}{', ' if values else ''}{values}>"

    @property
    def id(self) -> int:
        return self.record["id"]

    @property
    def genome(self) -> tuple:
        return tuple(self.record["genome"])

    @property
    def code(self) -> str:
        return self.record["code"]

    @property
    def values(self) -> dict[str, float]:
        """Objective -> value; empty where it failed or has not been told."""
        return dict(zip(self.run.config.objectives, self.record.get("values", ()), strict=False))

    @property
    def graph(self) -> Graph:
        if self.record["role"] == "reference":
            raise UserError("the reference network is not of the space; see `evonas.genomes.plain`")
        return self.run.space.decode(self.genome)

    @property
    def folder(self) -> Path | None:
        """Where its trained network lies: best/ for the winner, as the search left it, else trained/ID; None: nowhere.

        What `train` makes of the winner lies in trained/ID, and is opened from there.
        """
        from evonas.model.trained import TrainedNetwork

        best = self.run.directory / "best"
        if TrainedNetwork.exists(best) and TrainedNetwork.open(best).facts.get("code") == self.code:
            return best
        trained = self.run.directory / "trained" / str(self.id)
        return trained if TrainedNetwork.exists(trained) else None

    def network(self) -> Any:
        """The trained network, a torch.nn.Module in evaluation mode; it takes normalised images (see `trained`).

        Raises UserError where it has not been trained beyond the search.
        """
        return self.trained().network()

    def trained(self) -> Any:
        """The folder of its trained network, as a TrainedNetwork: weights, accuracy, preprocessing."""
        from evonas.model.trained import TrainedNetwork

        if self.folder is None:
            ended = self.run.summary is not None
            first = "" if ended else f"the run has not come to its end ('evonas resume {self.run.directory}'); "
            raise UserError(f"individual {self.id} has no trained network yet: {first}call .train(), or "
                            f"'evonas train {self.run.directory} {self.id}'")  # fmt: skip
        return TrainedNetwork.open(self.folder)

    def train(self, **options: Any) -> Any:
        """Train it to the end into trained/ID; the options of `evonas.train`. Returns the TrainedNetwork."""
        from evonas.model.final_training import train_found

        return train_found(self, **options)
