"""A search with a target in milliseconds: its table, what it proposes, and what the winner is said to take."""

import json
import shutil
from dataclasses import replace

import pytest

import evonas
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation import latencies as parcels
from evonas.evaluation.latencies import Latencies
from evonas.evaluation.training import Training
from evonas.latency import LatencyTable, table
from evonas.reports.tables import verdict
from evonas.support.streams import stream

QUICK = {"epochs": 2, "beginning": 1, "final.epochs": 1, "widths": (8,), "depths": (2,), "strides": (2,), "stem": 8}
FAR = 1e4  # ms: no machine is so busy


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("target") / "run"
    return evonas.search("fbnet", "digits", settings=QUICK, target_ms=FAR, out=out, progress=False, device="cpu")


def test_the_table_is_measured_before_the_search_and_lies_in_its_directory(found):
    config = json.loads((found.directory / "config.json").read_text())
    assert config["limits"] == {
        "parameters": None, "multiply_adds": None, "latency_ms": FAR, "latencies": "latency.json"
    }  # fmt: skip
    assert found.config.limits.latencies == str(found.directory / "latency.json")
    assert table(found.config.limits.latencies).of(found.best.graph) > 0


def test_the_winner_is_told_with_what_it_takes(found):
    taken = found.summary["latencies"]
    assert taken["target"] == FAR
    winner = taken["networks"][0]
    assert winner["predicted"] == pytest.approx(table(found.config.limits.latencies).of(found.best.graph), abs=1e-4)
    assert winner["measured"] > 0
    assert any("had been predicted, and the target was" in sentence for sentence in verdict(found.summary))
    assert (found.directory / "plots" / "latencies.png").exists()


def test_a_run_that_was_moved_finds_its_table_again(found, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(found.directory, moved)
    again = evonas.open_run(moved)
    assert again.config.limits.latencies == str(moved / "latency.json")
    assert again.config.limits.keeps(again.best.graph)


def test_what_was_begun_with_a_table_is_resumed_with_it(found, tmp_path, monkeypatch):
    """The search that is gone on with derives what it has derived, and measures no other table."""
    shutil.copytree(found.directory, tmp_path / "run")
    before = (tmp_path / "run" / "latency.json").read_bytes()
    (tmp_path / "run" / "summary.json").unlink()
    again = evonas.search("fbnet", "digits", settings=QUICK, target_ms=FAR, out=tmp_path / "run", progress=False,
                          device="cpu", resume=True)  # fmt: skip
    assert (tmp_path / "run" / "latency.json").read_bytes() == before
    assert again.summary["winner"]["code"] == found.summary["winner"]["code"]
    predicted = [run.summary["latencies"]["networks"][0]["predicted"] for run in (found, again)]
    assert predicted[0] == predicted[1]


def test_a_target_that_no_network_keeps_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"none of .* keeps the limits; .*, the quickest took .* ms"):
        evonas.search("fbnet", "digits", settings=QUICK, target_ms=1e-6, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_nothing_is_measured_where_the_table_is_of_another_machine(found, tmp_path):
    other = json.loads((found.directory / "latency.json").read_text()) | {"machine": "a phone"}
    (tmp_path / "phone.json").write_text(json.dumps(other))
    run = evonas.search("fbnet", "digits", settings=QUICK, target_ms=FAR, latencies=tmp_path / "phone.json",
                        out=tmp_path / "run", progress=False, device="cpu")  # fmt: skip
    assert run.summary["latencies"] is None


def a_phone(found, tmp_path):
    """The table of a device that is a thousand times as slow."""
    other = json.loads((found.directory / "latency.json").read_text()) | {"machine": "a phone", "scale": 1000.0}
    (tmp_path / "phone.json").write_text(json.dumps(other))
    return tmp_path / "phone.json"


def test_latency_as_an_objective_is_read_in_the_table_of_a_device_that_is_not_here(found, tmp_path):
    phone = a_phone(found, tmp_path)
    sizes = {name: value for name, value in QUICK.items() if name != "beginning"}
    given = {"objectives": "accuracy,latency", "strategy": "random", "budget": 3, "settings": sizes, "workers": 1,
             "latencies": phone, "progress": False, "report": False}  # fmt: skip
    run, again = (evonas.search("fbnet", "digits", out=tmp_path / name, **given) for name in ("run", "again"))
    told = [(each.values["latency"], table(str(phone)).of(each.graph)) for each in run.front]
    assert told
    assert all(said == pytest.approx(read, abs=1e-4) for said, read in told)
    assert [each.values for each in again.front] == [each.values for each in run.front]  # nothing is measured


def test_a_given_table_stays_as_it_was_when_the_run_was_begun(found, tmp_path):
    phone, sizes = a_phone(found, tmp_path), {name: value for name, value in QUICK.items() if name != "beginning"}
    given = {"objectives": "accuracy,latency", "strategy": "random", "settings": sizes, "workers": 1,
             "latencies": phone, "progress": False, "report": False, "out": tmp_path / "run"}  # fmt: skip
    run = evonas.search("fbnet", "digits", **given, budget=2)
    before = table(run.config.limits.latencies)
    assert before == LatencyTable.read(phone)
    phone.write_text(json.dumps(json.loads(phone.read_text()) | {"scale": 5.0}))  # measured anew
    with pytest.raises(UserError, match="holds a run with another table of latencies"):
        evonas.search("fbnet", "digits", **given, budget=4, resume=True)
    phone.unlink()
    on = evonas.search("fbnet", "digits", **given | {"latencies": None}, budget=4, resume=True)
    read = [before.of(record.graph) for record in on.front]
    assert [record.values["latency"] for record in on.front] == [pytest.approx(each, abs=1e-4) for each in read]


def test_a_worker_that_cannot_read_the_table_is_sent_it_once(found, tmp_path):
    """As on a host with another disk."""
    phone = Latencies.at(a_phone(found, tmp_path))
    recipe = replace(found.problem.search, epochs=1)
    there = Training(found.task, recipe, 0, ("accuracy", "latency"), latencies=phone)
    candidate = Candidate(found.space.random(stream(0, "candidate")), found.space)
    candidate.identity = there.identity(candidate)  # by the root, which has the table
    phone.file.rename(tmp_path / "elsewhere.json")
    parcels._opened.cache_clear()
    lacking = there(candidate)
    assert lacking.reason.startswith("lacks: phone.json cannot be read")
    (tmp_path / "elsewhere.json").rename(phone.file)
    job = there.once_more(candidate, 0, lacking)
    phone.file.unlink()
    assert job().values[1] == pytest.approx(phone.table.of(candidate.graph), abs=1e-4)
    assert there(candidate).values == job().values  # it has it now
    assert job.evaluator.once_more(candidate, 0, lacking) is None


def test_a_table_that_nothing_asks_for_is_refused(found, tmp_path):
    with pytest.raises(UserError, match="a table of latencies is for a target or for an objective"):
        evonas.search("genet", "digits", latencies=found.directory / "latency.json", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
