"""Whole runs whose trainings stop early."""

import pytest

import evonas
from evonas.errors import UserError
from evonas.reports.tables import fact_lines, individual_lines
from evonas.run.budget import Budget
from evonas.run.journal import Journal

SETTINGS = {"population": 3, "search.epochs": 3, "final.epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("fidelity") / "run"
    return evonas.search("genet", "digits", settings=SETTINGS, fidelity="asha:eta=3,least=1", budget=6, workers=1,
                         executor="serial", baseline=True, out=out, progress=False)  # fmt: skip


def test_the_winner_and_the_best_of_the_baseline_are_trained_to_the_end(run):
    records = {record["id"]: record for record in run.records()}
    for phase in ("search", "baseline"):
        statuses = {record["status"] for record in records.values() if record["phase"] == phase}
        assert statuses == {"full", "partial"}
    assert run.best.record["status"] == "full"
    assert run.best.record["cost"]["epochs"] == 3, "of all its rungs"
    whole = [record for record in records.values() if record["status"] == "full"]
    assert not [record for record in whole if record.keys() & {"waits", "checkpoint"}], "as its last report says"


def test_what_was_stopped_is_said_everywhere(run):
    facts = dict(fact_lines(run))
    early = [record for record in run.records() if record["status"] == "partial" and record["phase"] == "search"]
    assert facts["stopped early"].startswith(f"{len([r for r in early if not r['reused']])} of ")
    text = "\n".join(individual_lines(run[early[0]["id"]]))
    assert f"stopped after {early[0]['reached']} of 3 epochs by asha:eta=3,least=1" in text
    assert (run.directory / "plots" / "curves.png").exists()
    assert evonas.open_run(run.directory).config.fidelity == "asha:eta=3,least=1"


def test_a_run_goes_on_with_the_scheduler_that_it_was_begun_with(run):
    arguments = {"settings": SETTINGS, "budget": 6, "workers": 1, "executor": "serial", "baseline": True,
                 "out": run.directory, "progress": False, "resume": True}  # fmt: skip
    with pytest.raises(UserError, match="other fidelity"):
        evonas.search("genet", "digits", fidelity="halving", **arguments)
    again = evonas.search("genet", "digits", fidelity="asha:eta=3,least=1", **arguments | {"budget": 9})
    assert len([record for record in again.records() if record["phase"] == "search"]) == 9
    assert not list((run.directory / "checkpoints").glob("*.partial"))


class Killed(BaseException):
    """Nothing is tidied up on the way out."""


def test_a_guided_search_that_is_killed_between_rungs_ends_as_one_that_is_not(tmp_path, monkeypatch):
    def search(out):
        return evonas.search("genet", "digits", strategy="guided:initial=3", fidelity="asha:eta=2,least=1", budget=16,
                             settings={"search.epochs": 2, "final.epochs": 1}, workers=1, executor="serial", out=out,
                             progress=False, baseline=False, resume=True)  # fmt: skip

    def told(run):
        kept = ("code", "values", "status", "reached", "operator", "proposal")
        return [[record.get(name) for name in kept] for record in run.records()]

    write, written = Journal.append, []

    def kill(journal, event):
        if len(written) == 36:
            raise Killed
        written.append(event)
        return write(journal, event)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", kill)
        with pytest.raises(Killed):
            search(tmp_path / "killed")
    whole, resumed = search(tmp_path / "whole"), search(tmp_path / "killed")
    assert told(resumed) == told(whole)
    assert {"partial", "full"} <= {record["status"] for record in whole.records()}
    assert any(event.get("proposal") for event in written), "it was killed after the predictor had been asked"


@pytest.mark.parametrize(
    ("what", "options", "match"),
    [
        ("genet", {"fidelity": "ahsa"}, "did you mean asha"),
        ("genet", {"fidelity": "asha:least=9", "settings": {"search.epochs": 3}}, "3 epochs"),
        ("large-scale", {"fidelity": "asha"}, "inherit"),
        ("genet", {"fidelity": "asha", "settings": {"search.trainings": 2}}, "trainings=1"),
        ("darts", {"fidelity": "asha"}, "judged in another way"),
        ("genet", {"fidelity": "asha", "evaluate": sum}, "judged in another way"),
    ],
)
def test_where_trainings_cannot_stop_and_go_on_a_scheduler_is_refused(tmp_path, what, options, match):
    with pytest.raises(UserError, match=match):
        evonas.search(what, "digits", budget=4, out=tmp_path / "run", progress=False, **options)
    assert not (tmp_path / "run").exists()


def test_a_budget_that_lets_nothing_come_to_its_end_is_said(tmp_path, capsys):
    run = evonas.search("genet", "digits", settings=SETTINGS, fidelity="halving:least=1,candidates=9",
                        budget=Budget(epochs=2), workers=1, executor="serial", out=tmp_path / "run")  # fmt: skip
    assert run.summary["winner"]["validation_accuracy"] > 0
    assert "no training of the search came to its end" in " ".join(capsys.readouterr().out.split())
