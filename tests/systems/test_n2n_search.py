"""N2N as a system: the teacher is trained first, or given, and its pupils are judged against it, kills or not."""

import json
from statistics import fmean

import pytest

import evonas
from evonas.evaluation import Candidate
from evonas.evaluation.teacher import Teacher, packed
from evonas.evaluation.training import Training
from evonas.genomes.residual import ResidualSpace
from evonas.genomes.start import GivenGraph
from evonas.recipe import DIGITS_FINAL
from evonas.reports.tables import fact_lines
from evonas.run.budget import Budget
from evonas.run.carrying_out import go_on
from evonas.support.files import checksum
from evonas.systems import registry

SMALL = json.dumps(ResidualSpace(widths=(12, 24), blocks=1, input_shape=(1, 8, 8)).decode(()).to_json())
SETTINGS = {"space.start": SMALL, "search.epochs": 1, "final.epochs": 2}
SAME = {"data": "digits", "progress": False, "workers": 1, "executor": "serial", "precision": "float32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evonas.search("n2n", settings=SETTINGS, **SAME, budget=7, out=tmp_path_factory.mktemp("runs") / "run")


def rows(run):
    return [(r["phase"], r["code"], r["values"]) for r in run.records()]


def test_the_teacher_is_trained_first_and_the_best_pupil_wins(run):
    records = run.records()
    assert [r["phase"] for r in records] == ["teacher"] + ["search"] * 7 + ["final"]
    assert records[0]["cost"]["epochs"] == 2
    assert run.teacher.value == records[0]["values"][0]
    assert run.teacher.graph.digest() == run.space.whole.digest()
    assert [r["operator"] for r in records[1:8]] == ["removal"] * 2 + ["shrinkage"] * 4 + ["chosen"]
    assert run.best.id == records[7]["id"]
    assert records[7]["reused"]
    assert dict(fact_lines(run))["teacher"].startswith(f"{run.space.whole.parameters:,} parameters, 2 epochs in ")
    assert run.finalist().facts["recipe"]["distill"] > 0


def test_a_run_that_is_cut_while_the_teacher_learns_or_later_comes_to_the_same_end(run, tmp_path):
    lines = run.journal_path.read_text().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if '"continued"' in line)
    for cut in (first, len(lines) - 8):
        other = tmp_path / f"cut{cut}"
        (other / "checkpoints").mkdir(parents=True)
        (other / "journal.jsonl").write_text("".join(lines[:cut]))
        (other / "config.json").write_bytes((run.directory / "config.json").read_bytes())
        if cut > first:
            (other / "teacher").mkdir()
            (file,) = (run.directory / "teacher").iterdir()
            (other / "teacher" / file.name).write_bytes(file.read_bytes())
        resumed = go_on(evonas.open_run(other), progress=False)
        assert rows(resumed) == rows(run)


def test_a_given_teacher_is_the_start(run, tmp_path):
    settings = {"search.epochs": 1, "final.epochs": 1}
    other = evonas.search("n2n", settings=settings, teacher=run.directory, **SAME, budget=2, out=tmp_path / "other")
    assert {r["phase"] for r in other.records()} == {"search", "final"}
    assert other.space.whole.digest() == run.finalist().graph.digest()
    assert other.teacher.value == run.finalist().test


@pytest.mark.slow
def test_it_can_be_searched_by_others_and_for_a_front(run, tmp_path):
    for strategy in ("aging:population=2,sample=2", "reinforce:batch=2,units=4", "random"):
        found = evonas.search("n2n", settings=SETTINGS, teacher=run.directory, strategy=strategy, **SAME, budget=3,
                              objectives="accuracy,parameters", out=tmp_path / strategy.partition(":")[0])  # fmt: skip
        assert len(found.front) >= 1


@pytest.mark.slow
def test_a_time_is_divided_between_teacher_and_search(tmp_path):
    found = evonas.search("n2n", settings=SETTINGS | {"final.epochs": 40}, **SAME, budget=Budget(5, seconds=40.0),
                          out=tmp_path / "run")  # fmt: skip
    planned = {e["id"]: e["epochs"] for e in found.events() if e["event"] == "planned"}
    assert 1 <= planned["teacher"] <= 40
    assert found.records()[0]["cost"]["epochs"] == planned["teacher"]


@pytest.mark.slow
def test_a_pupil_of_a_good_teacher_and_of_labels(run, tmp_path):
    """The same small network for the same epochs, by either, five times each."""
    only = GivenGraph.of(run.space.whole)
    outcome = Training(run.task, DIGITS_FINAL.lasting(20), 0, ("accuracy",))(Candidate((), only, keeps=True))
    content = packed(outcome.weights, run.space.whole, outcome.values[0], run.task.preprocessing())
    (tmp_path / f"{checksum(content)}.safetensors").write_bytes(content)
    teacher = Teacher.read(tmp_path / f"{checksum(content)}.safetensors")
    space, taught = run.space, registry.setup(registry.system("n2n"), "digits").search
    pupil = Candidate(space.smaller(0.5), space)
    values: dict[str, list[float]] = {"teacher": [], "labels": []}
    for seed in range(5):
        for name, recipe in (("teacher", taught), ("labels", taught.by_labels())):
            found = Training(run.task, recipe, seed, ("accuracy",), teacher=teacher)(pupil)
            values[name].append(found.values[0])
            if name == "teacher":
                assert list(found.losses) == sorted(found.losses, reverse=True)
    print(f"teacher {teacher.value:.4f}", values, {name: fmean(found) for name, found in values.items()})
    assert fmean(values["teacher"]) > 0.9 * teacher.value
