"""For tests of executors: a script that searches under any of them, how it is started, and what is left of it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

EXECUTORS = ("serial", "processes", "scoop", "dask", "mpi")

# The genome of this number ends its process, or hangs; others sleep a little and are worth the number of their ones.
SCRIPT = """
import os, signal, sys, time
from pathlib import Path

import evonas
from evonas.genomes.genet import DIGITS
from evonas.individual import Individual
from evonas.strategies.first import First
from evonas.support.streams import stream

executor, how, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
BAD = 5


def genomes():
    rng = stream(0, "genomes")
    found = {tuple(DIGITS.random(rng)): None for _ in range(20 * count)}
    return list(found)[:count]


def evaluate(genome):
    number = genomes().index(tuple(genome))
    Path("attempts", f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    if number == BAD and how == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    if number == BAD and how == "hangs":
        time.sleep(1000)
    time.sleep(seconds)
    return sum(genome)


if __name__ == "__main__":
    Path("attempts").mkdir(exist_ok=True)
    run = evonas.search(
        DIGITS, evaluate=evaluate, strategy=First([Individual(genome) for genome in genomes()]), budget=count,
        executor=executor, workers=int(sys.argv[5]), timeout=5 if how == "hangs" else None, out="run", resume=True,
        progress=False,
    )
    print("searched", flush=True)
"""


def start(folder: Path, executor: str, how: str = "well", count: int = 12, seconds: float = 0.05, workers: int = 2):
    """The script as a process in a session of its own, marked in its environment so that orphans are found."""
    workers = 1 if executor == "serial" else workers
    return run(SCRIPT, folder, executor, workers, executor, how, count, seconds, workers)


def run(script: str, folder: Path, executor: str, workers: int, *arguments):
    """A script under the framework that starts the workers of an executor, where there is one."""
    (folder / "script.py").write_text(script)
    by = {
        "scoop": ["-m", "scoop", "-q", "-n", str(workers + 1)],
        "mpi": ["-m", "mpi4py.futures"],
    }.get(executor, [])
    before = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(workers + 1)] if executor == "mpi" else []
    return begin([*before, sys.executable, *by, "script.py", *map(str, arguments)], folder)


def begin(command, folder: Path):
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | {"EVONAS_TEST": str(folder)}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def told(folder: Path) -> dict[int, dict]:
    """What the run in the folder was told, by id; each once."""
    found = {}
    path = folder / "run" / "journal.jsonl"
    for event in events(path):
        if event["event"] == "told":
            assert event["id"] not in found
            found[event["id"]] = event
    return found


def events(path: Path) -> list[dict]:
    """The whole lines of a journal, which may be growing or torn."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def processes_of(folder: Path) -> list[int]:
    """All that descend from what was begun in the folder, orphans too."""
    mark = f"EVONAS_TEST={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # it has ended, or is not ours
                continue
    return found


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
