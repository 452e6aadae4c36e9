import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evonas.errors import RunError, UserError
from evonas.evaluation import Function, Outcome
from evonas.executors import Processes, Serial
from evonas.genomes.genet import DIGITS, GeNetSpace
from evonas.individual import Individual
from evonas.operators.by_decision import toolbox as uniform
from evonas.operators.genet import toolbox
from evonas.run.budget import Budget
from evonas.run.journal import COSTS, Journal, JournalError, read
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.strategies.first import First
from evonas.strategies.genet import GeNet
from evonas.strategies.random_search import RandomSearch
from evonas.support.streams import stream


class BestSoFar:
    """A steady-state strategy whose every proposal depends on all that it was told, and on the order of it."""

    def __init__(self, seed):
        self.rng, self.best, self.told = stream(seed, "best"), None, 0

    def generate(self, n=None):
        bits = list(self.best or DIGITS.random(self.rng))
        bits[(self.told + self.rng.randrange(len(bits))) % len(bits)] ^= 1
        return [Individual(bits)]

    def update(self, individuals):
        for individual in individuals:
            self.told += 1
            if individual.fitness.valid and (self.best is None or individual.fitness > self.best.fitness):
                self.best = individual


def genet(seed=0, population=8, **settings):
    rng = stream(seed, "genet")
    return GeNet(toolbox(DIGITS, rng=rng, bit_flip_rate=0.1), rng=rng, population=population, **settings)


def search(path, strategy, function=sum, *, executor=None, workers=1, budget=None, **loop):
    """One part over a journal; the part, and the events."""
    journal = Journal(path, DIGITS.to_json(), clock=time.monotonic)
    part = Phase("search", strategy, Function(function))
    loop = Loop(journal, executor or Serial(), workers, **loop)
    try:
        loop.run(part, budget or Budget(40))
    finally:
        journal.close()
    return part


def events(path, kind=None):
    return [event for _, event in read(path)[0] if kind in (None, event["event"])]


def outcomes(path):
    """(id, genome, values) of every evaluation, which is what a resumed run must repeat."""
    told = {event["id"]: event["values"] for event in events(path, "told")}
    return [(event["id"], event["genome"], told[event["id"]]) for event in events(path, "asked")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


# ---- what is asked and told ---------------------------------------------------------------------------------------


def test_the_budget_counts_evaluations_and_every_one_is_told(path):
    part = search(path, genet())
    assert len(part.asked) == len(part.outcomes) == 40
    assert part.ended_because == "40 evaluations"
    assert [event["id"] for event in events(path, "asked")] == list(range(40))
    assert sorted(event["id"] for event in events(path, "told")) == list(range(40))
    assert events(path)[-1]["event"] == "ended"


def test_asked_and_told_say_what_a_reader_needs(path):
    search(path, genet())
    asked, told = events(path, "asked"), events(path, "told")
    assert {"genome", "parents", "operator", "phase", "generation"} <= set(asked[0])
    assert {"values", "status", "cost", "reused"} <= set(told[0])
    assert asked[0]["parents"] == []
    child = next(event for event in asked if event["operator"] == "mut_bits")
    assert child["generation"] >= 1
    assert all(asked[parent]["generation"] == child["generation"] - 1 for parent in child["parents"])


def test_a_repeat_is_reused_and_costs_nothing(path):
    calls = Counter()

    def counted(genome):
        calls[genome] += 1
        return sum(genome)

    part = search(path, genet(mutation_rate=0.3), counted)
    assert set(calls.values()) == {1}
    reused = [event for event in events(path, "told") if event["reused"]]
    assert len(calls) + len(reused) == 40
    assert reused
    assert all(event["cost"] == dict.fromkeys(COSTS, 0) for event in reused)
    assert part.trained == len(calls)


def test_a_duplicate_in_flight_is_joined(path):
    calls = []
    twins = First([Individual((1,) * 9) for _ in range(3)])

    def slow(genome):
        calls.append(genome)
        time.sleep(0.2)
        return sum(genome)

    with ThreadPoolExecutor(3) as pool:
        search(path, twins, slow, executor=pool, workers=3)
    assert len(calls) == 1
    assert [(e["values"], e["reused"]) for e in events(path, "told")] == [([9.0], False), ([9.0], True), ([9.0], True)]


def test_a_strategy_that_retrains_repeats_gets_the_next_replicate(path):
    strategy = genet(population=4, average_repeats=True, crossover_rate=0.0, mutation_rate=0.0)
    strategy.toolbox.register("individual", lambda: Individual((1,) * 9))
    search(path, strategy, lambda genome: random.Random(1).random(), budget=Budget(12))
    assert [event["key"].split("#")[1] for event in events(path, "asked")] == [str(n) for n in range(12)]
    assert not any(event["reused"] for event in events(path, "told"))


def test_failures_are_recorded_and_the_search_goes_on(path):
    def fussy(genome):
        if genome[0]:
            raise ValueError("no ones at the start")
        return sum(genome)

    part = search(path, genet(), fussy)
    failed = [event for event in events(path, "told") if event["status"] == "failed"]
    assert 0 < len(failed) < 40
    assert all(event["values"] == [] and "no ones at the start" in event["error"] for event in failed)
    assert all(part.asked[event["id"]].fitness.failed for event in failed)


def test_a_search_in_which_everything_fails_stops_and_says_why(path):
    def broken(genome):
        raise ValueError("the driver is missing")

    with pytest.raises(RunError, match=r"first 10 evaluations have all failed.*driver is missing"):
        search(path, genet(), broken)
    assert len(events(path, "told")) == 10


def test_a_strategy_with_no_more_to_propose_ends_the_part(path):
    part = search(path, First([Individual((0,) * 9)]))
    assert part.ended_because == "nothing more to propose"
    assert len(part.outcomes) == 1


def test_ten_thousand_repeats_in_a_row_end_a_search(path, monkeypatch):
    monkeypatch.setattr("evonas.run.course.REPEATS_LIMIT", 50)
    part = search(path, RandomSearch(uniform(GeNetSpace((2, 2), (4, 4)), rng=random.Random(0))), budget=Budget(10_000))
    assert "had all been evaluated before" in part.ended_because
    assert len(part.outcomes) < 200


def test_an_epoch_budget_stops_when_it_is_spent(path):
    class Costly(Function):
        def __call__(self, candidate, replicate=0):
            return Outcome((float(sum(candidate.genome)),), epochs=3)

    journal = Journal(path, DIGITS.to_json(), clock=time.monotonic)
    part = Phase("search", RandomSearch(uniform(DIGITS, rng=random.Random(3))), Costly(sum))
    Loop(journal, Serial(), 1).run(part, Budget(epochs=20))
    assert part.epochs == 21
    assert part.ended_because == "20 epochs"


def test_a_time_budget_begins_nothing_that_would_end_late(path):
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Clock()

    def slow(genome):
        clock.now += 10
        return sum(genome)

    class Timed(Function):
        def __call__(self, candidate, replicate=0):
            return Outcome((float(self.function(candidate.genome)),), seconds=10.0)

    journal = Journal(path, DIGITS.to_json(), clock=clock)
    part = Phase("search", BestSoFar(0), Timed(slow))
    Loop(journal, Serial(), 1).run(part, Budget(seconds=75))
    assert part.trained == 7  # at 70 s, another one would end at 80 s
    assert clock.now == 70


def test_a_budget_of_core_seconds_counts_the_work_and_not_the_waiting(path):
    def works_and_waits(genome):
        time.sleep(0.05)
        start = time.process_time()
        while time.process_time() < start + 0.02:
            pass
        return sum(genome)

    journal = Journal(path, DIGITS.to_json())
    part = Phase("search", BestSoFar(0), Function(works_and_waits))
    Loop(journal, Serial(), 1).run(part, Budget(core_seconds=0.1))
    assert 0.1 <= part.core_seconds < 0.2
    assert part.seconds > 2 * part.core_seconds
    assert part.core_seconds == pytest.approx(sum(event["cost"]["core_seconds"] for event in events(path, "told")))
    assert "0.1 core seconds of evaluation" in events(path, "ended")[0]["because"]


@pytest.mark.parametrize("amounts", [{"evaluations": 0}, {"epochs": -1}, {"seconds": 0.0}])
def test_a_budget_of_nothing_is_refused(amounts):
    with pytest.raises(UserError, match="use more than 0"):
        Budget(**amounts)


def test_no_workers_are_refused(path):
    with pytest.raises(UserError, match="workers is 0; use at least 1"):
        search(path, genet(), workers=0)


# ---- resuming -----------------------------------------------------------------------------------------------------


def test_one_and_two_workers_give_the_same_generational_search(tmp_path):
    search(tmp_path / "one", genet(5))
    executor = Processes(2)
    search(tmp_path / "two", genet(5), executor=executor, workers=2)
    executor.shutdown()
    assert outcomes(tmp_path / "one") == outcomes(tmp_path / "two")


@pytest.mark.parametrize("strategy", [genet, BestSoFar], ids=["generational", "steady state"])
def test_a_run_cut_anywhere_resumes_to_the_same_end(tmp_path, strategy):
    whole = tmp_path / "whole"
    search(whole, strategy(3))
    lines = whole.read_bytes().splitlines(keepends=True)
    for cut in (1, 2, 3, 17, 18, len(lines) // 2, len(lines) - 2, len(lines) - 1):
        path = tmp_path / f"cut{cut}"
        path.write_bytes(b"".join(lines[:cut]) + lines[cut][:9])
        search(path, strategy(3))
        assert outcomes(path) == outcomes(whole)


def test_a_part_that_has_ended_is_not_begun_again(path):
    search(path, genet(3))
    before = path.read_bytes()

    def never(genome):
        raise AssertionError("nothing is to be evaluated")

    part = search(path, genet(3), never)
    assert path.read_bytes() == before
    assert part.ended_because == "40 evaluations"
    assert len(part.outcomes) == 40


def test_a_finished_part_goes_on_with_a_larger_budget(tmp_path):
    search(tmp_path / "whole", genet(3), budget=Budget(60))
    journal = Journal(tmp_path / "more", DIGITS.to_json(), clock=time.monotonic)
    part = Phase("search", genet(3), Function(sum))
    loop = Loop(journal, Serial(), 1)
    loop.run(part, Budget(25))
    loop.run(part, Budget(60))
    assert outcomes(tmp_path / "more") == outcomes(tmp_path / "whole")


def test_with_asynchronous_workers_the_replayed_prefix_equals_the_journal(path):
    def slow(genome):
        time.sleep(random.random() / 100)
        return sum(genome)

    with ThreadPoolExecutor(3) as pool:
        search(path, BestSoFar(1), slow, executor=pool, workers=3, budget=Budget(60))
        lines = path.read_bytes().splitlines(keepends=True)
        cut = len(lines) // 2
        path.write_bytes(b"".join(lines[:cut]))
        seen = []
        search(path, BestSoFar(1), slow, executor=pool, workers=3, budget=Budget(60),
               on_event=lambda event, replayed: seen.append((event, replayed)))  # fmt: skip
    replayed = [event for event, again in seen if again]
    assert replayed == [json.loads(line) for line in lines[1:cut]]
    assert path.read_bytes().splitlines(keepends=True)[:cut] == lines[:cut]
    assert len(events(path, "told")) == 60
    assert max(Counter(event["id"] for event in events(path, "told")).values()) == 1


def test_a_journal_of_other_settings_is_refused_at_the_line_where_they_part(path):
    search(path, genet(3))
    with pytest.raises(JournalError, match=r"line 2: the journal has .* where the strategy proposes"):
        search(path, genet(4))


DRIVER = """
    import sys, time
    from pathlib import Path
    from evonas.evaluation import Function
    from evonas.executors import Processes, Serial
    from evonas.genomes.genet import DIGITS
    from evonas.run.journal import Journal
    from evonas.run.budget import Budget
    from evonas.run.loop import Loop
    from evonas.run.phase import Phase
    from evonas.operators.genet import toolbox
    from evonas.strategies.genet import GeNet
    from evonas.support.streams import stream

    def cheap(genome):
        time.sleep(0.004)
        return sum(genome) / 3

    if __name__ == "__main__":
        rng = stream(9, "genet")
        strategy = GeNet(toolbox(DIGITS, rng=rng, bit_flip_rate=0.2), rng=rng)
        journal = Journal(Path(sys.argv[1]), DIGITS.to_json(), clock=time.monotonic)
        part = Phase("search", strategy, Function(cheap))
        workers = int(sys.argv[2])
        executor = Serial() if workers == 1 else Processes(workers)
        print("ready", flush=True)
        Loop(journal, executor, workers).run(part, Budget(400))
        executor.shutdown()
"""


@pytest.fixture
def driver(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))

    def start(path: Path, workers: int = 1):
        command = [sys.executable, str(script), str(path), str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout.readline() == "ready\n"
        return process

    return start


def test_a_search_killed_at_twenty_random_moments_ends_as_one_never_killed(tmp_path, driver):
    assert driver(tmp_path / "whole").wait(60) == 0
    rng, killed, path = random.Random(2), 0, tmp_path / "killed"
    sizes = []
    while killed < 20:
        process = driver(path)
        time.sleep(rng.uniform(0.0, 0.12))
        process.kill()
        killed += process.wait(60) == -signal.SIGKILL
        sizes.append(path.stat().st_size)
        if process.returncode == 0:  # it got to the end before the kill: cut it back, so that 20 kills are real ones
            path.write_bytes(path.read_bytes()[: sizes[0] or 300])
    assert driver(path).wait(60) == 0
    assert outcomes(path) == outcomes(tmp_path / "whole")


def test_a_worker_killed_with_sigkill_costs_nothing_told(tmp_path, driver):
    assert driver(tmp_path / "whole").wait(60) == 0
    path = tmp_path / "killed"
    process = driver(path, workers=2)
    kills = 0
    while process.poll() is None and kills < 3:
        time.sleep(0.01)
        if not path.exists() or path.read_bytes().count(b'"told"') < 40 + 80 * kills:
            continue
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        workers = [pid for pid in children if b"loky" in Path(f"/proc/{pid}/cmdline").read_bytes()
                   and b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]  # fmt: skip
        if workers:
            subprocess.run(["kill", "-9", workers[0]], check=False)
            kills += 1
    assert process.wait(60) == 0
    assert kills == 3
    assert outcomes(path) == outcomes(tmp_path / "whole")
