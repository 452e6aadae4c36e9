"""evonas compress: a smaller network than the winner of a run, and what it cost."""

import pytest

import evonas
from evonas.compression import cost
from evonas.errors import UserError

QUICK = {"search.epochs": 1, "final.epochs": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = {"population": 2, "epochs": 1, "final.epochs": 12, "filters": (16, 24)}
    return evonas.search("genet", "digits", budget=2, settings=settings, workers=1, executor="serial", progress=False,
                         out=tmp_path_factory.mktemp("searched") / "run")  # fmt: skip


def small(run, **options):
    same = {"workers": 1, "executor": "serial", "progress": False, "settings": QUICK}
    return evonas.compress(run.directory, **same | options)


def test_the_winner_is_made_smaller_by_networks_that_it_teaches(run, tmp_path):
    found = small(run, max_parameters="4k", budget=8, out=tmp_path / "small")
    before, after = run.best.trained(), found.best.trained()
    assert after.graph.parameters <= 4000 < before.graph.parameters
    assert all(record["measures"]["parameters"] <= 4000 for record in found.records() if record["phase"] == "search")
    assert found.config.teacher is not None
    assert found.config.source["name"] == run.config.source["name"]
    assert after.facts["recipe"]["distill"] > 0
    assert after.test > 0.3  # it has learnt something in two epochs
    first = [record["code"] for record in found.records() if record["phase"] == "search"][:3]
    assert len(set(first)) == 3
    rows = cost(before, after)
    assert [row[""] for row in rows] == ["before", "after", "left"]
    assert rows[1]["parameters"] == f"{after.graph.parameters:,}"
    assert rows[2]["test accuracy"] == f"{100 * (after.test - before.test):+.2f} points"


def test_the_command_prints_what_it_cost_and_goes_on_where_it_was_cut(run, in_process, tmp_path):
    quick = ("--workers", 1, "--set", "search.epochs=1", "final.epochs=1")
    done = in_process("compress", run.directory, "--max-multiply-adds", "200k", "--evaluations", 3, "--out",
                      tmp_path / "small", *quick)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "before" in done.stdout
    assert "points" in done.stdout
    again = in_process("compress", run.directory, "--max-multiply-adds", "200k", "--evaluations", 3, "--out",
                       tmp_path / "small", "--resume", *quick)  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_limits_that_are_none_or_too_low_are_refused_before_anything_is_written(run, tmp_path):
    with pytest.raises(UserError, match="how small"):
        small(run, out=tmp_path / "small")
    with pytest.raises(UserError, match="no uniformly smaller network keeps this limit: the smallest has"):
        small(run, max_parameters=100, out=tmp_path / "small")
    with pytest.raises(UserError, match="no count"):
        small(run, max_parameters="few", out=tmp_path / "small")
    assert not (tmp_path / "small").exists()
