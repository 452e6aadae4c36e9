"""How a run stands, for another terminal."""

import fcntl
import json
import subprocess
import sys
import textwrap
import time

import pytest

import evonas
from evonas.reports.status import lines, status
from evonas.run.journal import Journal, JournalError, is_held

SCRIPT = """
import sys, time
import evonas
from evonas.genomes.genet import DIGITS


def slow(genome):
    if genome[0]:
        raise ValueError("no luck")
    time.sleep(0.05 if sum(genome) < 6 else 600)
    return sum(genome)


if __name__ == "__main__":
    evonas.search(DIGITS, evaluate=slow, budget=1000, workers=2, out=sys.argv[1], progress=False, resume=True)
"""


def test_a_run_is_watched_while_it_goes_on_and_after_it_was_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path / "run")])
    try:
        deadline = time.monotonic() + 120
        found = {}
        while not (found.get("busy") == 2 and found["evaluations"] and all(e["age_s"] > 3 for e in found["in_flight"])):
            # until both are asleep: one that is not takes a twentieth of a second, on a busy machine more
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
            if (tmp_path / "run" / "journal.jsonl").exists():
                found = status(evonas.open_run(tmp_path / "run"))
        assert (found["state"], found["phase"], found["idle"]) == ("running", "search", 0)
        assert 0 < found["utilisation"] <= 1
        assert found["failures"].get("error", 0) == found["evaluations"] - sum(
            record["status"] == "full" for record in evonas.open_run(tmp_path / "run").records() if "status" in record
        )
        command = [sys.executable, "-m", "evonas", "status", str(tmp_path / "run"), "--json"]
        assert json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["busy"] == 2
        second = subprocess.run([sys.executable, str(script), str(tmp_path / "run")], capture_output=True, text=True)
        assert "another process is at work on" in second.stderr
    finally:
        process.kill()
        process.wait()
    while is_held(tmp_path / "run" / "journal.jsonl"):  # its workers end a moment later
        assert time.monotonic() < deadline
        time.sleep(0.1)
    after = status(evonas.open_run(tmp_path / "run"))
    assert (after["state"], after["busy"]) == ("stopped", 0)
    assert len(after["in_flight"]) == 2
    assert after["evaluations"] == found["evaluations"]
    told = list(lines(evonas.open_run(tmp_path / "run"), after))
    assert any(line.startswith("to be repeated: ") for line in told)
    assert told[-1] == "to go on: run its script or notebook again with resume=True"


def test_where_no_worker_has_come_nothing_is_at_work(tmp_path):
    """As of a search whose workers are to join by hand."""
    run = evonas.search("genet", evaluate=sum, budget=2, workers=1, out=tmp_path / "run", progress=False)
    config = json.loads((run.directory / "config.json").read_text()) | {"executor": "remote", "workers": 2}
    (run.directory / "config.json").write_text(json.dumps(config))
    (run.directory / "summary.json").unlink()
    journal = run.directory / "journal.jsonl"
    whole = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(whole[: next(place for place, line in enumerate(whole) if '"told"' in line)]))
    with journal.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = status(evonas.open_run(run.directory), now=time.time() + 100)
    assert (found["state"], found["busy"], found["joined"], found["utilisation"]) == ("running", 0, 0, 0.0)
    assert found["waiting"] == len(found["in_flight"]) > 0
    told = list(lines(run, found))
    assert f"{found['waiting']} of the evaluations in flight wait for a worker to come" in told
    assert not any("each generation waits" in line for line in told)


def test_a_finished_run_says_so_and_names_its_best(tmp_path):
    run = evonas.search("genet", evaluate=sum, budget=6, workers=1, out=tmp_path / "run", progress=False)
    found = status(run)
    assert (found["state"], found["in_flight"], found["busy"]) == ("finished", [], 0)
    assert found["evaluations"] == 6
    assert found["best"]["fitness"] == run.best.values["fitness"]
    assert found["a_minute"]["whole"] > 0
    assert found["failures"] == {}


def test_a_journal_is_held_by_one_process_at_a_time(tmp_path):
    path = tmp_path / "journal.jsonl"
    first = Journal(path, {"name": "space"}, clock=time.monotonic)
    assert is_held(path)
    with pytest.raises(JournalError, match="another process is at work"):
        Journal(path, {"name": "space"}, clock=time.monotonic)
    first.close()
    assert not is_held(path)
    Journal(path, {"name": "space"}, clock=time.monotonic).close()


@pytest.mark.parametrize(("strategy", "generational"), [("genet:population=4", True), ("aging:population=4", False)])
def test_it_is_said_where_workers_wait_for_generations(strategy, generational, tmp_path):
    run = evonas.search("genet", evaluate=sum, strategy=strategy, budget=8, workers=1, out=tmp_path / "run",
                        progress=False)  # fmt: skip
    found = status(run) | {"workers": 2}
    assert found["generational"] is generational
    assert any("each generation waits" in line for line in lines(run, found | {"utilisation": 0.5})) is generational
    assert not any("each generation waits" in line for line in lines(run, found | {"utilisation": 0.9}))
