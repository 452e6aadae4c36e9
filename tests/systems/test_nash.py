"""NASH as a system: the paper's settings, and a search that is killed and goes on."""

import pytest

import evonas
from evonas.recipe import RECIPES
from evonas.systems.registry import setup, system


def test_the_papers_search_of_half_a_day_has_780_epochs_and_its_winner_205():
    paper = setup(system("nash"), "cifar10").having({"steps": 5})
    steps, neighbours, mutations = (
        paper.strategy.settings[name].default for name in ("steps", "neighbours", "mutations")
    )
    assert (steps, neighbours, mutations) == (5, 8, 5)
    assert paper.strategy.evaluations is None or paper.strategy.evaluations == 41
    assert steps * neighbours * paper.search.epochs + paper.final.epochs == 780
    assert 20 + steps * paper.search.epochs + paper.final.epochs == 205  # the first network has 20 in the paper


def test_each_training_is_a_cosine_of_its_own():
    recipe = RECIPES["nash-search"]
    assert [recipe.rate(epoch) for epoch in (0, 8.5, 17)] == pytest.approx([0.05, 0.025, 0])


def events(run):
    return [
        (record["genome"], record["values"], record["lineage"])
        for record in run.records()
        if record["phase"] == "search"
    ]


def test_a_search_grows_from_step_to_step_and_a_killed_one_ends_as_if_it_had_not_been(tmp_path):
    same = {
        "data": "digits", "workers": 1, "seed": 3, "executor": "serial", "progress": False, "baseline": False,
        "settings": {"steps": 2, "neighbours": 3, "search.epochs": 1, "final.epochs": 1, "start": "conv4-pool-conv4"},
    }  # fmt: skip
    run = evonas.search("nash", out=tmp_path / "whole", **same)
    records = [record for record in run.records() if record["phase"] == "search"]
    assert len(records) == 7
    best = 0.0
    for number in range(1, 7, 3):
        step = records[number : number + 3]
        assert {record["lineage"]["epochs"] for record in step} == {2 + number // 3}
        best_here = max(record["values"][0] for record in step)
        assert best_here > best - 0.1  # the parent is among them
        best = best_here
    evonas.search("nash", out=tmp_path / "cut", budget=4, **same)
    cut = evonas.search("nash", out=tmp_path / "cut", budget=7, resume=True, **same)
    assert events(cut) == events(run)
