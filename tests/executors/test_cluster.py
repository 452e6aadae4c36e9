"""The same search under every executor, and what becomes of genomes that kill or hang and of workers that die."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from clusters import EXECUTORS, begin, parent_of, processes_of, run, start, told, wait_for

SEARCH = ["search", "genet", "--data", "digits", "--out", "run"]
SMALL = ["--set", "population=4", "generations=1", "epochs=1", "final.epochs=1", "--no-baseline"]
QUICK = ("serial", "processes", "scoop")


def each(executors):
    """As parameters; others than the quick ones, which take minutes together, in slow tests."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in executors]


def evonas(folder, *arguments):
    return begin([sys.executable, "-m", "evonas", *arguments], folder)


def ended(process, folder, seconds=120):
    """What it printed; nothing of it is left."""
    printed, _ = process.communicate(timeout=seconds)
    assert wait_for(lambda: not processes_of(folder), 5), "processes were left behind"
    return printed


@pytest.mark.parametrize("executor", each(EXECUTORS))
def test_a_genome_that_kills_its_process_costs_two_attempts_and_no_other_genome(executor, tmp_path):
    process = start(tmp_path, executor, "kills")
    printed = ended(process, tmp_path)
    if executor == "serial":  # it was in the process that steers, which ended with it
        assert process.returncode == -signal.SIGKILL
        printed = ended(start(tmp_path, executor, "kills"), tmp_path)
    assert "searched" in printed, printed
    found = told(tmp_path)
    assert len(found) == 12
    assert [number for number, event in found.items() if event["status"] == "failed"] == [5]
    assert found[5]["error"].startswith("worker: it ended ")
    assert "process" in found[5]["error"]
    assert " on " in found[5]["error"]
    assert all(" on " in event["worker"] for number, event in found.items() if number != 5)
    attempts = [int(path.name.split("-")[0]) for path in (tmp_path / "attempts").iterdir()]
    assert sorted(attempts) == sorted([*range(12), 5])


@pytest.mark.parametrize("executor", each(EXECUTORS[1:]))
def test_a_genome_that_hangs_is_timed_out_and_its_worker_goes_on(executor, tmp_path):
    process = start(tmp_path, executor, "hangs", workers=1)
    assert "searched" in ended(process, tmp_path)
    found = told(tmp_path)
    assert len(found) == 12
    assert [event["id"] for event in found.values() if event["status"] == "failed"] == [5]
    assert found[5]["error"].startswith("time: over its limit of 5 s in process ")


@pytest.mark.parametrize(
    "executors", [QUICK[::2], pytest.param(EXECUTORS, marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_a_generational_search_is_the_same_under_every_executor(executors, tmp_path):
    seen = {}
    for executor in executors:
        folder = tmp_path / executor
        folder.mkdir()
        workers = "1" if executor == "serial" else "2"
        process = evonas(folder, *SEARCH, *SMALL, "--executor", executor, "--workers", workers)
        printed = ended(process, folder)
        assert process.returncode == 0, printed
        events = [json.loads(line) for line in (folder / "run/journal.jsonl").read_text().splitlines()]
        asked = [(event["id"], event["genome"], event["parents"], event["key"]) for event in events
                 if event["event"] == "asked"]  # fmt: skip
        values = {number: (event["values"], event["curve"]) for number, event in told(folder).items()}
        seen[executor] = asked, values, (folder / "run/best/weights.safetensors").read_bytes()
    assert len(seen["serial"][1]) == 9
    for executor in executors:
        assert seen[executor] == seen["serial"], executor


@pytest.mark.parametrize("executor", each(EXECUTORS[1:]))
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_all_of_a_run_within_five_seconds(executor, number, tmp_path):
    long = ["--set", "epochs=1000", "--executor", executor, "--workers", "2"]
    process = evonas(tmp_path, *SEARCH, *long)
    journal = tmp_path / "run/journal.jsonl"
    assert wait_for(lambda: journal.exists() and journal.read_text().count('"asked"') >= 2, 60)
    time.sleep(3)  # into the trainings
    process.send_signal(number)
    start = time.monotonic()
    printed = process.communicate(timeout=20)[0]
    assert wait_for(lambda: not processes_of(tmp_path), 5 - (time.monotonic() - start)), "processes were left behind"
    assert process.returncode == 130, printed
    assert "go on with 'evonas resume run'" in " ".join(printed.split())


@pytest.mark.parametrize("executor", each(["scoop", "mpi"]))
def test_a_launched_run_ends_with_its_own_exit_code(executor, tmp_path):
    process = evonas(tmp_path, *SEARCH, *SMALL, "--set", "populations=3", "--executor", executor, "--workers", "1")
    assert "did you mean population" in ended(process, tmp_path)
    assert process.returncode == 2
    process = evonas(tmp_path, *SEARCH, *SMALL, "--memory", "1", "--executor", executor, "--workers", "1")
    assert "no network of the search could be evaluated" in " ".join(ended(process, tmp_path).split())
    assert process.returncode == 1


def test_a_killed_root_is_a_failure_and_leaves_nothing_behind(tmp_path):
    process = evonas(tmp_path, *SEARCH, "--set", "epochs=1000", "--executor", "scoop", "--workers", "2")
    journal = tmp_path / "run/journal.jsonl"
    assert wait_for(lambda: journal.exists() and journal.read_text().count('"asked"') >= 2, 60)
    roots = [number for number in processes_of(tmp_path) if b"--origin" in command_of(number)
             and b"bootstrap" in command_of(number)]  # fmt: skip
    os.kill(roots[0], signal.SIGKILL)
    ended(process, tmp_path)
    assert process.returncode == 1


def command_of(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_hostfile_is_read_with_its_numbers(tmp_path):
    from evonas.errors import UserError
    from evonas.executors.launch import read_hosts

    path = tmp_path / "hosts"
    path.write_text("# ours\nnode1 4\n\nnode2  # one\n")
    assert read_hosts(path) == [("node1", 4), ("node2", 1)]
    path.write_text("node1:4\nme@node2.cluster slots=12\n10.0.0.7\t2\nfe80::1 3\n", encoding="utf-8-sig")
    assert read_hosts(path) == [("node1", 4), ("me@node2.cluster", 12), ("10.0.0.7", 2), ("fe80::1", 3)]
    for wrong, says in (
        ("node1 many", "line 1: 'node1 many' is no host with its workers; write 'node1 4'"),
        ("", "names no host"),
        ("node1 0", "line 1"),
        ("node1 4 5", "line 1"),
        ("node1:", "line 1"),
        ("node1:4 2", "line 1"),
        ("node1 4\nnode2 ²", "line 2"),
        ("node1,node2", "line 1"),
        ("node[1-4] 2", r"line 1: .* one a line, as `scontrol show hostnames 'node\[1-4\]'` prints them"),
    ):
        path.write_text(wrong)
        with pytest.raises(UserError, match=says):
            read_hosts(path)
    for data in ("knöt 4".encode("latin-1"), "node1 4".encode("utf-16")):
        path.write_bytes(data)
        with pytest.raises(UserError, match="is no text in UTF-8"):
            read_hosts(path)
    with pytest.raises(UserError, match="cannot read the hostfile"):
        read_hosts(tmp_path / "none")


UNGUARDED = """
import sys
import evonas
from evonas.genomes.genet import DIGITS

def evaluate(genome):
    return sum(genome)

workers = None if sys.argv[1:] else 2
run = evonas.search(DIGITS, evaluate=evaluate, budget=6, workers=workers, out="run", progress=False)
print("searched", run.config.executor, run.config.workers)
"""


@pytest.mark.parametrize("executor", each(["processes", "scoop", "mpi"]))
def test_a_script_without_a_main_guard_searches_once(executor, tmp_path):
    framework = [] if executor == "processes" else ["started by a framework"]
    process = run(UNGUARDED, tmp_path, executor, 2, *framework)
    assert ended(process, tmp_path, 60) == f"searched {executor} 2\n"
    assert len(told(tmp_path)) == 6


def test_scoop_is_told_of_hosts_only_where_there_are_others(tmp_path):
    from evonas.executors.launch import _framework

    def options(*hosts):
        return _framework("scoop", "evonas.commands.root", 4, list(hosts), tmp_path / "hosts", "ssh")

    assert "--hostfile" not in options(("localhost", 2), (socket.gethostname(), 2))
    assert "--hostfile" in options(("localhost", 2), ("node2", 2))


@pytest.mark.slow
def test_the_port_of_evaluations_is_on_loopback_where_scoop_works_here_alone(tmp_path):
    """And the command line says that SCOOP's own ports are not."""
    script = "from evonas.executors import Scoop; made = Scoop(); print(made.address[0]); made.shutdown(False)"
    (tmp_path / "script.py").write_text(f"if __name__ == '__main__':\n    {script}\n")
    process = begin([sys.executable, "-m", "scoop", "-q", "-n", "2", "script.py"], tmp_path)
    assert ended(process, tmp_path, 60) == "127.0.0.1\n"
    process = evonas(tmp_path, "search", "genet", "--executor", "scoop", "--workers", "1", "--set", "populations=3")
    assert "SCOOP listens on all network interfaces" in ended(process, tmp_path)


LINGERS = """
import sys, threading, time
import evonas
from evonas.genomes.genet import DIGITS

def evaluate(genome):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return sum(genome)

if __name__ == "__main__":
    executor, workers, timeout = sys.argv[1], int(sys.argv[2]), 60 if sys.argv[3:] else None
    evonas.search(DIGITS, evaluate=evaluate, budget=4, executor=executor, workers=workers, timeout=timeout, out="run",
                  progress=False)
    print("searched", flush=True)
"""


@pytest.mark.parametrize("arguments", [
    ["serial", "1", "with a timeout"], ["processes", "2"], pytest.param(["dask", "2"], marks=pytest.mark.slow),
], ids=lambda arguments: arguments[0])  # fmt: skip
def test_a_thread_that_an_evaluation_leaves_behind_does_not_keep_the_search(arguments, tmp_path):
    process = run(LINGERS, tmp_path, arguments[0], 2, *arguments)
    assert ended(process, tmp_path, 40) == "searched\n"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_command_line_ends_whatever_threads_its_trainings_leave(workers, tmp_path):
    (tmp_path / "lingering.py").write_text(LINGERING_SPACE)
    process = evonas(tmp_path, "search", "lingering.py:Lingering", *SEARCH[2:], "--evaluations", "2", "--workers",
                     workers, "--no-baseline", "--set", "epochs=1", "final.epochs=1")  # fmt: skip
    assert "the winner as PyTorch weights" in ended(process, tmp_path, 60)
    assert process.returncode == 0


LINGERING_SPACE = """
import threading, time
from evonas.genomes.genet import GeNetSpace

class Lingering(GeNetSpace):
    def decode(self, genome):
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return super().decode(genome)
"""


@pytest.mark.parametrize("executor", each(["processes", "dask"]))
def test_a_killed_run_says_nothing_of_its_locks(executor, tmp_path):
    process = start(tmp_path, executor, count=1000)
    assert wait_for(lambda: len(told(tmp_path)) > 4, 60)
    process.kill()
    assert ended(process, tmp_path) == ""


def killed_now_and_then(folder, executor, *, seconds, every, workers=4):
    """Workers that compute are killed at random while cheap evaluations go on. Returns how many were."""
    count = int(seconds * 8)
    process = start(folder, executor, count=count, seconds=0.2, workers=workers)
    assert wait_for(lambda: len(told(folder)) > workers, 60)
    killed, deadline = 0, time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(every)
        ours = set(processes_of(folder))
        lately = list(told(folder).values())[-workers:]
        computing = [int(event["worker"].split()[1]) for event in lately]
        computing = [number for number in computing if number in ours]
        if not computing:
            continue
        victim = computing[killed % len(computing)]
        try:
            os.kill(parent_of(victim) if executor in ("scoop", "dask") else victim, signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError):  # it has ended by itself
            continue
        killed += 1
        if executor == "scoop" and killed == workers - 1:
            break
    printed = ended(process, folder, 300)
    assert "searched" in printed, printed
    found = told(folder)
    assert sorted(found) == list(range(count))
    assert not [event for event in found.values() if event["status"] == "failed"]
    return killed


@pytest.mark.parametrize("executor", each(["processes", "scoop", "dask"]))
def test_killed_workers_lose_and_repeat_nothing(executor, tmp_path):
    assert killed_now_and_then(tmp_path, executor, seconds=7, every=1.5) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("executor", ["processes", "dask"])
def test_a_worker_killed_every_two_seconds_for_a_minute_costs_nothing_but_time(executor, tmp_path):
    assert killed_now_and_then(tmp_path, executor, seconds=60, every=2) >= 20
