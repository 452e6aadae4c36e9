"""Trials, read by Optuna itself."""

import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'evonas[optuna]'")

import optuna
from click.testing import CliRunner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import evonas
from evonas.commands.main import cli
from evonas.genomes.genet import DIGITS

COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING


def search(out, budget=6, evaluate=sum, track="optuna", **given):
    options = {"workers": 1, "progress": False, "report": False, "resume": True, "settings": {"population": 3}} | given
    return evonas.search(DIGITS, evaluate=evaluate, budget=budget, out=out, track=track, **options)


def study_of(run, phase="search"):
    storage = JournalStorage(JournalFileBackend(str(run.directory / "tracking/optuna.journal")))
    return optuna.load_study(storage=storage, study_name=f"{run.config.system} {phase}")


def told(study):
    """What each trial says of its candidate, without times."""
    return [
        (trial.user_attrs["id"], trial.state, trial.values, trial.params, trial.user_attrs["code"])
        for trial in study.trials
    ]


def test_each_candidate_is_a_trial_with_its_genome_values_and_origin(tmp_path):
    run = search(tmp_path / "run", budget=9)
    trials = study_of(run).trials
    for trial, record in zip(trials, run.records(), strict=True):
        assert (trial.state, trial.values) == (COMPLETE, record["values"])
        assert trial.params == DIGITS.answers(record["genome"])
        said = {name: trial.user_attrs[name] for name in ("id", "code", "operator", "parents", "generation")}
        assert said == {name: record[name] for name in said}
    assert [trial.number for trial in trials] == list(range(9))
    assert any(trial.user_attrs["parents"] for trial in trials)


def test_objectives_are_directions_and_the_front_is_optunas(tmp_path):
    def two(genome):
        return sum(genome[:5]), sum(genome)

    run = search(tmp_path / "run", budget=12, evaluate=two, objectives={"links": 1, "size": -1}, strategy="nsga2",
                 settings={"population": 4})  # fmt: skip
    study = study_of(run)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["links", "size"]
    front = {tuple(trial.values) for trial in study.best_trials}
    assert front == {tuple(found.values.values()) for found in run.front}


def test_optuna_says_which_decisions_matter(tmp_path):
    run = search(tmp_path / "run", budget=40, evaluate=lambda genome: genome[2], strategy="random", settings={})
    from optuna.importance import PedAnovaImportanceEvaluator

    found = optuna.importance.get_param_importances(study_of(run), evaluator=PedAnovaImportanceEvaluator())
    assert next(iter(found)) == list(DIGITS.answers(run.records()[0]["genome"]))[2]


def test_a_failure_is_a_failed_trial_with_its_reason(tmp_path):
    def unlucky(genome):
        if genome[0]:
            raise ValueError("no luck")
        return sum(genome)

    run = search(tmp_path / "run", evaluate=unlucky, executor="serial")
    failed = [record["id"] for record in run.records() if record["status"] == "failed"]
    assert failed
    trials = study_of(run).trials
    assert [trial.user_attrs["id"] for trial in trials if trial.state is FAIL] == failed
    assert all("no luck" in trials[id].user_attrs["error"] for id in failed)


def test_a_training_in_flight_is_running(tmp_path):
    seen = []

    class Look:
        def begin(self, run): ...

        def heard(self, event, replayed):
            if event["event"] == "told":
                seen.append(Counter(state for _, state, *_ in told(study_of(evonas.open_run(tmp_path / "run")))))

        def ended(self, summary): ...

    search(tmp_path / "run", track=["optuna", Look()], workers=2)
    assert seen[0] == {COMPLETE: 1, RUNNING: 1}
    assert seen[-1] == {COMPLETE: 6}


def test_stopped_trainings_are_pruned_and_have_their_curves(tmp_path):
    run = evonas.search("genet", "digits", budget=6, strategy="random", fidelity="asha:eta=2,least=1",
                        settings={"epochs": 4, "final.epochs": 1}, workers=1, out=tmp_path / "run", progress=False,
                        report=False, track="optuna", baseline=False)  # fmt: skip
    trials = study_of(run).trials
    records = run.records()[: len(trials)]
    assert [t.state for t in trials] == [COMPLETE if r["status"] == "full" else PRUNED for r in records]
    assert {t.state for t in trials} == {COMPLETE, PRUNED}
    assert [list(t.intermediate_values.values()) for t in trials] == [r["curve"] for r in records]
    assert [t.values for t in trials] == [r["values"] for r in records]


def test_the_baseline_is_a_study_of_its_own(tmp_path):
    run = search(tmp_path / "run", baseline=True)
    assert len(study_of(run).trials) == len(study_of(run, "baseline").trials) == 6


def test_a_resumed_run_goes_on_with_the_same_trials(tmp_path):
    search(tmp_path / "run", budget=4)
    assert told(study_of(search(tmp_path / "run"))) == told(study_of(search(tmp_path / "at once")))


@pytest.mark.parametrize(("call", "number"), [("heard", 5), ("heard", 6), ("_begin", 4)])
def test_a_killed_run_has_each_candidate_once_in_the_end(tmp_path, call, number):
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path / "run"), "optuna"]
    killed = subprocess.run([*command, call, str(number)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert told(study_of(search(tmp_path / "run"))) == told(study_of(search(tmp_path / "at once")))


def test_a_training_that_was_in_flight_when_the_run_was_interrupted_is_the_same_trial(tmp_path):
    class Impatient:
        def begin(self, run): ...

        def heard(self, event, replayed):
            if event["event"] == "asked" and event["id"] == 2:
                raise KeyboardInterrupt

        def ended(self, summary): ...

    interrupted = search(tmp_path / "run", track=["optuna", Impatient()])
    assert [trial.state for trial in study_of(interrupted).trials] == [COMPLETE, COMPLETE, RUNNING]
    assert told(study_of(search(tmp_path / "run"))) == told(study_of(search(tmp_path / "at once")))


def test_a_line_that_was_cut_off_is_written_anew(tmp_path):
    run = search(tmp_path / "run", budget=4)
    file = run.directory / "tracking/optuna.journal"
    file.write_bytes(file.read_bytes()[:-5])
    assert told(study_of(search(tmp_path / "run"))) == told(study_of(search(tmp_path / "at once")))


def test_a_run_that_was_not_tracked_can_be_shown_afterwards_with_its_times(tmp_path):
    run = search(tmp_path / "run", track=None)
    search(tmp_path / "run")
    trials, records = study_of(run).trials, run.records()
    assert [trial.user_attrs["id"] for trial in trials] == [record["id"] for record in records]
    between = (trials[-1].datetime_complete - trials[0].datetime_complete).total_seconds()
    assert between == pytest.approx(records[-1]["t"] - records[0]["t"], abs=0.01)


def test_the_dashboard_shows_the_trials_the_front_and_what_mattered(tmp_path):
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")

    def two(genome):
        return sum(genome[:5]), sum(genome)

    run = search(tmp_path / "run", budget=20, evaluate=two, objectives={"links": 1, "size": -1}, strategy="nsga2",
                 settings={"population": 4})  # fmt: skip
    storage = JournalStorage(JournalFileBackend(str(run.directory / "tracking/optuna.journal")))
    app, statuses = dashboard.wsgi(storage), []

    def get(path, query=""):
        environment = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "here"}
        environment |= {"SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr}
        environment["wsgi.url_scheme"] = "http"
        return json.loads(b"".join(app(environment, lambda status, headers, *_: statuses.append(status))))

    deadline = time.monotonic() + 20
    while len((found := get("/api/studies/0", "after=0"))["trials"]) < 20:  # it reads in a thread of its own
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert found["directions"] == ["maximize", "minimize"]
    assert {tuple(trial["values"]) for trial in found["best_trials"]} == {tuple(e.values.values()) for e in run.front}
    mattered = get("/api/studies/0/param_importances", "evaluator=ped_anova")["param_importances"]
    assert len(mattered) == 2
    assert {each["name"] for each in mattered[0]} == set(DIGITS.answers(run.records()[0]["genome"]))
    assert set(statuses) == {"200 OK"}


def test_the_command_line_tracks_goes_on_tracking_and_ends_it(tmp_path):
    def evonas_(*words):
        done = CliRunner().invoke(cli, [*words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return evonas.open_run(tmp_path / "run")

    tiny = ["--set", "population=2", "epochs=1", "final.epochs=1", "--no-baseline", "--workers", "1"]
    out = str(tmp_path / "run")
    run = evonas_("search", "genet", "--evaluations", "2", "--out", out, *tiny)
    assert not (run.directory / "tracking").exists()
    run = evonas_("resume", out, "--track", "optuna")  # it is finished
    assert (run.config.track, len(study_of(run).trials)) == (("optuna",), 2)
    run = evonas_("resume", out, "--evaluations", "3")
    assert (run.config.track, len(study_of(run).trials)) == (("optuna",), 3)
    run = evonas_("resume", out, "--evaluations", "4", "--track", "none")
    assert (run.config.track, len(study_of(run).trials)) == ((), 3)
