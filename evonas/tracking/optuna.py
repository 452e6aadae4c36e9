"""A run as trials in a journal of Optuna's, DIR/tracking/optuna.journal: `optuna-dashboard` shows it while it goes on.

The search and its baseline are a study each. Decisions of the genome are a trial's parameters, objectives its values;
operator, parents, code and what was measured are user attributes. Candidates of whole trainings are COMPLETE, those
whose trainings were stopped PRUNED once the phase is over; until then they may go on, and are RUNNING.

By the attribute `id` a candidate is found again, so a resumed run tells each of them once: a trial begins by one line
of the journal and ends by one, and what lies between is the same when it is written again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from evonas.ranking import PARTIAL, RANKED
from evonas.tracking.candidates import Candidates, Record
from evonas.tracking.tracker import Event, RunFacts

STUDIES = ("search", "baseline")  # phases of many candidates
SAID = ("operator", "generation", "parents", "code", "status", "reused", "error")  # of a candidate
COSTS = ("epochs", "seconds")


class Optuna:
    """Begins a trial where a candidate is asked for, and ends it where its result is told.

    What is replayed begins where it is told, at once with its end: then a run that was not tracked before has the times
    that it took.
    """

    def begin(self, run: RunFacts) -> None:
        self.run, self.candidates = run, Candidates()
        self.replayed: dict[int, Record] = {}  # asked for, and not told yet
        file = run.folder / "optuna.journal"
        file.parent.mkdir(parents=True, exist_ok=True)
        _without_torn_line(file)
        self.storage = JournalStorage(JournalFileBackend(str(file)))
        self.studies: dict[str, _Study] = {}

    def heard(self, event: Event, replayed: bool) -> None:
        if not replayed:
            while self.replayed:
                self._begin(self.replayed.pop(next(iter(self.replayed))))
        record = self.candidates.hear(event)
        if event["event"] == "asked" and event["key"] and _is_trial(event):
            if replayed:
                self.replayed[event["id"]] = event
            else:
                self._begin(event)
        elif record is not None and _is_trial(record):
            self.replayed.pop(event["id"], None)
            self._study(record["phase"]).tell(record, self._time(record["began"]), self._time(event["t"]))
        elif event["event"] in ("closed", "ended") and event["id"] in self.studies:
            self._study(event["id"]).stop()

    def ended(self, summary: Mapping[str, Any] | None) -> None:
        """Everything has been written."""

    def _begin(self, asked: Record) -> None:
        self._study(asked["phase"]).begin(asked, self._time(asked["t"]))

    def _time(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.run.began + seconds)

    def _study(self, phase: str) -> _Study:
        if phase not in self.studies:
            self.studies[phase] = _Study(self.storage, phase, self.run)
        return self.studies[phase]


class _Study:
    """The trials of a phase."""

    def __init__(self, storage: JournalStorage, phase: str, run: RunFacts) -> None:
        self.storage, self.run = storage, run
        name = f"{run.config['system']} {phase}"
        with _quiet():
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=["maximize" if weight > 0 else "minimize" for weight in run.objectives.values()],
                load_if_exists=True,
            )
            if study.metric_names is None:
                study.set_metric_names(list(run.objectives))
                study.set_user_attr("run", run.name)
                study.set_user_attr("seed", run.config["seed"])
        self.id = storage.get_study_id_from_name(name)
        trials = [trial for trial in storage.get_all_trials(self.id, deepcopy=False) if "id" in trial.user_attrs]
        self.trials = {trial.user_attrs["id"]: trial._trial_id for trial in trials}
        self.over = {trial.user_attrs["id"] for trial in trials if trial.state.is_finished()}
        self.paused: dict[int, Record] = {}  # trainings that may go on

    def begin(self, asked: Record, time: datetime) -> None:
        if asked["id"] not in self.trials:
            self._create(asked, self._template(asked, TrialState.RUNNING, time))

    def tell(self, record: Record, began: datetime, time: datetime) -> None:
        """What was told of a candidate that was asked for at `began`. A training that a further budget takes up again
        stays as it was told of first: what is over in Optuna cannot change."""
        id, state = record["id"], _state(record)
        if id in self.over:
            return
        self.paused.pop(id, None)
        if state is TrialState.RUNNING:
            self.paused[id] = record
        if id not in self.trials:
            self._create(record, self._template(record, state, began, time))
            return
        trial = self.trials[id]
        for name, value in _attributes(record).items():
            self.storage.set_trial_user_attr(trial, name, value)
        for epoch, value in self._curve(record).items():
            self.storage.set_trial_intermediate_value(trial, epoch, value)
        if state.is_finished():
            self._end(record, state)

    def stop(self) -> None:
        """The phase decides that no training goes on."""
        while self.paused:
            record = self.paused.pop(next(iter(self.paused)))
            self._end(record, TrialState.PRUNED)

    def _end(self, record: Record, state: TrialState) -> None:
        values = None if state is TrialState.FAIL else record["values"]
        self.storage.set_trial_state_values(self.trials[record["id"]], state, values)
        self.over.add(record["id"])

    def _create(self, record: Record, trial: FrozenTrial) -> None:
        self.trials[record["id"]] = self.storage.create_new_trial(self.id, template_trial=trial)
        if trial.state.is_finished():
            self.over.add(record["id"])

    def _template(
        self, record: Record, state: TrialState, began: datetime, ended: datetime | None = None
    ) -> FrozenTrial:
        options = self.run.options(record["genome"])
        trial = create_trial(
            state=state,
            values=record["values"] if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
            params=self.run.answers(record["genome"]),
            distributions={name: CategoricalDistribution(choices) for name, choices in options.items()},
            user_attrs=_attributes(record),
            intermediate_values=self._curve(record),
        )
        trial.datetime_start = began
        if state.is_finished():
            trial.datetime_complete = ended
        return trial

    def _curve(self, record: Record) -> dict[int, float]:
        """By epoch, what was not told before; Optuna has curves of a single objective alone."""
        if len(self.run.objectives) > 1:
            return {}
        return dict(list(enumerate(record.get("curve", ()), 1))[record.get("had", 0) :])


def _is_trial(record: Record) -> bool:
    """What a search has proposed, and not what it is compared with."""
    return record["phase"] in STUDIES and record["role"] is None


def _state(told: Record) -> TrialState:
    """A training that has not come to its end may go on while its phase does."""
    if told["status"] == PARTIAL:
        return TrialState.RUNNING
    if not told["values"] or not all(map(isfinite, told["values"])):
        return TrialState.FAIL
    return TrialState.COMPLETE if told["status"] in RANKED else TrialState.PRUNED


def _attributes(record: Record) -> dict[str, Any]:
    found = {"id": record["id"]} | {name: record[name] for name in SAID if record.get(name) is not None}
    return found | record.get("measures", {}) | {name: record["cost"][name] for name in COSTS if record.get("cost")}


def _without_torn_line(file: Path) -> None:
    """What a process that was killed had begun to write is cut off, as nothing can follow it."""
    lock = JournalFileSymlinkLock(str(file))
    lock.acquire()
    try:
        data = file.read_bytes() if file.exists() else b""
        if not data.endswith(b"\n") and data:
            file.write_bytes(data[: data.rfind(b"\n") + 1])
    finally:
        lock.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Optuna says of studies that it makes, and of metric names, which are new there."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
