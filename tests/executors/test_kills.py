"""Whole runs that are killed with SIGKILL at random moments and resumed, under the executors that survive it."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from clusters import events, processes_of, run, told, wait_for

# Aging evolution and then random search, each of so many evaluations; what it asks for depends on all it was told.
SCRIPT = """
import sys, time
import evonas
from evonas.genomes.genet import DIGITS

def evaluate(genome):
    time.sleep(0.03)
    return sum(genome) / 3

if __name__ == "__main__":
    evonas.search(DIGITS, evaluate=evaluate, strategy="aging:population=6,sample=3", budget=int(sys.argv[3]), seed=4,
                  executor=sys.argv[1], workers=int(sys.argv[2]), baseline=True, out="run", resume=True,
                  progress=False)
    print("searched", flush=True)
"""
EACH = 10  # evaluations of each of the two, for each kill
MOST_BETWEEN = 10  # results from one kill to the next


def outcomes(folder):
    """(id, phase, genome, value) of each evaluation, in the order in which they were asked for; each was told once."""
    found = told(folder)
    asked = [event for event in events(folder / "run/journal.jsonl") if event["event"] == "asked"]
    assert sorted(found) == [event["id"] for event in asked] == list(range(len(asked)))
    return [(event["id"], event["phase"], event["genome"], found[event["id"]]["values"]) for event in asked]


def steering(folder):
    """The process that writes the journal; none before it has been begun."""
    journal = (folder / "run/journal.jsonl").resolve()
    found = []
    for process in processes_of(folder):
        try:
            opened = [os.readlink(entry) for entry in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:  # it has ended
            continue
        found += [process] * (str(journal) in opened)
    return found


def kill(folder, rng):
    """The process that steers, or all of the run at once, as where a host loses its power."""
    for victim in (rng.random() < 0.5 and steering(folder)) or processes_of(folder):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:  # it has ended with another one
            continue


def killed_and_resumed(folder: Path, executor: str, workers: int, kills: int):
    """The outcomes of a run that was killed so many times: while it started, searched, or drew its pictures."""
    rng, budget = random.Random(f"{executor} {workers}"), EACH * kills
    known: dict[int, dict] = {}
    done = 0
    while done < kills:
        process = run(SCRIPT, folder, executor, workers, executor, workers, budget)
        goal, start = len(known) + rng.randint(1, MOST_BETWEEN), time.monotonic()
        longest = rng.uniform(0, 3) if rng.random() < 0.25 else 60  # some die before they have begun
        while process.poll() is None and len(told(folder)) < goal and time.monotonic() - start < longest:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))
        assert process.poll() is None, process.communicate()[0]
        kill(folder, rng)
        process.communicate(timeout=30)
        assert wait_for(lambda: not processes_of(folder), 15), "processes were left behind"
        done += 1
        now = told(folder)
        assert {number: now[number] for number in known} == known, "a result was lost, or told otherwise"
        known = now
    process = run(SCRIPT, folder, executor, workers, executor, workers, budget)
    assert process.communicate(timeout=300)[0] == "searched\n"
    assert {number: told(folder)[number] for number in known} == known
    return outcomes(folder)


def uninterrupted(folder: Path, kills: int):
    folder.mkdir()
    process = run(SCRIPT, folder, "serial", 1, "serial", 1, EACH * kills)
    assert process.communicate(timeout=300)[0] == "searched\n"
    return outcomes(folder)


MANY = {("serial", 1): 20, ("processes", 1): 15, ("processes", 2): 15, ("scoop", 1): 10, ("scoop", 2): 15,
        ("mpi", 1): 10, ("mpi", 2): 15}  # fmt: skip
SLOW = [pytest.param(*of, kills, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]) for of, kills in MANY.items()]


@pytest.mark.parametrize(("executor", "workers", "kills"), [("processes", 1, 4), *SLOW])
def test_a_run_killed_at_random_moments_has_every_result_once_and_goes_on_as_if_never_killed(
    executor, workers, kills, tmp_path
):
    """The slow ones, of a hundred kills in all, take six minutes one after the other."""
    killed = killed_and_resumed(tmp_path, executor, workers, kills)
    assert [values for *_, values in killed] == [[sum(genome) / 3] for *_, genome, _ in killed]
    phases = [phase for _, phase, *_ in killed]
    assert phases.count("search") == phases.count("baseline") == EACH * kills
    if workers == 1:
        assert killed == uninterrupted(tmp_path / "whole", kills)
