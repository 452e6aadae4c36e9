"""DPP-Net's searches: what is trained, what is measured, and that they go on as they began."""

import json

import pytest
import torch

import evonas
from evonas.errors import UserError
from evonas.genomes.dpp_net import DPPNetSpace
from evonas.model.export import export
from evonas.strategies.choice import ParetoOptimal
from evonas.support.streams import stream
from evonas.systems.dpp_net import dpp_net
from evonas.systems.registry import setup, system

TINY = {
    "cells": (1, 1), "growth": 4, "groups": 2, "smallest": 4, "beam": 3, "epochs": 1, "strategy.epochs": 5,
    "final.epochs": 2,
}  # fmt: skip


def search(out, **given):
    settings = TINY | given.pop("settings", {})
    given = {"budget": 10, "baseline": False, "workers": 1, "seed": 3} | given
    return evonas.search("dpp-net", "digits", settings=settings, out=out, progress=False, **given)


def searched(run):
    return [record for record in run.records() if record["phase"] == "search"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return search(tmp_path_factory.mktemp("runs") / "whole")


def test_cells_of_two_layers_and_then_k_of_three_and_of_four_are_trained(whole):
    records = searched(whole)
    assert [DPPNetSpace().size(record["genome"]) for record in records] == [2] * 4 + [3] * 3 + [4] * 3
    assert list(whole.config.objectives.items()) == [
        ("accuracy", 1.0), ("parameters", -1.0), ("multiply_adds", -1.0), ("latency", -1.0)
    ]  # fmt: skip
    assert len(whole.front) > 1


def test_a_cell_says_what_was_predicted_of_it_and_what_it_costs(whole):
    for record in searched(whole)[4:]:
        said = record["proposal"]
        assert set(said) == {"predicted", "size", "parameters", "multiply_adds", "latency"}
        assert said["parameters"] == record["values"][1]
        assert said["multiply_adds"] == record["values"][2]


def test_every_candidate_was_timed_before_any_was_trained(whole):
    kept = json.loads((whole.directory / "latencies.json").read_text())
    parents = [record["genome"] for record in searched(whole)]
    space = whole.space
    larger = {space.format(genome) for parent in parents for genome in space.larger(parent)}
    assert set(kept) == larger
    assert all(latency > 0 for latency in kept.values())


def test_a_search_that_was_cut_goes_on_with_the_latencies_that_it_has_measured(whole, tmp_path):
    """They differ whenever they are measured: without them other cells would be chosen."""
    journal = (whole.directory / "journal.jsonl").read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(journal) if '"id":6' in line.replace(" ", ""))
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "journal.jsonl").write_text("".join(journal[:place]))
    for name in ("config.json", "latencies.json"):
        (cut / name).write_bytes((whole.directory / name).read_bytes())
    run = search(cut, resume=True)
    codes = [record["code"] for record in searched(run)]
    assert codes[:7] == [record["code"] for record in searched(whole)][:7]
    assert len(codes) == 10


def test_limits_remove_candidates_before_anything_is_chosen(tmp_path):
    run = search(tmp_path / "run", objectives="accuracy,multiply_adds", max_parameters=1500)
    assert max(record["measures"]["parameters"] for record in searched(run)) <= 1500
    assert run.summary["rejected"] > 0
    assert not (tmp_path / "run" / "latencies.json").exists()  # nobody asked for one


def test_for_accuracy_alone_the_best_by_prediction_are_trained(tmp_path):
    run = search(tmp_path / "run", objectives="accuracy", budget=7)
    assert all(set(record["proposal"]) == {"predicted", "size"} for record in searched(run)[4:])


def test_other_metrics_of_the_task_cannot_be_chosen_by_before_a_training(tmp_path):
    with pytest.raises(UserError, match=r"macro_f1 of a network is known after its training alone"):
        search(tmp_path / "run", objectives="accuracy,macro_f1")
    assert not (tmp_path / "run").exists()


def test_a_cell_with_learned_groups_is_trained_to_the_end_and_exported(tmp_path):
    code = "bn_relu learned_group_1x1 bn_relu group_3x3"
    trained = evonas.train(
        "dpp-net", code, data="digits", epochs=3, settings={"cells": (1, 1)}, out=tmp_path / "trained"
    )
    found = trained.network()
    assert sum(weights.numel() for weights in found.parameters()) == trained.graph.parameters
    assert export(trained, tmp_path / "exported") < 1e-5
    assert "CondensedConv2d" in (tmp_path / "exported" / "network.py").read_text()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert found(x).shape == (4, 10)


def test_the_presets_are_those_of_the_paper_and_smaller_ones():
    paper = setup(system("dpp-net"), "cifar10")
    assert (paper.space.cells, paper.space.growth, paper.space.layers) == ((14, 14, 14), 8, 4)
    assert (paper.search.epochs, paper.search.batch_size, paper.search.learning_rate) == (10, 256, 0.1)
    assert (paper.search.momentum, paper.search.nesterov, paper.final.epochs) == (0.9, True, 300)
    assert paper.strategy.settings["beam"].default == 128
    assert system("dpp-net").preset_for((1, 8, 8)) == "digits"


def test_its_strategy_is_the_progressive_one_with_the_papers_regressor():
    chosen = setup(system("dpp-net"), "digits")
    rng = stream(0, "search")
    strategy = dpp_net(chosen.strategy.tools(chosen.space, rng), rng=rng)
    assert isinstance(strategy.choose, ParetoOptimal)
    regressor = strategy.make()
    assert (regressor.width, regressor.bias, regressor.members) == (128, 2.0, 1)
    assert (regressor.first_rate, regressor.learning_rate) == (0.008, 0.008)
    assert len(strategy.generate()) == 18
