"""Trainings that stop and go on, in the loop: what a strategy hears, what is kept, and that a killed run goes on as one
that was not. The evaluator is a formula, whose state says how far it has come."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from evonas.evaluation import Evaluator, Outcome
from evonas.evaluation.checkpoints import Checkpoints
from evonas.evaluation.store import WeightStore
from evonas.executors import Serial
from evonas.genomes.genet import DIGITS
from evonas.individual import Individual
from evonas.operators.genet import toolbox
from evonas.run.budget import Budget
from evonas.run.journal import Journal, JournalError, read
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.trainings import Trainings
from evonas.strategies import Strategy
from evonas.strategies.aging import AgingEvolution
from evonas.strategies.first import First
from evonas.strategies.genet import GeNet
from evonas.strategies.random_search import RandomSearch
from evonas.support.streams import stream
from evonas.systems.registry import chosen, scheduler

EPOCHS = 9


@dataclass(frozen=True)
class Formula(Evaluator):
    """Genomes with more ones learn more, and some of them later than others."""

    epochs: int = EPOCHS
    fails: tuple = ()

    def identity(self, candidate):
        return "".join(map(str, candidate.genome))

    def __call__(self, candidate, replicate=0):
        if candidate.genome in self.fails:
            return Outcome.failure("nan", "the loss is not finite")
        begun = json.loads(candidate.state) if candidate.state else {"curve": [], "genome": list(candidate.genome)}
        assert begun["genome"] == list(candidate.genome)
        reached = candidate.epochs or self.epochs
        curve = list(begun["curve"])
        trained = reached - len(curve)
        while len(curve) < reached:
            share = (len(curve) + 1) / self.epochs
            curve.append(sum(candidate.genome) / 10 * share ** (1 + candidate.genome[0]))
        full = reached == self.epochs
        state = None if full else json.dumps({"curve": curve, "genome": list(candidate.genome)}).encode()
        return Outcome((curve[-1],), "full" if full else "partial", trained, 0.01, tuple(curve), reached=reached,
                       state=state, losses=tuple(1 - value for value in curve), warning=candidate.origin.warning,
                       measures={"parameters": 100 + sum(candidate.genome)})  # fmt: skip


class Here(Serial):
    """Without a process of its own for what was in flight when a run was cut."""

    def submit_alone(self, fn, /, *args, **kwargs):
        return self.submit(fn, *args, **kwargs)


class Listening(Strategy):
    """Random search that writes down what it hears."""

    def __init__(self, seed=0):
        self.random = RandomSearch(toolbox(DIGITS, rng=stream(seed, "random")), evaluations=None)
        self.heard, self.revised = [], []

    def generate(self, n=None):
        return self.random.generate(n)

    def update(self, individuals):
        self.heard += [(each.id, each.fitness.values, each.fidelity) for each in individuals]

    def revise(self, individuals):
        self.revised += [(each.id, each.fitness.values, each.fidelity) for each in individuals]


def genet(population=8, **settings):
    rng = stream(0, "genet")
    return GeNet(toolbox(DIGITS, rng=rng, bit_flip_rate=0.2), rng=rng, population=population, **settings)


def aging(**settings):
    rng = stream(0, "aging")
    return AgingEvolution(toolbox(DIGITS, rng=rng, bit_flip_rate=0.2), rng=rng, population=6, sample=3, **settings)


def search(folder, strategy, fidelity, evaluator=None, *, budget=None, workers=1, limit=None):
    folder.mkdir(exist_ok=True)
    evaluator = evaluator or Formula()
    journal = Journal(folder / "journal.jsonl", DIGITS.to_json(), clock=time.monotonic)
    store = WeightStore(folder / "checkpoints", limit, suffix=".checkpoint")
    trainings = Trainings(scheduler(fidelity, EPOCHS), Checkpoints(store), evaluator.features)
    phase = Phase("search", strategy, evaluator, DIGITS, trainings=trainings)
    with journal:
        Loop(journal, Here(), workers).run(phase, budget or Budget(30))
    return phase


def events(folder, kind=None):
    return [event for _, event in read(folder / "journal.jsonl")[0] if kind in (None, event["event"])]


def history(folder):
    """What a resumed run must repeat: everything but when, and where."""
    return [{name: value for name, value in event.items() if name not in ("t", "check", "worker", "warning")}
            for event in events(folder)]  # fmt: skip


FIDELITIES = ("halving:candidates=9", "hyperband", "asha", "asha:variant=stopping", "median:grace=2,least=2",
              "baker:least=6,most=12,draws=2,first=.3,every=.3", "last-value:least=5,first=.3")  # fmt: skip


# ---- what a strategy hears ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_a_strategy_is_told_of_each_candidate_once_and_winners_are_full(tmp_path, fidelity):
    strategy = Listening()
    phase = search(tmp_path, strategy, fidelity)
    ids = [id for id, _, _ in strategy.heard]
    assert len(ids) == len(set(ids)) == 30
    ranked = phase.ranked()
    assert ranked
    assert {phase.outcomes[each.id].status for each in ranked} == {"full"}
    assert phase.epochs < 30 * EPOCHS, "something was stopped"


def test_a_promoted_training_is_a_second_report_and_its_value_rises_in_place(tmp_path):
    strategy = Listening()
    phase = search(tmp_path, strategy, "asha")
    assert strategy.revised, "of thirty, some are paused first and promoted later"
    first = {id: (values, fidelity) for id, values, fidelity in strategy.heard}
    for id, values, fidelity in strategy.revised:
        assert values > first[id][0]
        assert fidelity > first[id][1]
    individual = next(each for each in phase.asked if each.id == strategy.revised[-1][0])
    assert individual.fitness.values == phase.outcomes[individual.id].values
    assert not Listening().revised


def test_without_asynchronous_promotion_nothing_is_reported_twice(tmp_path):
    for fidelity in FIDELITIES:
        strategy = Listening()
        search(tmp_path / str(FIDELITIES.index(fidelity)), strategy, fidelity)
        assert not strategy.revised or fidelity == "asha"


def test_a_generation_ends_when_each_of_its_candidates_is_stopped_or_full(tmp_path):
    phase = search(tmp_path, genet(population=8), "halving:candidates=9", budget=Budget(24))
    counted = Counter(event["event"] for event in events(tmp_path))
    assert Counter(individual.generation for individual in phase.asked) == {0: 8, 1: 8, 2: 8}
    assert counted["closed"] >= 3, "eight never fill a bracket of nine: it is decided as it is"
    last = [max(place for place, event in enumerate(events(tmp_path)) if event.get("generation") == generation)
            for generation in range(3)]  # fmt: skip
    for generation, end in enumerate(last[:-1]):
        before = {each.id for each in phase.asked if each.generation <= generation}
        told = [event["id"] for event in events(tmp_path)[: last[generation + 1]] if event["event"] == "told"]
        assert end < last[generation + 1]
        assert before <= set(told)


def test_a_training_costs_only_what_lies_between_its_rungs(tmp_path):
    phase = search(tmp_path, Listening(), "asha")
    told = events(tmp_path, "told")
    assert phase.epochs == sum(event["cost"]["epochs"] for event in told)
    for id, outcome in phase.outcomes.items():
        mine = [event for event in told if event["id"] == id and not event["reused"]]
        assert not mine or sum(event["cost"]["epochs"] for event in mine) == outcome.reached
    assert phase.jobs == len([event for event in told if not event["reused"]])


def test_an_equal_candidate_waits_for_the_training_that_waits_for_others(tmp_path):
    genomes = [(1,) * 9, (0,) * 8 + (1,), (1,) * 9, (0, 1) + (0,) * 7]
    phase = search(tmp_path, First([Individual(each) for each in genomes]), "halving:candidates=3,least=3")
    assert phase.outcomes[0].status == phase.outcomes[2].status == "full"
    assert phase.outcomes[2].values == phase.outcomes[0].values
    assert [event["reused"] for event in events(tmp_path, "told") if event["id"] == 2] == [True]
    assert phase.epochs == 3 * 3 + 6


def test_a_failure_stops_a_training_and_its_place_in_the_rung_is_nobodys(tmp_path):
    genomes = [(1,) * 9, (0,) * 8 + (1,), (0,) * 9]
    phase = search(tmp_path, First([Individual(each) for each in genomes]), "halving:candidates=3,least=3",
                   Formula(fails=((1,) * 9,)))  # fmt: skip
    assert phase.outcomes[0].status == "failed"
    assert phase.outcomes[1].status == "full"
    assert phase.outcomes[2].status == "partial"


def test_where_nothing_came_to_its_end_those_that_came_furthest_are_compared(tmp_path):
    phase = search(tmp_path, Listening(), "halving:candidates=27", budget=Budget(epochs=31))
    assert {outcome.status for outcome in phase.outcomes.values()} == {"partial"}
    reached = {phase.outcomes[each.id].reached for each in phase.ranked()}
    assert reached == {3}
    assert len({outcome.reached for outcome in phase.outcomes.values()}) == 2


def test_a_predicted_fitness_is_told_apart(tmp_path):
    phase = search(tmp_path, Listening(), "baker:least=6,most=12,draws=2,first=.3,every=.3", budget=Budget(60))
    predicted = [outcome for outcome in phase.outcomes.values() if outcome.status == "predicted"]
    assert predicted
    for outcome in predicted:
        assert outcome.values[0] == outcome.forecast[0] != outcome.curve[-1]
    assert not any(phase.outcomes[each.id].status == "predicted" for each in phase.ranked())


@pytest.mark.parametrize(
    "name",
    [
        "genet:population=6",
        "aging:population=6,sample=3",
        "tournament:population=6",
        "nsga2:population=6",
        "reinforce:batch=4",
        "ppo:batch=4",
        "q-learning",
        "local",
    ],
)
def test_strategies_of_every_kind_search_under_asha_and_resume(tmp_path, name):
    def make():
        rng = stream(0, name)
        using = chosen(name, toolbox)
        return using.strategy(using.tools(DIGITS, rng), rng)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    phase = search(whole, make(), "asha", budget=Budget(24))
    assert any(phase.outcomes[each.id].status == "full" for each in phase.ranked())
    assert {outcome.status for outcome in phase.outcomes.values()} == {"full", "partial"}
    shutil.copytree(whole, cut)
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    search(cut, make(), "asha", budget=Budget(24))
    assert [replace_cost(event) for event in history(cut)] == [replace_cost(event) for event in history(whole)]


# ---- checkpoints --------------------------------------------------------------------------------------------------


def test_checkpoints_are_kept_while_a_training_may_go_on_and_no_longer(tmp_path):
    phase = search(tmp_path, Listening(), "asha")
    kept = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    open = phase.trainings.scheduler.open
    assert open
    assert kept == {phase.outcomes[id].checkpoint for id in open}
    search(tmp_path / "stopping", Listening(), "asha:variant=stopping")
    assert not list((tmp_path / "stopping" / "checkpoints").iterdir())


def test_on_a_full_disk_the_least_promising_checkpoints_go_and_the_search_is_the_same(tmp_path):
    phase = search(tmp_path / "short", Listening(), "asha", limit=300)
    assert sum(path.stat().st_size for path in (tmp_path / "short" / "checkpoints").iterdir()) <= 300
    whole = search(tmp_path / "again", Listening(), "asha")
    assert phase.strategy.heard == whole.strategy.heard
    warned = [event for event in events(tmp_path / "short", "told") if event.get("warning")]
    assert warned
    assert all("trained anew" in event["warning"] for event in warned)


# ---- the past -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("make", [genet, aging])
def test_a_run_that_was_cut_anywhere_goes_on_as_if_it_had_not(tmp_path, fidelity, make):
    whole = tmp_path / "whole"
    search(whole, make(), fidelity)
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for length in range(3, len(lines), len(lines) // 4):
        cut = tmp_path / f"cut{length}"
        shutil.copytree(whole, cut)
        (cut / "journal.jsonl").write_bytes(b"".join(lines[:length]))
        shutil.rmtree(cut / "checkpoints")  # those of that moment are gone: each training begins anew
        search(cut, make(), fidelity)
        ours, theirs = history(cut), history(whole)
        assert [replace_cost(event) for event in ours] == [replace_cost(event) for event in theirs]


def replace_cost(event):
    """A training whose checkpoint is lost costs more, and is the same in all else."""
    return event | {"cost": None} if event["event"] == "told" else event


def test_a_journal_of_another_scheduler_is_refused(tmp_path):
    search(tmp_path, Listening(), "asha", budget=Budget(12))
    with pytest.raises(JournalError, match=r"line \d+: \d+ (was|went|began)"):
        search(tmp_path, Listening(), "asha:eta=2", budget=Budget(12))


def test_a_damaged_checkpoint_is_said_and_costs_time_only(tmp_path):
    folder = tmp_path / "run"
    search(folder, Listening(), "asha", budget=Budget(12))
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(b"something else")
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:-1]))  # without its end
    phase = search(folder, Listening(), "asha", budget=Budget(30))
    warned = [outcome for outcome in phase.outcomes.values() if outcome.warning]
    assert warned
    assert all("trained anew" in outcome.warning and "damaged" in outcome.warning for outcome in warned)
    untouched = search(tmp_path / "other", Listening(), "asha", budget=Budget(30))
    assert {id: outcome.curve for id, outcome in phase.outcomes.items()} == {
        id: outcome.curve for id, outcome in untouched.outcomes.items()
    }


def test_a_larger_budget_goes_on_with_what_is_paused(tmp_path):
    folder = tmp_path / "run"
    search(folder, Listening(), "asha", budget=Budget(12))
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    evaluator, trainings = Formula(), Trainings(scheduler("asha", EPOCHS), Checkpoints(
        WeightStore(folder / "checkpoints", suffix=".checkpoint")), Formula().features)  # fmt: skip
    phase = Phase("search", Listening(), evaluator, DIGITS, trainings=trainings)
    with Journal(folder / "journal.jsonl", DIGITS.to_json()) as journal:
        loop = Loop(journal, Here(), 1)
        loop.run(phase, Budget(12))
        assert phase.ended_because == "12 evaluations"
        loop.run(phase, Budget(40))
    assert len(phase.asked) == 40
    continued = [event for event in events(folder)[len(lines) :] if event["event"] == "continued"]
    assert any(event["id"] < 12 for event in continued)


def test_rounds_of_a_rung_are_told_with_their_losses_and_what_was_asked(tmp_path):
    search(tmp_path, Listening(), "asha", budget=Budget(12))
    asked, told = events(tmp_path, "asked"), events(tmp_path, "told")
    assert {event["epochs"] for event in asked if "epochs" in event} == {1}
    for event in told:
        assert event["reused"] or len(event["losses"]) == len(event["curve"]) == event["reached"]
        assert event["status"] == ("full" if event["reached"] == EPOCHS else "partial")
    assert all(event.get("checkpoint") for event in told if event["status"] == "partial" and not event["reused"])


# ---- killed -------------------------------------------------------------------------------------------------------

DRIVER = """
    import sys
    import time
    from pathlib import Path

    sys.path.insert(0, {tests!r})
    from run.test_trainings import EPOCHS, Formula, aging
    from evonas.evaluation.checkpoints import Checkpoints
    from evonas.evaluation.store import WeightStore
    from evonas.executors import Processes
    from evonas.genomes.genet import DIGITS
    from evonas.run.budget import Budget
    from evonas.run.journal import Journal
    from evonas.run.loop import Loop
    from evonas.run.phase import Phase
    from evonas.run.trainings import Trainings
    from evonas.systems.registry import scheduler

    class Slow(Formula):
        def __call__(self, candidate, replicate=0):
            time.sleep(0.05)
            return super().__call__(candidate, replicate)

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        store = WeightStore(folder / "checkpoints", suffix=".checkpoint")
        trainings = Trainings(scheduler("asha", EPOCHS), Checkpoints(store), Slow().features)
        phase = Phase("search", aging(), Slow(), DIGITS, trainings=trainings)
        executor = Processes(2)
        with Journal(folder / "journal.jsonl", DIGITS.to_json()) as journal:
            print("ready", flush=True)
            Loop(journal, executor, 2).run(phase, Budget(int(sys.argv[2])))
        executor.shutdown()
"""


@pytest.mark.parametrize(("kills", "evaluations"), [(3, 60), pytest.param(30, 400, marks=pytest.mark.slow)])
def test_an_asha_run_of_two_workers_that_is_killed_loses_and_repeats_nothing(tmp_path, kills, evaluations):
    script, folder = tmp_path / "driver.py", tmp_path / "run"
    folder.mkdir()
    script.write_text(textwrap.dedent(DRIVER).format(tests=str(Path(__file__).parents[1])))
    journal, rng, killed = folder / "journal.jsonl", random.Random(4), 0

    def start():
        process = subprocess.Popen([sys.executable, str(script), str(folder), str(evaluations)],
                                   stdout=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        return process

    before = b""
    while killed < kills:
        process = start()
        seen = journal.stat().st_size
        while process.poll() is None and journal.stat().st_size == seen:  # its workers take a moment to start
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.5))
        with suppress(ProcessLookupError):  # it may have come to its end
            os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait(60) == -signal.SIGKILL
        now = journal.read_bytes()
        whole = now[: now.rfind(b"\n") + 1]
        assert whole.startswith(before), "what was written stays as it was"
        before = whole
        if process.returncode == 0:
            break
    assert start().wait(120) == 0
    assert journal.read_bytes().startswith(before)
    assert killed == kills, "the run is long enough for all of them"
    told = [event for event in events(folder, "told") if not event["reused"]]
    rungs = Counter((event["id"], event["reached"]) for event in told)
    assert set(rungs.values()) == {1}
    assert len(events(folder, "continued")) == len(told) - len({event["id"] for event in told})
    spent = Counter()
    for event in told:
        spent[event["id"]] += event["cost"]["epochs"]
    furthest = {event["id"]: event["reached"] for event in told}
    assert spent == furthest, "no epoch was trained twice, but those in flight"
    length = len(events(folder))
    search(
        folder, aging(), "asha", budget=Budget(evaluations), workers=2
    )  # a replay: each proposal is the recorded one
    assert len(events(folder)) == length
