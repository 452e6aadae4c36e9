"""The best few of a search are trained by the final recipe, and the best of these by the validation split wins."""

import json

import pytest

import evonas
from evonas.errors import UserError
from evonas.ranking import Best, best_of, the_best
from evonas.reports.tables import fact_lines

SAME = {"data": "digits", "settings": {"epochs": 1, "final.epochs": 2, "population": 4}, "progress": False,
        "workers": 1, "executor": "serial"}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evonas.search("genet", **SAME, budget=8, finalists=3, baseline=True,
                         out=tmp_path_factory.mktemp("runs") / "run")  # fmt: skip


def of(run, phase):
    return [record for record in run.records() if record["phase"] == phase]


def test_as_many_different_networks_as_are_asked_for_are_trained_of_the_search_and_of_random_search(run):
    for phase, among in (("finalists", "search"), ("baseline-finalists", "baseline")):
        finalists = of(run, phase)
        assert len(finalists) == len({tuple(r["genome"]) for r in finalists}) == 3
        assert all(r["cost"]["epochs"] == 2 and r["status"] == "full" for r in finalists)
        ranked = sorted({tuple(r["genome"]): r["values"][0] for r in of(run, among) if r["role"] is None}.values())[
            ::-1
        ]
        searched = {r["id"]: r["values"][0] for r in of(run, among)}
        assert [searched[r["parents"][0]] for r in finalists] == ranked[:3]


def test_the_winner_is_the_best_finalist_by_the_validation_split_everywhere(run):
    chosen = max(of(run, "finalists"), key=lambda r: (r["values"][0], -r["measures"]["parameters"]))
    assert run.best.id == chosen["parents"][0]
    assert run.summary["winner"]["code"] == chosen["code"]
    assert run.summary["winner"]["validation_accuracy"] == chosen["values"][0]
    assert run.finalist().facts["id"] == chosen["parents"][0]
    assert f"#{run.best.id} is the best of them" in dict(fact_lines(run))["finalists"]
    lucky = max(of(run, "baseline-finalists"), key=lambda r: (r["values"][0], -r["measures"]["parameters"]))
    assert run.summary["random_search"]["code"] == lucky["code"]


def test_a_run_that_was_cut_goes_on_with_its_finalists(run, tmp_path):
    lines = run.journal_path.read_bytes().splitlines(keepends=True)
    told = [at for at, line in enumerate(lines) if json.loads(line).get("event") == "told"]
    ids = {json.loads(line)["id"] for line in lines if json.loads(line).get("phase") == "finalists"}
    first = next(at for at in told if json.loads(lines[at])["id"] in ids)
    cut = tmp_path / "run"
    cut.mkdir()
    (cut / "config.json").write_bytes((run.directory / "config.json").read_bytes())
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: first + 1]))
    again = evonas.search("genet", **SAME, budget=8, finalists=3, baseline=True, resume=True, out=cut)
    assert [(r["genome"], r["values"]) for r in again.records()] == [(r["genome"], r["values"]) for r in run.records()]
    assert again.best.id == run.best.id


def test_finalists_of_an_earlier_budget_do_not_count_once_the_search_has_gone_on(run):
    records = run.records()
    further = {**of(run, "search")[0], "id": max(r["id"] for r in records) + 1, "values": [1.0], "genome": [9]}
    assert best_of(records, 1.0).id == run.best.id
    assert best_of([*records, further], 1.0).id == further["id"]


def test_the_best_few_are_different_and_in_order():
    told = [Best(0, (0,), 0.5), Best(1, (1,), 0.9), Best(2, (0,), 0.7), Best(3, (2,), 0.7, parameters=5),
            Best(4, (3,), 0.7, parameters=3)]  # fmt: skip
    assert [found.id for found in the_best(told, 1.0, 3)] == [1, 4, 3]
    assert the_best(told, 1.0, 9)[-1] == Best(0, (0,), 0.6)
    alike = the_best(told, 1.0, 9, key=lambda genome: genome[0] > 1)  # (2,) and (3,) are one network, (0,) and (1,) one
    assert [found.id for found in alike] == [1, 4]


def test_finalists_are_refused_where_nothing_is_trained(tmp_path):
    with pytest.raises(UserError, match="finalists is 0"):
        evonas.search("genet", **SAME, budget=4, finalists=0, out=tmp_path / "a")
    with pytest.raises(UserError, match="no data to train them on"):
        evonas.search("genet", evaluate=sum, budget=4, finalists=2, progress=False, out=tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_time_is_divided_so_that_finalists_are_trained_too(tmp_path):
    run = evonas.search("genet", "digits", settings={"epochs": 1, "final.epochs": 40}, budget="30s", finalists=2,
                        workers=1, executor="serial", progress=False, out=tmp_path / "run")  # fmt: skip
    epochs = {r["cost"]["epochs"] for phase in ("finalists", "final") for r in of(run, phase)}
    assert len(epochs) == 1
    assert run.summary["wall_s"] < 45
