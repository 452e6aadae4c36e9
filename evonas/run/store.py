"""A run: a directory, and what can be read from it.

config.json      everything that was chosen, with versions and device
journal.jsonl    every event; the truth from which all else can be made again
summary.json     the winner beside its baselines
best/            the winner, trained: see `evonas.model.trained`
reference/       what it is held against, trained as it is: the network by hand, and the best of random search
random_search/
as_trained/      the winner with the weights that the search has left it with, where weights are inherited
teacher/         the network by which others are trained, by its checksum, where recipes distil
checkpoints/     of trainings that may go on, by their checksums
weights/         of those that are alive, by their checksums
trained/ID/      others that were trained afterwards
profile.json     where the time went, if that was asked for
warm_start.csv   random networks with their training-free scores, of which a search with a warm start begins
workers/         where workers find the run while it is at work, and the logs of the jobs of a cluster
plots/           pictures
report.html      all of it on one page
data.npz         the images, where a script gave them as arrays
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from evonas.errors import RunError, UserError
from evonas.evaluation.teacher import Teacher
from evonas.model.trained import TrainedNetwork
from evonas.ranking import best_of, pareto_front
from evonas.run import config as configs
from evonas.run import summary as summaries
from evonas.run.budget import Budget
from evonas.run.config import TEACHER, Config
from evonas.run.found import Found
from evonas.run.journal import COSTS, Event, JournalError, is_held, read
from evonas.run.problem import NOTHING, Brought, Problem, read_setup
from evonas.run.problem import read as read_problem
from evonas.space import Space
from evonas.support.files import read_json
from evonas.systems.own import is_own_code, is_reference
from evonas.systems.system import System
from evonas.tasks.task import Task

Read = TypeVar("Read")

FOLDERS = {"winner": "best", "winner_as_trained": "as_trained"}  # of finalists; others have the name of their role


ONE_VALUE = (
    "final",
    "supernet",
    TEACHER,
    "finalists",
    "baseline-finalists",
)  # phases judged by the first objective alone


class Run:
    """A run directory. `Run.new` makes one, `Run.open` opens one.

    brought   objects of the script's own, where the config does not say it all
    trust     the user's own code that the config names may be imported: it is as good as a program that is run
    """

    def __init__(self, directory: Path, config: Config, brought: Brought = NOTHING, *, trust: bool = False) -> None:
        self.directory, self.config, self.brought, self.trust = Path(directory), config, brought, trust
        self.interrupted = False  # the last `search` was ended by Ctrl-C

    def __repr__(self) -> str:
        told = sum(record["phase"] == "search" and bool(record.get("values")) for record in self.records())
        return f"Run({str(self.directory)!r}, {told} evaluations)"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from evonas.reports.view import of_run

        return of_run(self)

    @classmethod
    def new(cls, directory: Path, config: Config, brought: Brought = NOTHING) -> Run:
        """Raises UserError where the directory cannot be written."""
        run = cls(directory, config, brought, trust=True)
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
    def open(cls, directory: Path | str, brought: Brought = NOTHING, *, trust: bool = False) -> Run:
        """Raises UserError where there is no run, or its config is damaged or of another version."""
        directory = Path(directory)
        return cls(directory, configs.read(directory), brought, trust=trust)

    def about(self) -> str:
        """What is searched, on what: two lines."""
        config = self.config
        known = {"serial": "", "processes": "", "script": " by the script's executor"}
        how = known.get(config.executor, f" by {config.executor}")
        where = f"{config.workers} worker{'s' * (config.workers > 1)}{how} on {config.device} in {config.precision}"
        strategy = "" if config.strategy is None else f" by {config.strategy}"
        policy = self.problem.setup.supernet
        judged = "" if policy is None else f", judged by a supernet ({policy.name})"
        what = f"{config.system}{strategy} ({config.preset}){judged}"
        if self.task is None:
            return f"{what}\n{where}; in {self.directory}"
        return f"{what} on {self.task.data}: {self.task.about()}\n{where}; in {self.directory}"

    def write_config(self) -> None:
        configs.write(self.config, self.directory)

    # ---- what was searched ----------------------------------------------------------------------------------------

    @property
    def untrusted(self) -> list[str]:
        """A user's own space, strategy, policy or task that the config names and nobody has given, or asked to
        import."""
        return self._untrusted(
            system=self.brought.space, strategy=self.brought.strategy, task=self.brought.task, supernet=None
        )

    @property
    def untrusted_space(self) -> list[str]:
        """Those without which no genome can be decoded."""
        return self._untrusted(system=self.brought.space, strategy=self.brought.strategy, supernet=None)

    def _untrusted(self, **brought: Any) -> list[str]:
        named = [getattr(self.config, name) for name, given in brought.items() if given is None]
        return [] if self.trust else [text for text in named if text is not None and is_own_code(text)]

    def _require_trust(self, untrusted: list[str]) -> None:
        if untrusted:
            raise UserError(f"{self.directory} was made with {' and '.join(untrusted)}, which is code and is only run "
                            "where you say so: add --trust (in a script, trust=True)")  # fmt: skip

    @cached_property
    def problem(self) -> Problem:
        """What was searched, and how it is judged. A user's own space, strategy and task are imported from where the
        config says, or found beside the run's directory.

        Raises UserError where they are not found again, or the run is looked at without trust.
        """
        self._require_trust(self.untrusted)
        return self._read(read_problem)

    def _read(self, read: Callable[[Config, Brought], Read]) -> Read:
        try:
            return read(self._found_again(self.config), self.brought)
        except UserError as error:
            if not is_reference(self.config.system) or self.brought.space is not None:
                raise
            raise UserError(f"{error}; in a script, evonas.open_run({str(self.directory)!r}, space=...) opens the run "
                            "with a space that is given") from None  # fmt: skip

    def _found_again(self, config: Config) -> Config:
        """With references to files that have moved along with the run's directory."""
        found: dict[str, Any] = {
            name: self._place(reference)
            for name in ("system", "strategy", "supernet", "task")
            if (reference := getattr(config, name)) is not None and is_reference(reference)
        }
        return replace(config, **found)

    def _place(self, reference: str) -> str:
        file, colon, rest = reference.partition(".py:")
        if not colon:
            return reference
        path = Path(f"{file}.py")
        places = [path, *(place / path.name for place in (Path(), *self.directory.resolve().parents[:3]))]
        return f"{next((place for place in places if place.exists()), path)}:{rest}"

    @property
    def system(self) -> System:
        return self.problem.system

    @property
    def task(self) -> Task | None:
        return self.problem.task

    @cached_property
    def space(self) -> Space:
        """What was searched; it needs neither the data nor the task."""
        self._require_trust(self.untrusted_space)
        return self._read(read_setup).space

    @property
    def teacher(self) -> Teacher | None:
        """The network by which others are trained; None: there is none, or none yet. Raises UserError where its file is
        missing or damaged."""
        if self.config.teacher is not None:
            return Teacher.read(Path(self.config.teacher))
        told = (record.get("weights") for record in self.records() if record["phase"] == TEACHER)
        kept = next((name for name in told if name), None)
        return None if kept is None else Teacher.read(self.directory / TEACHER / f"{kept}.safetensors")

    @property
    def journal_path(self) -> Path:
        return self.directory / "journal.jsonl"

    def events(self) -> list[Event]:
        """Every event of the journal, in order. Raises UserError where it is damaged, or not of this run."""
        events = [event for _, event in read(self.journal_path)[0]]
        count, final = len(self.config.objectives), {e["id"] for e in events if e.get("phase") in ONE_VALUE}
        for event in events:
            if event["event"] == "told" and len(event["values"]) not in (0, 1 if event["id"] in final else count):
                raise JournalError(f"{self.journal_path}: individual {event['id']} has {len(event['values'])} values, "
                                   f"but the run has {count} objectives; put the original journal back")  # fmt: skip
        return events

    def is_held(self) -> bool:
        """Whether some process is at work on the run."""
        return self.journal_path.exists() and is_held(self.journal_path)

    @property
    def summary(self) -> dict[str, Any] | None:
        """summary.json; None while the run has not come to an end. Raises UserError where it is damaged."""
        path = self.directory / "summary.json"
        try:
            found = read_json(path)
        except FileNotFoundError:
            return None
        summaries.check(found, path)
        return found

    def records(self) -> list[dict[str, Any]]:
        """One dict an evaluation: what was asked, joined with what was told (absent while it is in flight).

        Of a training that went on, the last report stands, with what all of it has cost.

        Fields: id, genome, code, parents, operator, phase (search, baseline, final), role, generation, proposal (what
        a learning strategy says of it, such as epsilon), provisional (where it is), values (one an objective), status,
        measures (accuracy, parameters, multiply_adds, ...), cost (epochs, seconds, core_seconds), curve, error,
        reused, t (seconds of run time).
        """
        asked: dict[int, Event] = {}
        told: dict[int, Event] = {}
        for event in self.events():
            if event["event"] == "asked":
                asked[event["id"]] = event
            elif event["event"] == "told":
                before = told[event["id"]]["cost"] if event["id"] in told else dict.fromkeys(COSTS, 0)
                cost = {name: before[name] + event["cost"].get(name, 0) for name in COSTS}
                told[event["id"]] = event | {"cost": cost}
        return [event | told.get(id, {}) for id, event in asked.items()]

    @property
    def resumed(self) -> list[float]:
        """When the run was taken up again before its end, in seconds of run time."""
        return [event["t"] for event in self.events() if event["event"] == "resumed"]

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
            | record.get("cost", dict.fromkeys(COSTS))
            | ({"ancestry_epochs": record["lineage"]["epochs"]} if record.get("lineage") else {})
            | {"reused": record.get("reused"), "error": (record.get("error") or "").split("\n")[-1]}
            for record in self.records()
        ]

    def finished(self) -> bool:
        """Everything that the budgets ask for has been done."""
        events = self.events()
        done = sum(event["event"] == "finished" for event in events)
        return done >= len(self.config.budgets)

    def extended(self, *, evaluations: int | None, seconds: float | None) -> Run:
        """The same run with a new budget: evaluations in all, seconds from now on."""
        events = self.events()
        spent = max((event.get("t", 0.0) for event in events), default=0.0)
        budget = Budget(evaluations, None, None if seconds is None else spent + seconds)
        before = self.config.budgets if self.finished() else self.config.budgets[:-1]
        return self._with(replace(self.config, budgets=(*before, budget)))

    def with_budget(self, wanted: Budget) -> Run:
        """The same run with a further budget, where it has not had this one yet.

        Raises UserError for what is neither a number of evaluations nor a time.
        """
        if wanted in self.config.budgets:
            return self
        if wanted != Budget(evaluations=wanted.evaluations, seconds=wanted.seconds):
            raise UserError(f"a run goes on to a number of evaluations or for a time, and not by {wanted}")
        return self.extended(evaluations=wanted.evaluations, seconds=wanted.seconds)

    def with_data(self, place: str) -> Run:
        """The same run with its data somewhere else. Raises UserError where they are other data there, or the run has
        none that lie anywhere."""
        fields = self.config.data or {}
        if not isinstance(fields.get("source"), dict):
            raise UserError(f"{self.directory} has no data that could lie somewhere else")
        source = fields["source"] | {"name": str(Path(place).resolve())}
        run = self._with(replace(self.config, data=fields | {"source": source, "fingerprint": None}))
        found = run.require_data()
        if found is None or found.identified().fingerprint != fields["fingerprint"]:
            raise UserError(f"{place} holds other data than those that {self.directory} was begun with")
        return self._with(replace(self.config, data=fields | {"source": source}))

    def require_data(self) -> Task | None:
        """The task, whose data are there. Raises UserError where they are not."""
        try:
            if self.task is not None:
                _ = self.task.counts
            return self.task
        except UserError as error:
            raise UserError(f"{error}; where they have moved, go on with evonas resume {self.directory} --data "
                            "PATH") from None  # fmt: skip

    def moved(self, **where: Any) -> Run:
        """The same run with other workers, executor, device...; None leaves a field as it is."""
        config = replace(self.config, **{name: value for name, value in where.items() if value is not None})
        return self._with(config)

    def _with(self, config: Config) -> Run:
        return Run(self.directory, config, self.brought, trust=self.trust)

    # ---- what was found -------------------------------------------------------------------------------------------

    @property
    def best(self) -> Found:
        """The best of the search by its first objective: the mean over the evaluations of its genome.

        Raises UserError where nothing has been evaluated yet.
        """
        found = best_of(self.records(), next(iter(self.config.objectives.values())), apart=self.config.inherit)
        if found is None:
            raise UserError(f"{self.directory}: no network has been evaluated yet; go on with the search")
        return self[found.id]

    @property
    def front(self) -> list[Found]:
        """The networks of the search that no other one beats in all objectives (the Pareto front), best first."""
        return [Found(self, record) for record in pareto_front(self.records(), self.config.objectives)]

    def finalist(self, role: str = "winner") -> TrainedNetwork | None:
        """The winner as it was trained in the end, or what it was held against (reference, random_search); None: it is
        not there. Raises UserError where it is damaged."""
        folder = self.directory / FOLDERS.get(role, role)
        return TrainedNetwork.open(folder) if TrainedNetwork.exists(folder) else None

    def __getitem__(self, number: int) -> Found:
        """Raises UserError for an id that the run does not have."""
        records = {record["id"]: record for record in self.records()}
        if number not in records:
            known = f"ids are 0 to {max(records)}" if records else "it has none yet"
            raise UserError(f"{self.directory} has no individual {number}: {known}; see 'evonas show {self.directory}'")
        return Found(self, records[number])

    def plot(self) -> list[Path]:
        """Draw the pictures of the run into plots/, and report.html, from the journal alone."""
        from evonas.reports.report import draw  # and matplotlib, which takes as long as a small training

        return draw(self)
