"""The system that is searched where none is named."""

import inspect
import json
import statistics

import pytest

import evonas
from evonas.errors import UserError
from evonas.genomes.blocks import BlockSpace
from evonas.genomes.residual import reference
from evonas.latency import Join, LatencyTable, key_of, steps_of
from evonas.reports.tables import verdict
from evonas.run.budget import Budget
from evonas.support.streams import stream
from evonas.systems import registry

BY_HAND = "stem16 basic3-16x2 basic3-32x2/2 basic3-64x2/2"
QUICK = {"search.epochs": 3, "final.epochs": 1}


def config_of(tmp_path, **options):
    """What a search writes down, before it trains anything."""
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=1, workers=1, progress=False, settings=QUICK, **options
    )
    return json.loads((run.directory / "config.json").read_text()), run


def test_it_is_the_system_where_none_is_named(tmp_path):
    config, run = config_of(tmp_path)
    assert inspect.signature(evonas.search).parameters["what"].default == "evonas"
    assert config["system"] == "evonas"
    assert config["fidelity"] == "asha:eta=3,least=2"
    assert config["init"] == [BY_HAND]
    assert config["limits"]["multiply_adds"] == reference((1, 8, 8), 10).decode(()).multiply_adds
    assert run.records()[0]["code"] == BY_HAND


def test_each_of_its_choices_can_be_refused(tmp_path):
    config, run = config_of(tmp_path, fidelity="none", max_multiply_adds="100k", init=["stem8 basic3-8x1/2"])
    assert config["fidelity"] is None
    assert config["limits"]["multiply_adds"] == 100_000
    assert config["init"] == ["stem8 basic3-8x1/2"]
    assert run.records()[0]["cost"]["epochs"] == 3


def test_it_need_not_begin_with_the_network_by_hand(tmp_path):
    config, run = config_of(tmp_path, init=["none"])
    assert config["init"] == []
    assert run.records()[0]["code"] != BY_HAND


def test_another_strategy_begins_as_it_is_used_to(tmp_path):
    config, _ = config_of(tmp_path, strategy="random")
    assert config["fidelity"] is None
    assert config["init"] == []
    assert config["limits"]["multiply_adds"] is not None, "the space is the same: networks no larger than by hand"


@pytest.mark.parametrize(
    ("most", "channels"), [({"max_parameters": "20k"}, 5), ({"max_multiply_adds": "8M"}, 35), ({}, 16)]
)
def test_limits_decide_the_width_of_the_skeleton(tmp_path, most, channels):
    config, run = config_of(tmp_path, **most)
    assert config["settings"]["space.channels"] == channels
    first = run.space.decode(run.records()[0]["genome"])
    assert first.digest() == run.space.decode(run.space.by_hand()).digest()


def test_a_target_for_the_latency_decides_the_width_too(tmp_path):
    space = BlockSpace(input_shape=(1, 8, 8))
    graphs = [space.decode(space.random(stream(number, "table"))) for number in range(40)]
    graphs.append(space.decode(space.by_hand()))
    ms = {
        key_of(step, shape): 0 if isinstance(step, Join) else 1e-6 * step.multiply_adds(shape)
        for graph in graphs for step, shape in steps_of(graph)
    }  # fmt: skip
    LatencyTable("cpu", "a machine", "float32", 1, ms).write(tmp_path / "latency.json")
    config, run = config_of(tmp_path, target_ms=0.5, latencies=tmp_path / "latency.json")
    assert 6 <= config["settings"]["space.channels"] < 10
    assert run.records()[0]["measures"]["multiply_adds"] < 550_000
    assert "0.5 ms by" in " ".join(run.config.limits.told())


def test_a_width_that_is_given_stands(tmp_path):
    given = evonas.search(
        data="digits", out=tmp_path / "given", budget=1, workers=1, progress=False, max_parameters="20k",
        settings=QUICK | {"channels": 4},
    )  # fmt: skip
    assert given.config.settings["space.channels"] == 4


def test_a_front_of_accuracy_and_cost_is_searched_with_whole_trainings(tmp_path):
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=8, workers=1, progress=False, objectives="accuracy,multiply_adds",
        settings={"search.epochs": 1, "final.epochs": 1},
    )  # fmt: skip
    assert run.config.fidelity is None
    assert run.records()[0]["code"] == BY_HAND
    assert len(run.front) > 1


def test_networks_that_are_too_large_are_never_trained(tmp_path):
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=30, workers=1, progress=False, max_parameters="12k",
        settings=QUICK | {"search.epochs": 1}, fidelity="none",
    )  # fmt: skip
    assert max(record["measures"]["parameters"] for record in run.records() if record["phase"] == "search") <= 12_000


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 96, 64)], ids=str)
def test_its_presets_fit_pictures_of_any_size(shape):
    system = registry.system("evonas")
    setup = registry.setup(system, system.preset_for(shape)).having({}, input_shape=shape, outputs=7)
    graph = setup.space.decode(setup.space.by_hand())
    assert graph.digest() == reference(shape, 7).decode(()).digest()
    assert system.most(setup.space) == {"multiply_adds": graph.multiply_adds}


def test_it_is_held_against_the_network_by_hand_alone(tmp_path):
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=3, workers=1, progress=False, settings=QUICK, baseline=True
    )
    assert [record["phase"] for record in run.records()].count("baseline") == 1
    assert "random_search" not in run.summary
    assert run.summary["reference"]["code"] == "residual-16-32-64x2"
    assert run.summary["baseline_evaluations"] is None
    if run.summary["winner"]["code"] == BY_HAND:  # both stand for one training
        assert run.finalist("winner").test == run.finalist("reference").test
    lines = list(verdict(run.summary))
    assert "the reference by hand" in lines[-1]
    assert not any("andom search" in line for line in lines)


def test_a_winner_that_is_the_network_by_hand_lies_in_a_folder_of_its_own(tmp_path):
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=1, workers=1, progress=False, settings=QUICK, baseline=True
    )
    winner, reference = run.finalist("winner"), run.finalist("reference")
    assert (winner.facts["code"], reference.facts["code"]) == (BY_HAND, "residual-16-32-64x2")
    assert (winner.facts["id"], reference.facts["id"]) == (0, None)
    assert sum(record["cost"]["epochs"] for record in run.records() if record["phase"] == "final") == 1
    assert run.best.folder == run.directory / "best"
    images = winner.answers["predictions"]
    assert (images == reference.answers["predictions"]).all()
    assert "within the noise" in list(verdict(run.summary))[-1]


def test_where_the_training_of_the_network_by_hand_was_stopped_the_reference_is_trained_to_the_end(tmp_path):
    run = evonas.search(
        data="digits", out=tmp_path / "run", budget=Budget(epochs=1), fidelity="asha:eta=3,least=1",
        workers=1, executor="serial", progress=False, settings=QUICK, baseline=True,
    )  # fmt: skip
    searched, compared = (
        next(record for record in run.records() if record["phase"] == phase) for phase in ("search", "baseline")
    )
    assert (searched["code"], searched["status"]) == (BY_HAND, "partial")
    assert (compared["status"], compared["cost"]["epochs"]) == ("full", QUICK["search.epochs"])
    assert run.summary["reference"]["validation_accuracy"] == compared["values"][0]


def test_its_individuals_are_near_the_network_by_hand():
    space, rng = BlockSpace(), stream(0, "near")
    by_hand = space.route(space.by_hand())
    toolbox = registry.system("evonas").toolbox(space, rng=rng, redraw_rate=0.3)
    drawn = [space.route(toolbox.individual()) for _ in range(300)]
    changed = [sum(route.get(name) != token for name, token in by_hand.items()) / len(by_hand) for route in drawn]
    assert 0.15 < statistics.fmean(changed) < 0.3, "some are drawn again as they were"
    assert {name for route in drawn for name, token in by_hand.items() if route.get(name) != token} == set(by_hand)
    exactly = registry.system("evonas").toolbox(space, rng=rng, redraw_rate=0.0)
    assert tuple(exactly.individual()) == space.by_hand()
    with pytest.raises(UserError, match="redraw_rate is 2"):
        registry.system("evonas").toolbox(space, rng=rng, redraw_rate=2)
