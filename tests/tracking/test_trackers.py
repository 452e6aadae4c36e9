"""What a tracker hears, and what becomes of a search whose tracker fails."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import evonas
from evonas.commands.main import cli
from evonas.errors import UserError
from evonas.genomes.genet import DIGITS
from evonas.run.config import read
from evonas.tracking import named
from evonas.tracking.candidates import BestSoFar, Candidates


class Notes:
    """A tracker that remembers what it was told."""

    def __init__(self):
        self.begun, self.events, self.summaries = [], [], []

    def begin(self, run):
        self.begun.append(run)

    def heard(self, event, replayed):
        self.events.append((event, replayed))

    def ended(self, summary):
        self.summaries.append(summary)

    def ids(self, kind="told"):
        return [event["id"] for event, _ in self.events if event["event"] == kind]


def search(out, track, budget=6, **given):
    options = {"workers": 1, "progress": False, "report": False, "resume": True, "settings": {"population": 3}} | given
    return evonas.search(DIGITS, evaluate=sum, budget=budget, out=out, track=track, **options)


# ---- The contract ----


def test_a_tracker_hears_of_the_run_of_each_event_and_of_the_end(tmp_path):
    notes = Notes()
    run = search(tmp_path / "run", notes)
    (facts,) = notes.begun
    assert (facts.name, dict(facts.objectives), facts.folder) == ("run", {"fitness": 1.0}, tmp_path / "run/tracking")
    journal = [{**event, "check": None} for event in run.events() if event["event"] not in ("run", "finished")]
    assert [{**event, "check": None} for event, _ in notes.events] == journal
    assert notes.ids() == notes.ids("asked") == [0, 1, 2, 3, 4, 5]
    assert not any(replayed for _, replayed in notes.events)
    assert [summary["evaluations"] for summary in notes.summaries] == [6]


def test_when_a_run_goes_on_its_past_is_replayed_to_the_tracker(tmp_path):
    search(tmp_path / "run", None)
    notes = Notes()
    search(tmp_path / "run", notes, budget=9)
    told = [(event["id"], replayed) for event, replayed in notes.events if event["event"] == "told"]
    assert told == [*((id, True) for id in range(6)), *((id, False) for id in range(6, 9))]


def test_a_tracker_cannot_change_what_the_search_is_told(tmp_path):
    class Meddler(Notes):
        def heard(self, event, replayed):
            event.clear()

    assert (
        search(tmp_path / "with", Meddler()).records()[-1]["genome"]
        == search(tmp_path / "without", None).records()[-1]["genome"]
    )


@pytest.mark.parametrize("call", ["begin", "heard", "ended"])
def test_a_tracker_that_fails_is_named_once_and_the_search_and_the_others_go_on(tmp_path, capsys, call):
    class Broken(Notes):
        pass

    def fail(self, *args):
        raise ZeroDivisionError("no luck")

    setattr(Broken, call, fail)
    notes = Notes()
    run = search(tmp_path / "run", [Broken(), notes], progress=True)
    assert len(run.records()) == 6
    assert run.summary is not None
    assert notes.ids() == [0, 1, 2, 3, 4, 5]
    said = capsys.readouterr().out
    assert said.count("the tracker Broken stops, and the search goes on without it: ZeroDivisionError: no luck") == 1


def test_an_interrupted_session_ends_its_trackers_without_a_summary(tmp_path):
    class Impatient(Notes):
        def heard(self, event, replayed):
            super().heard(event, replayed)
            if len(self.ids()) == 3:
                raise KeyboardInterrupt

    tracker = Impatient()
    assert search(tmp_path / "run", tracker).interrupted
    assert tracker.summaries == [None]
    notes = Notes()
    search(tmp_path / "run", notes)
    assert notes.ids() == [0, 1, 2, 3, 4, 5]


def test_what_is_no_tracker_is_refused_before_anything_is_written(tmp_path):
    class Half:
        def begin(self, run): ...

    for given, says in (
        (Half(), "it has no heard, no ended"),
        (Notes, "it is a class; give an object"),
        ("tensorbord", "there is no tracker 'tensorbord'; use tensorboard"),
        (3, "is no tracker"),
    ):
        with pytest.raises(UserError, match=says):
            search(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def test_a_missing_library_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"tensorboard is not installed; `pip install 'evonas\[tensorboard\]'`"):
        search(tmp_path / "run", "tensorboard")
    command = ["search", "genet", "--track", "tensorboard", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(cli, command)
    assert isinstance(done.exception, UserError) or "evonas[tensorboard]" in done.output
    assert not (tmp_path / "run").exists()


def test_a_config_that_knows_of_no_trackers_is_read(tmp_path):
    run = search(tmp_path / "run", None)
    file = run.directory / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("track") == []
    file.write_text(json.dumps(config))
    assert read(run.directory).track == ()
    assert len(search(tmp_path / "run", Notes(), budget=8).records()) == 8


def test_nothing_of_a_tracker_is_loaded_unasked():
    code = (
        "import sys, evonas.api; print([m for m in ('tensorboard', 'optuna', 'trackio', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- What candidates are ----


def asked(id, key="a#0", role=None, **more):
    return {"event": "asked", "id": id, "key": key, "phase": "search", "role": role, "t": 1.5} | more


def told(id, *values, status="full", **more):
    return {
        "event": "told",
        "id": id,
        "values": list(values),
        "status": status,
        "curve": [],
        "cost": {"epochs": 1},
    } | more


def test_a_candidate_is_what_was_asked_with_what_was_told_and_a_rejected_one_is_none():
    candidates = Candidates()
    assert candidates.hear(asked(0)) is None
    assert candidates.hear(asked(1, key="")) is None
    assert candidates.hear(told(1, status="rejected")) is None
    first = candidates.hear(told(0, 0.5, curve=[0.4, 0.5], waits=True))
    assert (first["phase"], first["values"], first["had"], first["results"]) == ("search", [0.5], 0, 1)
    assert (first["began"], first["waits"]) == (1.5, True)
    again = candidates.hear(told(0, 0.7, curve=[0.4, 0.5, 0.7]))
    assert (again["had"], again["results"], candidates.told["search"]) == (2, 2, 2)
    assert again["cost"] == {"epochs": 2}
    assert "waits" not in again


def test_the_best_so_far_is_of_whole_trainings_once_there_is_one():
    best = BestSoFar(-1)
    results = [
        ({"values": [], "status": "failed"}, None),
        ({"values": [3.0], "status": "partial", "reached": 2}, 3.0),
        ({"values": [4.0], "status": "partial", "reached": 4}, 4.0),  # further
        ({"values": [1.0], "status": "partial", "reached": 3}, 4.0),
        ({"values": [9.0], "status": "shared"}, 9.0),
        ({"values": [8.0], "status": "full"}, 8.0),
        ({"values": [2.0], "status": "shared"}, 8.0),
        ({"values": [7.0], "status": "full"}, 7.0),
        ({"values": [0.0], "status": "full", "role": "reference"}, 7.0),
    ]
    assert [best.hear({"role": None} | record) for record, _ in results] == [value for _, value in results]
