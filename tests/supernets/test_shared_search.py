"""A run that trains a supernet and then searches it: in workers, in any order, after kills, with what another run has
trained, and with what is lost or not what was named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from safetensors.torch import load

import evonas
from evonas.errors import RunError, UserError
from evonas.evaluation import Candidate
from evonas.evaluation.evaluator import Job
from evonas.evaluation.latencies import Latencies
from evonas.executors import Processes
from evonas.latency import LatencyTable, key_of, steps_of
from evonas.reports.tables import fact_lines
from evonas.run.supernet import SharedSearch
from evonas.supernets import shared
from evonas.supernets.shared import KeptSupernet, SharedWeights
from evonas.supernets.training import GivenBench, SupernetTraining
from evonas.support.streams import stream

SETTINGS = {"search.epochs": 8, "cells": 1, "channels": 4, "final.epochs": 1}
SAME = {"data": "digits", "settings": SETTINGS, "progress": False, "workers": 1}
SEARCH = {"supernet": "uniform", "strategy": "aging:population=4,sample=2", "budget": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evonas.search("nasbench201", **SAME, **SEARCH, out=tmp_path_factory.mktemp("runs") / "run")


def searched(run):
    return [(r["id"], r["genome"], r["values"]) for r in run.records() if r["phase"] == "search"]


def file_of(run):
    (file,) = (run.directory / "supernets").glob("*.safetensors")
    return file


def judge(run, **changed):
    search = SharedSearch(run.problem, run.config, run.directory)
    search.file = file_of(run)
    return SharedWeights(**(vars(search.evaluator()) | changed))


def candidates(run, count):
    rng = stream(0, "candidates")
    return [Candidate(run.space.random(rng), run.space) for _ in range(count)]


# ---- what it is -----------------------------------------------------------------------------------------------------


def test_a_supernet_is_trained_and_then_searched_and_the_winner_trained_by_itself(run):
    records = run.records()
    assert [r["phase"] for r in records] == ["supernet"] + ["search"] * 8 + ["final"]
    supernet = records[0]
    assert supernet["cost"]["epochs"] == 8
    assert len(supernet["losses"]) == 8
    assert supernet["weights"] == file_of(run).stem
    assert all(r["status"] == "shared" and r["cost"]["epochs"] == 0 for r in records[1:9])
    assert run.best.values["accuracy"] == max(r["values"][0] for r in records[1:9])
    facts = KeptSupernet.of(file_of(run)).facts
    assert facts["policy"].startswith("uniform:")
    assert facts["epochs"] == 8
    assert run.finalist().test == records[-1]["values"][0]
    assert dict(fact_lines(run))["supernet"].startswith("8 epochs in ")


def test_a_genome_has_the_same_value_whatever_was_judged_before_it(run):
    a, b = candidates(run, 2)
    judged = judge(run)
    first, other, again = judged(a), judged(b), judged(a)
    assert first.values == again.values
    assert first.measures == again.measures
    assert first.measures != other.measures


def test_a_worker_gives_to_the_bit_what_the_process_that_trained_gives(run):
    """Statistics are recomputed for each genome: from the same images, by the same routine."""
    trainer = SharedSearch(run.problem, run.config, run.directory).trainer
    splits = run.task.splits("cpu")
    bench = GivenBench(splits.train, splits.validation, trainer.recipe, run.config.seed, run.config.precision)
    training = SupernetTraining(trainer.space.decode(trainer.space.open()), bench, statistics="recalibrated")
    training.network.load_state_dict(load(file_of(run).read_bytes()))
    some = candidates(run, 5)
    here = [training.measures(trainer.space.route(each.genome)) for each in some]
    with Processes(1) as executor:
        there = [executor.submit(Job(judge(run), each)).result() for each in some]
    for own, worker in zip(here, there, strict=True):
        assert {name: worker.measures[name] for name in own} == own


def test_two_workers_find_what_one_finds(run, tmp_path):
    several = SAME | {"workers": 2}
    other = evonas.search("nasbench201", **several, supernet=run.directory, strategy="nsga2:population=4", budget=8,
                          out=tmp_path / "two")  # fmt: skip
    one = evonas.search("nasbench201", **SAME, supernet=run.directory, strategy="nsga2:population=4", budget=8,
                        out=tmp_path / "one")  # fmt: skip
    assert searched(one) == searched(other)


QUICK = ("aging:population=4,sample=2", "reinforce:batch=2,units=8", "guided:initial=4,candidates=10")
OTHERS = (
    "nsga2:population=4", "local", "genet:population=4", "nao:initial=4,seeds=2,new=2,epochs=2,units=4", "mcts",
    "q-learning", "spos:population=4,parents=2", "preferred:candidates=8",
)  # fmt: skip


@pytest.mark.parametrize("strategy", [*QUICK, *(pytest.param(text, marks=pytest.mark.slow) for text in OTHERS)])
def test_any_strategy_searches_it_unchanged(run, tmp_path, strategy):
    found = evonas.search("nasbench201", **SAME, supernet=run.directory, strategy=strategy, budget=8,
                          executor="serial", out=tmp_path / "run")  # fmt: skip
    records = [r for r in found.records() if r["phase"] == "search"]
    assert len(records) == 8
    judged = judge(run)
    for record in (records[0], records[-1]):
        assert list(judged(Candidate(record["genome"], run.space)).values) == record["values"]


# ---- what another run has trained -----------------------------------------------------------------------------------


def test_a_supernet_is_searched_again_under_other_limits(run, tmp_path):
    limit = sorted(r["measures"]["multiply_adds"] for r in run.records() if r["phase"] == "search")[3]
    again = evonas.search("nasbench201", **SAME, supernet=run.directory, strategy="local", budget=10,
                          max_multiply_adds=int(limit), out=tmp_path / "again")  # fmt: skip
    assert "supernet" not in {r["phase"] for r in again.records()}
    assert file_of(again).read_bytes() == file_of(run).read_bytes()
    assert dict(fact_lines(again))["supernet"] == f"lent by {run.directory}; its weights judge"
    assert all(r["measures"]["multiply_adds"] <= limit for r in again.records() if r["phase"] == "search")
    front = evonas.search("nasbench201", **SAME, supernet=run.directory, objectives="accuracy,multiply_adds",
                          budget=10, out=tmp_path / "front")  # fmt: skip
    assert front.front


def test_a_supernet_of_other_settings_or_data_or_none_is_refused(run, tmp_path):
    same = SAME | {"settings": SETTINGS | {"channels": 8}}
    with pytest.raises(UserError, match="of another space"):
        evonas.search("nasbench201", **same, supernet=run.directory, budget=4, out=tmp_path / "a")
    with pytest.raises(UserError, match="of another task"):
        evonas.search("nasbench201", **SAME, validation=0.3, supernet=run.directory, budget=4, out=tmp_path / "b")
    alone = evonas.search("nasbench201", **SAME | {"settings": SETTINGS | {"search.epochs": 1}}, budget=1,
                          out=tmp_path / "alone")  # fmt: skip
    with pytest.raises(UserError, match="no supernet that could be lent"):
        evonas.search("nasbench201", **SAME, supernet=alone.directory, budget=4, out=tmp_path / "c")
    assert {path.name for path in tmp_path.iterdir()} == {"alone"}


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"another")])
def test_a_supernet_that_is_lost_or_not_what_it_was_is_said_before_anything_is_written(run, tmp_path, damage):
    shutil.copytree(run.directory, tmp_path / "lender")
    damage(file_of(evonas.open_run(tmp_path / "lender")))
    with pytest.raises(UserError, match=r"supernet of .*lender is (lost|not there)"):
        evonas.search("nasbench201", **SAME, supernet=tmp_path / "lender", budget=4, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"another")])
def test_a_run_whose_supernet_is_lost_stops_with_what_to_do_and_goes_on_once_it_is_back(run, tmp_path, damage):
    shutil.copytree(run.directory, tmp_path / "run")
    copy = evonas.open_run(tmp_path / "run")
    content = file_of(copy).read_bytes()
    name = file_of(copy)
    damage(name)
    again = SAME | SEARCH | {"budget": 12, "resume": True}
    with pytest.raises(RunError, match=r"supernet of this run is lost: .*put .* back"):
        evonas.search("nasbench201", **again, out=copy.directory)
    name.write_bytes(content)
    further = evonas.search("nasbench201", **again, out=copy.directory)
    assert searched(further)[:8] == searched(run)
    assert len(searched(further)) == 12


def test_a_supernet_is_searched_for_latencies_that_are_read_in_a_table(run, tmp_path):
    ms = {key_of(*step): 1.0 for each in candidates(run, 20) for step in steps_of(each.graph.simplified())}
    slow = LatencyTable("cpu", "a phone", "float32", 1, ms)
    slow.write(tmp_path / "phone.json")
    found = evonas.search("nasbench201", **SAME, supernet=run.directory, strategy="nsga2:population=4",
                          objectives="accuracy,latency", latencies=tmp_path / "phone.json", budget=8,
                          out=tmp_path / "found")  # fmt: skip
    assert len(searched(found)) == 8
    read = [slow.of(found.space.decode(genome)) for _, genome, _ in searched(found)]
    assert [values[1] for *_, values in searched(found)] == [pytest.approx(each, abs=1e-4) for each in read]
    assert len(set(read)) > 1
    unknown = {key: 1.0 for key in ms if "conv" not in key[0]}
    LatencyTable("cpu", "a phone", "float32", 1, unknown).write(tmp_path / "partial.json")
    judged = judge(run, latencies=Latencies.at(tmp_path / "partial.json"))(candidates(run, 1)[0])
    assert judged.reason.startswith("latency: the latency of conv was not measured")


def test_a_supernet_of_a_part_of_the_space_is_refused_with_the_setting_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"holds only a part of its networks .* --set .*space\.fixed=True"):
        evonas.search("evonas", "digits", supernet="uniform", fidelity="none", budget=4, progress=False,
                      out=tmp_path / "run")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_borrowed_supernet_that_is_damaged_is_borrowed_again(run, tmp_path):
    again = SAME | {"supernet": run.directory, "strategy": "local", "out": tmp_path / "run"}
    evonas.search("nasbench201", **again, budget=2)
    own = tmp_path / "run/supernets" / file_of(run).name
    content = own.read_bytes()
    own.write_bytes(bytes(len(content)))  # of the same size
    evonas.search("nasbench201", **again, budget=4, resume=True)
    assert own.read_bytes() == content


# ---- workers --------------------------------------------------------------------------------------------------------


def test_a_worker_that_cannot_read_the_file_is_sent_the_supernet_once(run, tmp_path):
    """As on a host with another disk."""
    wanted = judge(run)(candidates(run, 1)[0])
    shared.opened.cache_clear()
    elsewhere = judge(run, supernet=KeptSupernet.of(tmp_path / file_of(run).name))
    lacking = elsewhere(candidates(run, 1)[0])
    assert lacking.reason.startswith("lacks:")
    (tmp_path / file_of(run).name).write_bytes(file_of(run).read_bytes())
    job = elsewhere.once_more(candidates(run, 1)[0], 0, lacking)
    (tmp_path / file_of(run).name).unlink()
    shared.opened.cache_clear()
    assert job().values == wanted.values
    assert elsewhere(candidates(run, 1)[0]).values == wanted.values  # it has it now
    assert job.evaluator.once_more(candidates(run, 1)[0], 0, lacking) is None
    shared.opened.cache_clear()


def test_a_search_goes_on_though_its_workers_have_not_got_the_supernet(run, tmp_path, monkeypatch):
    asked = []
    usual = SharedWeights.__call__

    def far_away(self, candidate, replicate=0):
        asked.append(self.supernet.content is not None)
        if self.supernet.content is None and True not in asked[:-1]:
            return shared.Outcome.failure(shared.LACKS, "no such file")
        return usual(self, candidate, replicate)

    monkeypatch.setattr(SharedWeights, "__call__", far_away)
    again = evonas.search("nasbench201", **SAME, supernet=run.directory, strategy="aging:population=4,sample=2",
                          budget=8, executor="serial", out=tmp_path / "far")  # fmt: skip
    assert asked == [False, True] + [False] * (len(asked) - 2)
    assert searched(again)
    assert not any(r.get("error") for r in again.records())


def test_a_worker_that_is_killed_costs_nothing_that_was_told(tmp_path, monkeypatch):
    """Its genome is given to a process of its own, which opens the supernet anew."""
    flag = tmp_path / "killed"
    monkeypatch.setenv("EVONAS_KILLED", str(flag))
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(KILLED))
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True, timeout=200)
    found = evonas.open_run(tmp_path / "run")
    assert flag.exists()
    assert len(searched(found)) == 8
    assert not any(r.get("error") for r in found.records())


# ---- kills ----------------------------------------------------------------------------------------------------------

KILLED = """
import os
import signal
import sys
from pathlib import Path

import evonas
from evonas.supernets.uniform import Uniform
from evonas.genomes.nasbench201 import NASBench201Space


class Deadly(NASBench201Space):
    def route(self, genome):
        flag = Path(os.environ["EVONAS_KILLED"])
        if len(Path("run/journal.jsonl").read_bytes().splitlines()) > 6 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().route(genome)


if __name__ == "__main__":
    evonas.search(Deadly(channels=4, cells=1), "digits", supernet="uniform", strategy="aging:population=4,sample=2",
                  budget=8, settings={"search.epochs": 2, "final.epochs": 1}, workers=2, out="run", progress=False)
"""

SCRIPT = """
import evonas
if __name__ == "__main__":
    evonas.search("nasbench201", "digits", supernet="uniform", strategy="aging:population=4,sample=2", budget=40,
                  settings={"search.epochs": 40, "cells": 1, "channels": 4, "final.epochs": 1}, workers=2, out="run",
                  resume=True, progress=False)
"""


def events(directory):
    path = directory / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def told(directory):
    return [(e["id"], e["values"], e.get("weights")) for e in events(directory) if e["event"] == "told"]


@pytest.mark.slow
def test_a_run_that_is_killed_in_either_phase_ends_as_one_that_was_not(tmp_path):
    """The supernet's training goes on from its last piece, to the same weights to the bit."""
    found = {}
    for name, kills in (("whole", 0), ("killed", 5)):
        place = tmp_path / name
        place.mkdir()
        (place / "search.py").write_text(textwrap.dedent(SCRIPT))
        draw, before = stream(0, "kills"), []
        for turn in range(kills + 1):
            process = subprocess.Popen([sys.executable, "search.py"], cwd=place)
            try:
                process.wait(timeout=draw.uniform(7, 11) if turn < kills else 240)
            except subprocess.TimeoutExpired:
                if turn % 2 and (victims := children(process.pid)):  # a worker first, whose task is given to another
                    os.kill(draw.choice(victims), signal.SIGKILL)
                    time.sleep(2)
                process.send_signal(signal.SIGKILL)
                process.wait()
                time.sleep(2)  # its workers end with it
            now = told(place / "run")
            assert now[: len(before)] == before
            before = now
        assert process.returncode == 0
        run = evonas.open_run(place / "run")
        found[name] = run
    assert file_of(found["whole"]).name == file_of(found["killed"]).name
    first = [next(r for r in run.records() if r["phase"] == "search") for run in found.values()]
    assert first[0]["genome"] == first[1]["genome"]
    assert first[0]["values"] == first[1]["values"]
    assert all(len(searched(run)) == 40 for run in found.values())
    assert found["killed"].resumed


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"inherit": True}, "children are to inherit weights"),
        ({"fidelity": "asha"}, "a fidelity is given"),
        ({"warm_start": "naswot:20"}, "a warm start is given"),
        ({"objectives": "accuracy,latency"}, "latency is an objective, and there is no table of it"),
        ({"settings": {"trainings": 2}}, "trained several times"),
        ({"strategy": "darts"}, "trains a supernet of its own"),
        ({"supernet": "unifrom"}, "did you mean uniform"),
        ({"supernet": "uniform:bin=3"}, "no setting 'bin'"),
        ({"supernet": "shrinking"}, "set search.epochs=7"),
    ],
)
def test_what_cannot_be_with_a_supernet_is_refused_before_anything_is_written(more, said, tmp_path):
    with pytest.raises(UserError, match=said):
        evonas.search("nasbench201", "digits", **{"supernet": "uniform", "budget": 4, "progress": False} | more,
                      out=tmp_path / "run")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_space_without_gates_has_no_supernet(tmp_path):
    with pytest.raises(UserError, match="blocks with open tokens have no network"):
        evonas.search("mnasnet", "digits", supernet="uniform", objectives="accuracy", budget=4, progress=False,
                      out=tmp_path / "run")  # fmt: skip


def test_time_decides_how_long_a_supernet_is_trained(tmp_path):
    run = evonas.search("nasbench201", "digits", settings=SETTINGS | {"search.epochs": 4000}, supernet="uniform",
                        budget="25s", workers=1, progress=False, out=tmp_path / "run")  # fmt: skip
    planned = [e for e in events(run.directory) if e["event"] == "planned" and e["id"] == "supernet"]
    assert 1 <= planned[0]["epochs"] < 4000
    assert any(r["phase"] == "search" for r in run.records())


MINE = """
from evonas.supernets.uniform import Uniform

class Mine(Uniform):
    pass
"""


def test_a_policy_of_a_users_own_trains_a_supernet_and_is_only_imported_again_where_that_is_said(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    same = SAME | {"settings": SETTINGS | {"search.epochs": 1}}
    run = evonas.search("nasbench201", **same, supernet=f"{tmp_path / 'mine.py'}:Mine", strategy="local", budget=2,
                        out=tmp_path / "run")  # fmt: skip
    assert KeptSupernet.of(file_of(run)).facts["policy"].startswith(f"{tmp_path / 'mine.py'}:Mine:bins=0")
    with pytest.raises(UserError, match=r"mine\.py:Mine, which is code"):
        _ = evonas.open_run(tmp_path / "run").problem
    assert evonas.open_run(tmp_path / "run", trust=True).problem.setup.supernet is not None
    with pytest.raises(UserError, match=r"mine\.py:Mine, which is code .* where you name it"):
        evonas.search("nasbench201", **same, supernet=run.directory, budget=2, out=tmp_path / "borrower")


def test_a_built_in_strategy_with_settings_is_no_code_that_had_to_be_trusted(run):
    assert run.config.strategy == "aging:population=4,sample=2"
    assert evonas.open_run(run.directory).untrusted == []
