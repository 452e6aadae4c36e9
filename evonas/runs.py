"""A run: a directory, what is done in it, and in which order.

config.json      everything that was chosen, with versions and device
journal.jsonl    every event; the truth from which all else can be made again
summary.json     the winner beside its baselines
best/            the winner: code.txt, graph.json, weights.safetensors, preprocessing.json
plots/           pictures
"""

from __future__ import annotations

import io
import json
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from evonas.data import Source, load
from evonas.errors import RunError, UserError
from evonas.evaluation import Genome, Outcome
from evonas.evaluation.trained import TrainedAccuracy
from evonas.executors import Processes, Serial
from evonas.individual import Individual
from evonas.journal import Event, Journal, read
from evonas.loop import Budget, Loop, Part
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.strategies.listed import Listed
from evonas.strategies.random_search import RandomSearch
from evonas.streams import stream
from evonas.systems import Setup, system

FINAL_MARGIN = 1.15  # final training beside the reference network is a little slower than an epoch of the search


@dataclass(frozen=True, kw_only=True)
class Config:
    """What was chosen for a run. `budgets` grows by one each time a finished run is taken further."""

    system: str
    preset: str
    settings: dict[str, Any]
    source: Source
    seed: int
    budgets: tuple[Budget, ...]
    workers: int
    device: str
    precision: str
    timeout_s: float | None = None
    baseline: bool = True

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UserError(f"workers is {self.workers}; use at least 1")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UserError(f"timeout is {self.timeout_s} s; use more than 0")

    def setup(self) -> Setup:
        """The set-up, fitted to the data."""
        data = load(self.source)
        preset = system(self.system).preset(self.preset)
        return preset.fitted_having(data.input_shape, len(data.classes), self.settings)

    def to_json(self) -> dict[str, Any]:
        packages = ("evonas", "torch", "torchvision", "deap", "numpy", "scikit-learn")
        versions = {name: metadata.version(name) for name in packages}
        return asdict(self) | {"versions": {"python": platform.python_version(), **versions}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Config:
        chosen = {key: value for key, value in data.items() if key != "versions"}
        budgets = tuple(Budget(**budget) for budget in data["budgets"])
        return cls(**chosen | {"source": Source(**data["source"]), "budgets": budgets})


class Observer(Protocol):
    """What wants to know how a run goes on."""

    def part(self, name: str, space: Space, budget: Budget, already: int) -> None: ...

    def event(self, event: Event, replayed: bool) -> None: ...


class Run:
    """A run directory. `Run.new` makes one, `Run.open` opens one; `go` does what is left to do."""

    def __init__(self, directory: Path, config: Config) -> None:
        self.directory, self.config = directory, config

    @classmethod
    def new(cls, directory: Path, config: Config) -> Run:
        """Raises UserError where the directory holds another run or cannot be written."""
        if (directory / "config.json").exists() or (directory / "journal.jsonl").exists():
            raise UserError(f"{directory} holds another run; go on with 'evonas resume {directory}', or choose another "
                            "--out")  # fmt: skip
        config.setup()  # whatever is wrong with the settings is said before anything is written
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the directory {directory}: {error.strerror}; choose another --out") from None
        run = cls(directory, config)
        try:
            run.write_config()
        except RunError as error:
            raise UserError(f"{error}; choose another --out") from error
        return run

    @classmethod
    def open(cls, directory: Path) -> Run:
        """Raises UserError where there is no run."""
        path = directory / "config.json"
        try:
            return cls(directory, Config.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{directory} holds no run: there is no {path.name}; name the --out of a search") from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} cannot be read ({error}); put the original back") from None

    def write_config(self) -> None:
        write_json(self.directory / "config.json", self.config.to_json())

    @property
    def journal_path(self) -> Path:
        return self.directory / "journal.jsonl"

    def records(self) -> list[dict[str, Any]]:
        """One dict an evaluation: what was asked, joined with what was told (absent while it is in flight)."""
        records: dict[int, dict[str, Any]] = {}
        for _, event in read(self.journal_path)[0]:
            if event["event"] == "asked":
                records[event["id"]] = event
            elif event["event"] == "told":
                records[event["id"]] |= event
        return list(records.values())

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
        return Run(self.directory, replace(self.config, budgets=(*before, budget)))

    def plot(self) -> list[Path]:
        """Draw the pictures of the run into plots/, from the journal alone."""
        from evonas import plots

        setup, records = self.config.setup(), self.records()
        title = f"{self.config.system} on {self.config.source.name}, seed {self.config.seed}"
        pictures = {"history.png": plots.history(records, title=title)}
        winners = [record for record in records if record["role"] == "winner"]
        if winners:
            genome = winners[-1]["genome"]
            graph = setup.space.decode(genome).simplified()
            pictures["winner.png"] = plots.architecture(graph, title=f"the winner, {setup.space.format(genome)}")
        for name, figure in pictures.items():
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=150)
            write_bytes(self.directory / "plots" / name, drawn.getvalue())
        return [self.directory / "plots" / name for name in pictures]

    # ---- what is done ---------------------------------------------------------------------------------------------

    def go(self, observer: Observer, *, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
        """Search, final training of the winner and the reference, random search, its final training; the summary.

        What the journal holds is replayed, and what is left is done. Raises JournalError, RunError; on
        KeyboardInterrupt workers are ended and the run can be resumed.
        """
        executor: Executor = Processes(self.config.workers) if self.config.workers > 1 else Serial()
        journal = None
        try:
            journal = Journal(self.journal_path, self.config.setup().space.to_json(), clock=clock)
            summary = _Conduct(self, journal, executor, observer).go()
            executor.shutdown()
            return summary
        except BaseException:  # Ctrl-C too: workers end at once, then it goes on upwards
            executor.shutdown(wait=False)
            raise
        finally:
            if journal is not None:
                journal.close()


class _Conduct:
    """The order of a run, read from top to bottom."""

    def __init__(self, run: Run, journal: Journal, executor: Executor, observer: Observer) -> None:
        self.run, self.config, self.journal, self.observer = run, run.config, journal, observer
        self.setup = self.config.setup()
        self.system = system(self.config.system)
        self.data = load(self.config.source)
        self.reference = self.system.reference(self.data.input_shape, len(self.data.classes))
        self.loop = Loop(journal, executor, self.config.workers, on_event=observer.event, on_outcome=self._keep_winner)
        self.tested: dict[str, Outcome] = {}  # by role

    def go(self) -> dict[str, Any]:
        seed, space = self.config.seed, self.setup.space
        search = Part("search", self.system.strategy(space, self.setup.strategy, seed), self._proxy)
        random = RandomSearch(space, rng=stream(seed, "random search"))
        baseline = Part("baseline", Listed([_individual("reference", ())], then=random), self._proxy)
        summary: dict[str, Any] = {}
        for budget in self.config.budgets:
            self.observer.part("search", space, budget, len(search.asked))
            self.loop.run(search, budget, reserve_s=lambda: self._final_seconds(search))
            winner = _best(search)
            rivals: dict[str, Any] = {}
            if not self.config.baseline:
                self._test(_individual("winner", winner.genome, winner.id))
            else:
                self._test(_individual("winner", winner.genome, winner.id), _individual("reference", ()))
                as_many = Budget(len(search.outcomes) + 1)  # and the reference
                self.observer.part("baseline", space, as_many, len(baseline.asked))
                self.loop.run(baseline, as_many)
                lucky = _best(baseline)
                self._test(_individual("random_search", lucky.genome, lucky.id))
                by_hand = next(baseline.told())[1]
                rivals = {
                    "random_search": self._result("random_search", lucky.genome, lucky.value),
                    "reference": self._result("reference", (), by_hand.values[0] if by_hand.values else None),
                }
            summary = self._summary(search, self._result("winner", winner.genome, winner.value), rivals)
            self._write_down(summary)
            self.loop.finish()
        return summary

    def _test(self, *individuals: Individual) -> None:
        part = Part("final", Listed(individuals), self._final)
        self.observer.part("final", self.setup.space, Budget(len(individuals)), 0)
        self.loop.run(part, Budget())
        self.tested |= {individual.role or "": outcome for individual, outcome in part.told()}

    # ---- evaluations ----------------------------------------------------------------------------------------------

    def _proxy(self, individual: Individual) -> TrainedAccuracy:
        """As a search sees a network: the search recipe, the validation part, the time limit."""
        return self._trained(individual, self.setup.recipe, timeout_s=self.config.timeout_s)

    def _final(self, individual: Individual) -> TrainedAccuracy:
        """As the table shows a network: the final recipe, all but the test part, which is read, once."""
        return self._trained(individual, self.setup.final, final=True)

    def _trained(self, individual: Individual, recipe: Recipe, **limits: Any) -> TrainedAccuracy:
        config = self.config
        return TrainedAccuracy(
            space=self._space(individual.role),
            source=config.source,
            recipe=recipe,
            seed=config.seed,
            device=config.device,
            precision=config.precision,
            **limits,
        )

    def _space(self, role: str | None) -> Space:
        return self.reference if role == "reference" else self.setup.space

    def _final_seconds(self, search: Part) -> float:
        """An estimate of the final training of the best network so far, from what its search evaluation took."""
        told = [outcome for _, outcome in search.told() if outcome.values and outcome.epochs]
        if not told:
            return 0.0
        best = max(told, key=lambda outcome: outcome.values[0])
        train, validation = len(self.data.y_train), len(self.data.y_validation)
        return FINAL_MARGIN * best.seconds / best.epochs * self.setup.final.epochs * (train + validation) / train

    def _keep_winner(self, individual: Individual, outcome: Outcome) -> None:
        """The winner's weights are on disk before the journal says that it was trained."""
        if individual.role != "winner" or outcome.weights is None:
            return
        best, space = self.run.directory / "best", self.setup.space
        write_text(best / "code.txt", space.format(individual) + "\n")
        write_json(best / "graph.json", space.decode(individual).simplified().to_json())
        write_json(
            best / "preprocessing.json",
            {"mean": self.data.mean, "std": self.data.std, "classes": self.data.classes},
        )
        write_bytes(best / "weights.safetensors", outcome.weights)

    # ---- the end --------------------------------------------------------------------------------------------------

    def _result(self, role: str, genome: Genome, validation_accuracy: float | None) -> dict[str, Any]:
        outcome, space = self.tested[role], self._space(role)
        graph = space.decode(genome)
        return {
            "code": space.format(genome),
            "validation_accuracy": validation_accuracy,
            "test_accuracy": outcome.values[0] if outcome.values else None,
            "parameters": graph.parameters,
            "multiply_adds": graph.multiply_adds,
            "error": outcome.error,
        }

    def _summary(self, search: Part, winner: dict[str, Any], rivals: dict[str, Any]) -> dict[str, Any]:
        failures = [outcome for outcome in search.outcomes.values() if outcome.failed]
        return {
            "system": self.config.system,
            "preset": self.config.preset,
            "data": self.config.source.name,
            "seed": self.config.seed,
            "evaluations": len(search.outcomes),
            "trained": search.trained,
            "failed": len(failures),
            "ended_because": search.ended_because,
            "wall_s": round(self.journal.seconds, 1),
            "winner": winner,
            **rivals,
        }

    def _write_down(self, summary: dict[str, Any]) -> None:
        write_json(self.run.directory / "summary.json", summary)
        self.run.plot()


@dataclass(frozen=True)
class _Best:
    genome: tuple
    value: float
    id: int


def _best(part: Part) -> _Best:
    """The genome with the best mean over its evaluations; the earlier one where two are equal."""
    values: dict[tuple, list[float]] = defaultdict(list)
    ids: dict[tuple, int] = {}
    for individual, outcome in part.told():
        if outcome.values and individual.role is None:
            values[tuple(individual)].append(outcome.values[0])
            ids.setdefault(tuple(individual), individual.id or 0)
    if not values:
        reasons = {outcome.reason for outcome in part.outcomes.values()} or {"the budget was spent before the first"}
        raise RunError(f"no network of the {part.phase} could be trained ({'; '.join(sorted(map(str, reasons)))}); "
                       "resume with a larger budget, or begin anew with other settings")  # fmt: skip
    means = {genome: sum(found) / len(found) for genome, found in values.items()}
    best = max(means, key=means.__getitem__)
    return _Best(best, means[best], ids[best])


def _individual(role: str, genome: Genome, parent: int | None = None) -> Individual:
    individual = Individual(genome)
    individual.role, individual.operator = role, role
    individual.parents = () if parent is None else (parent,)
    return individual


# ---- files: each is whole or absent ---------------------------------------------------------------------------------


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once. Raises RunError when it cannot be written, as on a full disk."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; make room or give permission, then resume") from error
