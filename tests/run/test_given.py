"""What scripts give a search: numbers of numpy, functions that leave, hang or cannot travel."""

import json
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import evonas
from evonas.commands.main import cli
from evonas.data.shared import shared
from evonas.data.sources import load
from evonas.errors import UserError
from evonas.evaluation import Candidate, Function, Job
from evonas.genomes.genet import DIGITS
from evonas.run.budget import Budget, seconds_of
from evonas.run.journal import Journal, JournalError
from evonas.support import files

TINY = {"population": 2, "epochs": 1, "final.epochs": 1}


def search(tmp_path, evaluate=sum, **given):
    options = {"budget": 4, "workers": 1, "out": tmp_path / "run", "progress": False} | given
    return evonas.search(DIGITS, evaluate=evaluate, **options)


# ---- Numbers and times ----


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, torch.tensor])
def test_whole_numbers_may_be_numpys_or_torchs(tmp_path, kind):
    given = {"seed": kind(1), "budget": kind(4), "workers": kind(1), "threads": kind(1)}
    config = search(tmp_path, settings={"population": kind(2)}, **given).config
    assert (config.seed, config.budgets, config.workers) == (1, (Budget(4),), 1)
    assert config.settings["strategy.population"] == 2
    json.dumps(config.to_json())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seed": None}, "seed is None; use a whole number"),
        ({"seed": 1.5}, "seed is 1.5; use a whole number"),
        ({"seed": True}, "seed is True; use a whole number"),
        ({"budget": "4"}, "'4' is no duration; write 90s, 10m or 1h30m"),
        ({"budget": 4.0}, "budget is 4.0; use a whole number"),
        ({"budget": "²m"}, "'²m' is no duration"),
        ({"budget": "9" * 400 + "s"}, "is no duration"),
        ({"workers": "2"}, "workers is '2'; use a whole number"),
        ({"workers": 10**6, "executor": "processes"}, "workers is 1000000; on this host of"),
        ({"threads": 10**6}, "threads is 1000000; use 1 to 1024"),
        ({"timeout": "60"}, "'60' is no duration"),
        ({"timeout": [60]}, r"timeout is \[60\]; use seconds, or a time such as '90s'"),
        ({"settings": {"population": float("nan")}}, "population is nan; use a whole number"),
        ({"settings": {"crossover_rate": float("inf")}}, "crossover_rate is inf; use a number"),
        ({"settings": {"crossover_rate": "1e999"}}, "crossover_rate is '1e999'; use a number"),
    ],
)
def test_other_values_are_refused_before_anything_is_written(tmp_path, given, says):
    with pytest.raises(UserError, match=says):
        search(tmp_path, **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("size", [(8, 8), "8", 8.0])
def test_a_size_that_is_no_number_is_refused(tmp_path, size):
    with pytest.raises(UserError, match=r"size is .*; use a whole number"):
        evonas.search("genet", "digits", size=size, budget=1, out=tmp_path / "run", progress=False)


def test_times_may_be_texts(tmp_path):
    assert seconds_of("1h30m") == 5400
    assert seconds_of("1.5s") == 1.5
    assert search(tmp_path, timeout="60s").config.timeout_s == 60
    assert search(tmp_path / "b", timeout=np.float64(2)).config.timeout_s == 2


# ---- Functions ----


def job(function, **options):
    return Job(Function(function, **options), Candidate((1, 0)))()


@pytest.mark.parametrize("leave", [lambda g: sys.exit("no such file"), lambda g: (_ for _ in ()).throw(GeneratorExit)])
def test_what_leaves_an_evaluation_is_a_failure_of_its_genome(leave):
    outcome = job(leave)
    assert outcome.failed
    assert "SystemExit: no such file" in outcome.error or "GeneratorExit" in outcome.error


def leaves(genome):
    if genome[0]:
        raise KeyboardInterrupt if genome[1] else SystemExit(3)
    return sum(genome)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_goes_on_behind_evaluations_that_leave(tmp_path, workers):
    run = search(tmp_path, leaves, budget=12, workers=workers)
    assert not run.interrupted
    statuses = {record["genome"][0]: record["status"] for record in run.records() if record["phase"] == "search"}
    assert statuses == {1: "failed", 0: "full"}


def test_ctrl_c_still_ends_an_evaluation_in_this_process():
    def interrupted(genome):
        raise evonas.errors.Interrupted

    with pytest.raises(KeyboardInterrupt):
        job(interrupted)
    with pytest.raises(KeyboardInterrupt):  # as Python raises it where nobody has said otherwise
        job(lambda genome: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.parametrize(
    "returned", [np.array([1.0]), np.float32(1), torch.tensor(1.0), [1.0], (1.0,), np.array(1.0), True]
)
def test_an_evaluation_may_return_arrays_and_tensors(returned):
    assert job(lambda genome: returned).values == (1.0,)


def test_several_values_may_be_an_array():
    assert job(lambda genome: np.array([1.0, 2.0]), count=2).values == (1.0, 2.0)


@pytest.mark.parametrize("returned", ["1", b"1", None, np.array([1.0, 2.0]), {"a": 1}, 1j, np.array([[1.0]] * 2)])
def test_other_results_end_the_search_with_a_clear_error(returned):
    with pytest.raises(UserError, match="return a number"):
        job(lambda genome: returned)


def sleeps(genome):
    time.sleep(600 if genome[0] else 0)
    return sum(genome)


def test_a_time_limit_holds_for_one_worker_too(tmp_path):
    run = search(tmp_path, sleeps, budget=8, timeout=1)
    failed = [record for record in run.records() if record.get("status") == "failed"]
    assert failed
    assert all(record["error"].startswith("time: ") for record in failed), "they would have slept for ten minutes"
    assert {bool(record["genome"][0]) for record in failed} == {True}


def test_what_cannot_go_to_workers_is_named_before_anything_is_written(tmp_path):
    lock = threading.Lock()

    def locked(genome):
        with lock:
            return sum(genome)

    for given in ({"workers": 2}, {"timeout": 5}):
        with pytest.raises(
            UserError, match=r"evaluate with its 'lock' cannot go to worker processes .*executor='serial'"
        ):
            search(tmp_path, locked, **given)
    assert not (tmp_path / "run").exists()
    assert len(search(tmp_path, locked).records()) == 4


THREAD = """
    import threading, time
    import evonas
    from evonas.genomes.genet import DIGITS

    def evaluate(genome):
        threading.Thread(target=time.sleep, args=(120,)).start()
        return sum(genome)

    if __name__ == "__main__":
        print(evonas.search(DIGITS, evaluate=evaluate, budget=4, workers=2, out="run", progress=False).best)
"""


@pytest.mark.slow
def test_a_thread_that_an_evaluation_has_left_does_not_keep_the_program(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(THREAD))
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "fitness" in done.stdout


# ---- Data ----


def test_a_run_whose_data_have_moved_goes_on_where_they_lie_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8), np.arange(40) % 2
    for name, images in (("data.npz", x), ("other.npz", x[::-1])):
        np.savez(name, x_train=images[:30], y_train=y[:30], x_test=images[30:], y_test=y[30:])
    evonas.search("genet", "data.npz", budget=2, workers=1, settings=TINY, out="run", progress=False)
    shared.cache_clear()
    load.cache_clear()
    Path("data.npz").rename("moved.npz")
    done = CliRunner().invoke(cli, ["resume", "run", "--evaluations", "3"])
    assert "no such file" in str(done.exception)
    assert "evonas resume run --data PATH" in str(done.exception)
    done = CliRunner().invoke(cli, ["resume", "run", "--evaluations", "3", "--data", "other.npz"])
    assert "other.npz holds other data than those that run was begun with" in str(done.exception)
    done = CliRunner().invoke(
        cli, ["resume", "run", "--evaluations", "3", "--data", "moved.npz", "--executor", "serial"]
    )
    assert done.exit_code == 0, done.exception
    run = evonas.open_run("run")
    assert run.summary["evaluations"] == 3
    assert run.config.data_name == str(tmp_path / "moved.npz")


# ---- The directory ----


def test_a_refused_resume_leaves_the_config_of_the_run_alone(tmp_path):
    run = search(tmp_path)
    before = (run.directory / "config.json").read_bytes()
    with (
        Journal(run.journal_path, run.space.to_json()),
        pytest.raises(JournalError, match="another process is at work"),
    ):
        search(tmp_path, budget=9, resume=True, threads=1, profile=True)
    assert (run.directory / "config.json").read_bytes() == before


def test_a_resumed_run_goes_on_with_the_best_of_its_summary(tmp_path, capsys):
    run = search(tmp_path, budget=6)
    best = run.summary["winner"]
    evonas.search(DIGITS, evaluate=sum, budget=6, workers=1, out=tmp_path / "run", resume=True)
    assert "search:" not in capsys.readouterr().out  # nothing new is told as if it were
    longer = evonas.search(DIGITS, evaluate=sum, budget=12, workers=1, out=tmp_path / "run", resume=True)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("search: 12/12")]
    assert f"best {longer.summary['winner']['fitness']:.5g} {longer.summary['winner']['code']}" in said[-1]
    assert longer.summary["winner"]["fitness"] >= best["fitness"]
    assert longer.best.code == longer.summary["winner"]["code"]


@pytest.mark.parametrize("what", ["a directory", "no permission"])
def test_a_journal_that_cannot_be_read_is_told_in_a_sentence(tmp_path, what, monkeypatch):
    run = search(tmp_path)
    if what == "a directory":
        run.journal_path.unlink()
        run.journal_path.mkdir()
    else:

        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(UserError, match=r"cannot read .*: (Is a directory|Permission denied)"):
        evonas.open_run(run.directory).records()


def test_a_disk_that_nothing_can_be_written_on_is_told_in_a_sentence(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(evonas.RunError, match=r"cannot write .*: Read-only file system; make room or give permission"):
        files.write_text(tmp_path / "x", "text")


def test_a_lost_result_in_a_damaged_last_line_is_told(tmp_path, capsys):
    run = search(tmp_path)
    lines = run.journal_path.read_bytes().splitlines(keepends=True)
    at = max(number for number, line in enumerate(lines) if b'"told"' in line)
    run.journal_path.write_bytes(b"".join(lines[:at]) + lines[at][:-20])
    evonas.search(DIGITS, evaluate=sum, budget=4, workers=1, out=tmp_path / "run", resume=True)
    assert "warning: the last line of the journal was damaged, and with it a result" in capsys.readouterr().out


def test_the_smaller_of_equally_good_networks_wins(tmp_path):
    run = search(tmp_path, lambda genome: 1.0, budget=12, settings={"population": 12})
    sizes = {record["code"]: run[record["id"]].graph.parameters for record in run.records()}
    assert len(set(sizes.values())) > 1


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "a[b"])
def test_names_with_the_marks_of_markup_are_printed_as_they_are(tmp_path, name, capsys):
    evonas.search(DIGITS, evaluate=sum, budget=2, workers=1, out=tmp_path / name)
    assert name in capsys.readouterr().out.replace("\n", "")
