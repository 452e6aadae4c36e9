"""Searches on a real Slurm of one node, which the tests start and end themselves. Needs the superuser, Slurm and munge
(on Debian: apt-get install slurm-wlm munge) and submitit."""

import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from clusters import begin, events, processes_of, told, wait_for
from onenode import OneNode, why_not

pytest.importorskip("submitit", reason="submitit is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(bool(why_not()), reason=why_not())]

DOCS = Path(__file__).parents[2] / "docs"
SEARCH = ["search", "genet", "--data", "digits", "--out", "run", "--no-baseline"]
SMALL = ["--set", "population=8", "generations=1", "epochs=1", "final.epochs=1"]
LONG = ["--set", "population=6", "generations=1", "final.epochs=1", "epochs=10"]
LONGER = [*LONG[:-1], "epochs=60"]  # than a minute, the least limit of Slurm, which it looks at twice a minute
ENDLESS = ["--set", "population=6", "epochs=5000"]
OPTIONS = ["--slurm", "time=30"]


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # short: a socket's path has 107 letters at most
        one = OneNode(Path(folder))
        try:
            one.start()
            yield one
        finally:
            one.end()


@pytest.fixture
def slurm(cluster, monkeypatch):
    """The cluster, without jobs; commands of the test find it."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield cluster
    cluster.ask("scancel", "--user=root", check=False)
    assert wait_for(lambda: not cluster.jobs(), 60)


def evonas(folder, *arguments):
    return begin([sys.executable, "-m", "evonas", *arguments], folder)


def by_jobs(folder, workers, *arguments, options=OPTIONS):
    return evonas(folder, *SEARCH, "--executor", "slurm", "--workers", str(workers), *options, *arguments)


def ended(process, slurm, folder, code=0, seconds=400):
    """What it printed; no job and no process is left."""
    printed, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, printed
    assert wait_for(lambda: not slurm.jobs(), 30), slurm.jobs()
    assert wait_for(lambda: not processes_of(folder), 15), "processes were left behind"
    return printed


def found(folder):
    """The id, genome and values of each evaluation."""
    asked = {
        event["id"]: event["genome"] for event in events(folder / "run/journal.jsonl") if event["event"] == "asked"
    }
    return {number: (asked[number], event["values"]) for number, event in sorted(told(folder).items())}


def here(folder, *arguments):
    """The same search by two processes of this machine."""
    folder.mkdir()
    process = evonas(folder, *SEARCH, "--workers", "2", *arguments)
    printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0, printed
    return found(folder)


def joined(folder):
    path = folder / "run/workers/joined.json"
    return json.loads(path.read_text())["workers"] if path.exists() else []


def test_a_search_by_eight_jobs_finds_what_two_processes_find(slurm, tmp_path):
    process = by_jobs(tmp_path, 8, *SMALL)
    printed = ended(process, slurm, tmp_path)
    assert "workers may join: evonas worker " in printed
    assert slurm.jobs("COMPLETED"), "jobs end by themselves"
    assert len({event["worker"] for event in told(tmp_path).values()}) > 2
    assert found(tmp_path) == here(tmp_path / "here", *SMALL)
    assert not list((tmp_path / "run/workers").glob("*.json")), "nobody can join a run that has ended"
    assert list((tmp_path / "run/workers").glob("*_log.out"))


def test_a_job_that_is_cancelled_in_the_midst_costs_no_result(slurm, tmp_path):
    process = by_jobs(tmp_path, 3, *LONG)
    assert wait_for(lambda: len(joined(tmp_path)) == 3 and len(told(tmp_path)) >= 2, 200)
    before = told(tmp_path)
    victim = min(slurm.jobs("RUNNING"), key=int)
    slurm.ask("scancel", victim)
    printed = ended(process, slurm, tmp_path)
    assert f"job {victim} was cancelled; the search goes on with 2 jobs" in printed
    after = told(tmp_path)
    assert {number: after[number] for number in before} == before
    assert not [event for event in after.values() if event["status"] == "failed"]
    assert found(tmp_path) == here(tmp_path / "here", *LONG)


@pytest.mark.parametrize("how", ["its limit of time", "a kill"])
def test_a_job_that_ends_by_force_is_replaced(how, slurm, tmp_path):
    """The limit: Slurm sends USR2 before it and TERM at it, and the worker leaves; a kill gives it no chance."""
    process = by_jobs(tmp_path, 2, *ENDLESS)
    assert wait_for(lambda: len(joined(tmp_path)) == 2, 120)
    first = set(slurm.jobs("RUNNING"))
    victim = min(first, key=int)
    if how == "a kill":
        workers = [int(name.split()[1]) for name in joined(tmp_path)]
        os.kill(workers[0], signal.SIGKILL)
    else:
        slurm.ask("scontrol", "update", f"JobId={victim}", "TimeLimit=1")
    assert wait_for(lambda: set(slurm.jobs("RUNNING")) - first, 200), slurm.jobs("all")
    assert wait_for(lambda: len(joined(tmp_path)) == 2, 120)
    assert len([event for event in events(tmp_path / "run/journal.jsonl") if event["event"] == "told"]) == 0
    process.send_signal(signal.SIGINT)
    printed = ended(process, slurm, tmp_path, 130)
    assert "another one takes its place" in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_when_the_root_ends_no_job_runs_or_waits(number, slurm, tmp_path):
    process = by_jobs(tmp_path, 20, *ENDLESS)  # four of them wait
    states = ["PENDING"] * 4 + ["RUNNING"] * 16
    assert wait_for(lambda: joined(tmp_path) and sorted(slurm.jobs().values()) == states, 200), slurm.jobs()
    waiting = slurm.jobs("PENDING")
    slurm.ask("scontrol", "hold", ",".join(waiting))  # or they would start as others end, and end by themselves
    assert slurm.jobs("PENDING") == waiting
    process.send_signal(number)
    ended(process, slurm, tmp_path, -signal.SIGKILL if number == signal.SIGKILL else 130)
    if number == signal.SIGKILL:  # what it has left is stale
        process = evonas(tmp_path, "worker", "run")
        assert "cannot be reached" in ended(process, slurm, tmp_path, 2)


def test_a_job_that_starts_late_and_finds_nobody_ends_at_once(slurm, tmp_path):
    (tmp_path / "run").mkdir()
    script = f"""
from evonas.executors.sbatch import SlurmJobs
from evonas.executors.worker import PLAIN
from pathlib import Path
import os
jobs = SlurmJobs(Path("run"), PLAIN, {{"begin": "now+3", "time": "5"}})
print(jobs.submit(), flush=True)
os.killpg(jobs._keeper.pid, {int(signal.SIGKILL)})
"""
    process = begin([sys.executable, "-c", script], tmp_path)
    job = process.communicate(timeout=60)[0].strip()
    assert wait_for(lambda: job in slurm.jobs("COMPLETED"), 120), slurm.jobs("all")
    assert "no search that workers can join is at work" in (tmp_path / f"run/workers/{job}_0_log.out").read_text()


@pytest.mark.parametrize(("options", "says"), [
    ("partition=gpu", "Slurm takes no job: sbatch: error: invalid partition specified: gpu"),
    ("gres=gpu:1", "Slurm takes no job: sbatch: error: Invalid generic resource"),
    ("export=ALL,PYTHONHOME=/nowhere", r"before its worker could work: .*_log\.err ends with: .*No module named"),
])  # fmt: skip
def test_jobs_that_cannot_start_end_the_run_with_the_words_of_slurm_and_it_can_go_on(options, says, slurm, tmp_path):
    process = by_jobs(tmp_path, 2, *SMALL, options=["--slurm", options])
    printed = " ".join(ended(process, slurm, tmp_path, 2).split())
    assert re.search(says, printed), printed
    assert "go on with 'evonas resume run'" in printed
    name, value = ("export", "ALL") if options.startswith("export") else ("partition", "main")
    if options.startswith("gres"):
        return
    process = evonas(tmp_path, "resume", "run", "--slurm", f"{name}={value}")
    ended(process, slurm, tmp_path)
    assert (tmp_path / "run/summary.json").exists()


def test_a_worker_joins_a_search_of_jobs_by_hand_and_leaves_when_told(slurm, tmp_path):
    process = by_jobs(tmp_path, 1, *ENDLESS)
    assert wait_for(lambda: len(joined(tmp_path)) == 1, 120)
    worker = evonas(tmp_path, "worker", "run")
    assert wait_for(lambda: len(joined(tmp_path)) == 2, 60)
    status = json.loads(evonas(tmp_path, "status", "run", "--json").communicate(timeout=60)[0])
    assert status["joined"] == 2
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert worker.returncode == 130
    assert wait_for(lambda: len(joined(tmp_path)) == 1, 30)
    process.send_signal(signal.SIGINT)
    ended(process, slurm, tmp_path, 130)


def script_of_docs(title, settings, **changes):
    """A batch script of the docs, by the heading over it, with its search made small by settings, and these changes of
    its text, each of which must hit."""
    page = (DOCS / "slurm.md").read_text()
    script = re.search(rf"^## {re.escape(title)}$.*?^```text\n(#!/bin/bash\n.*?)^```$", page, re.M | re.S)[1]
    small = {"source ~/environment/bin/activate": f"alias evonas='{sys.executable} -m evonas'; shopt -s expand_aliases",
             "--data data.npz": " ".join(["--data", "digits", "--no-baseline", *settings])}  # fmt: skip
    for old, new in (small | changes).items():
        assert old in script, old
        script = script.replace(old, new)
    return script


def submitted(slurm, folder, script):
    """The id of the job that runs a script in the folder."""
    (folder / "search.sh").write_text(script)
    return slurm.ask("sbatch", "--parsable", f"--chdir={folder}", f"--export=ALL,EVONAS_TEST={folder}",
                     str(folder / "search.sh")).strip()  # fmt: skip


def log_of(folder, job):
    path = folder / f"slurm-{job}.out"
    return path.read_text() if path.exists() else ""


@pytest.mark.timeout(1500)
def test_the_batch_script_of_the_docs_ends_in_order_at_its_limit_and_goes_on(slurm, tmp_path):
    script = script_of_docs("The search in a batch job", LONGER, **{
        "runs/genet": "run", "--workers 16 --slurm time=1:00:00": "--workers 3 --slurm time=30",
    })  # fmt: skip
    job = submitted(slurm, tmp_path, script)
    assert wait_for(lambda: len(told(tmp_path)) >= 2, 200), log_of(tmp_path, job)
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    assert wait_for(lambda: slurm.jobs().get(job) == "PENDING", 120), log_of(tmp_path, job)
    before = told(tmp_path)
    assert set(slurm.jobs()) == {job}, "no worker's job is left"
    assert not (tmp_path / "run/summary.json").exists()
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=30")
    assert wait_for(lambda: job in slurm.jobs("COMPLETED"), 400), log_of(tmp_path, job)
    assert wait_for(lambda: not slurm.jobs(), 30)
    said = " ".join(log_of(tmp_path, job).split())
    assert "interrupted; no finished result is lost: go on with 'evonas resume run'" in said
    after = told(tmp_path)
    assert {number: after[number] for number in before} == before
    assert len([event for event in events(tmp_path / "run/journal.jsonl") if event["event"] == "resumed"]) == 1
    assert found(tmp_path) == here(tmp_path / "here", *LONGER)


def test_the_array_of_the_docs_searches_with_each_seed(slurm, tmp_path):
    changes = {"0-3": "0-1", "--cpus-per-task=8": "--cpus-per-task=2"}
    script = script_of_docs("An array over seeds", SMALL, **changes)
    job = submitted(slurm, tmp_path, script)
    assert wait_for(lambda: set(slurm.jobs("COMPLETED")) >= {f"{job}_0", f"{job}_1"}, 400)
    for seed in range(2):
        config = json.loads((tmp_path / f"runs/genet-{seed}/config.json").read_text())
        assert (config["seed"], config["workers"]) == (seed, 2)
        assert (tmp_path / f"runs/genet-{seed}/summary.json").exists()


def test_scoop_searches_in_a_batch_job_as_in_the_docs(slurm, tmp_path):
    script = script_of_docs("SCOOP in a batch job", SMALL, **{
        "--nodes=4": "--nodes=1", "--ntasks-per-node=8": "--ntasks-per-node=2", "runs/genet": "run",
    })  # fmt: skip
    job = submitted(slurm, tmp_path, script)
    assert wait_for(lambda: job in slurm.jobs("COMPLETED,FAILED"), 400), log_of(tmp_path, job)
    assert job in slurm.jobs("COMPLETED"), log_of(tmp_path, job)
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert (config["executor"], config["workers"]) == ("scoop", 2)
    assert (tmp_path / "run/summary.json").exists()
    assert wait_for(lambda: not processes_of(tmp_path), 15), "processes were left behind"
