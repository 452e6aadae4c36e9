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


def test_a_search_can_begin_with_a_network_that_exists_and_what_it_has_learnt(tmp_path):
    settings = {"population": 2, "epochs": 2, "final.epochs": 20, "filters": (8, 12)}
    same = {"data": "digits", "workers": 1, "executor": "serial", "progress": False}
    known = evonas.search("genet", budget=2, settings=settings, out=tmp_path / "known", **same)
    trained = known.best.trained()
    run = evonas.search("nash", teacher=tmp_path / "known", out=tmp_path / "grown", **same,
                        settings={"steps": 1, "neighbours": 3, "search.epochs": 1, "search.learning_rate": 0.001,
                                  "final.epochs": 1})  # fmt: skip
    start, *children = [record for record in run.records() if record["phase"] == "search"]
    assert start["measures"]["parameters"] == trained.graph.parameters
    assert start["values"][0] > 0.9  # after one small epoch
    assert start["lineage"]["copied"] == start["lineage"]["tensors"]
    assert max(record["values"][0] for record in children) > 0.9
    assert {record["lineage"]["from"] for record in children} == {start["id"]}
    assert run.config.settings["space.first_epochs"] == 0
