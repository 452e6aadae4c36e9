"""What a progressive search makes of its predictions: the best, or whole fronts of worth and cost."""

import json

import numpy as np
import pytest

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.genomes.dpp_net import DPPNetSpace
from evonas.individual import Individual, judge
from evonas.latency import LatencyTable, key_of, steps_of
from evonas.operators.by_decision import stepwise_toolbox
from evonas.predictors.predictor import Predictor
from evonas.strategies.choice import LATENCIES, Best, ParetoOptimal
from evonas.strategies.progressive import Progressive
from evonas.support.streams import stream

SPACE = DPPNetSpace(cells=(1,), growth=4, groups=2, input_shape=(1, 4, 4))


class Table(ParetoOptimal):
    """Costs from a table, by the only token of a candidate."""

    def __init__(self, costs):
        super().__init__(SPACE, {"time": -1.0})
        self.table = costs

    def _costs(self, genome):
        return {"time": self.table[genome[0]]}


def chosen(points, k, fits=lambda genome: True):
    """The (error, time) of the candidates that are trained."""
    candidates = [Individual([number]) for number in range(len(points))]
    worth = np.array([100.0 - error for error, _ in points])
    places = Table([time for _, time in points])(candidates, worth, k, fits)
    assert len(set(places)) == len(places)
    return [points[place] for place in places]


PAPERS = [(4, 9), (5, 5), (6, 3), (6, 6), (9, 9)]  # error and time


@pytest.mark.parametrize("order", [1, -1])
def test_whole_fronts_are_taken_in_order(order):
    assert set(chosen(PAPERS[::order], 3)) == {(4, 9), (5, 5), (6, 3)}
    assert set(chosen(PAPERS[::order], 4)) == {(4, 9), (5, 5), (6, 3), (6, 6)}
    assert set(chosen(PAPERS[::order], 9)) == set(PAPERS)


def test_a_candidate_that_is_worse_in_both_is_never_preferred():
    rng = stream(0, "points")
    for _ in range(50):
        points = [(rng.randrange(12), rng.randrange(12)) for _ in range(30)]
        k = rng.randrange(1, 30)
        taken = chosen(points, k)
        left = list(points)
        for point in taken:
            left.remove(point)
        for error, time in left:
            assert not any(error < worse and time < slower for worse, slower in taken)


def test_the_last_front_is_cut_where_it_is_crowded():
    front = [(0, 10), (1, 9), (1.2, 8.9), (5, 4), (10, 0)]
    assert set(chosen(front, 3)) == {(0, 10), (10, 0), (5, 4)}


def test_what_breaks_a_limit_is_left_out_beforehand():
    assert set(chosen(PAPERS, 3, fits=lambda genome: genome[0] != 1)) == {(4, 9), (6, 3), (6, 6)}


def test_the_best_are_held_against_limits_only_until_there_are_enough():
    asked = []
    fits = lambda genome: asked.append(genome[0]) or genome[0] % 2 == 0  # noqa: E731
    candidates = [Individual([number]) for number in range(100)]
    assert Best()(candidates, np.arange(100.0), 3, fits) == [98, 96, 94]
    assert asked == [99, 98, 97, 96, 95, 94]


def test_without_costs_the_best_are_chosen():
    candidates = [Individual(genome) for genome in SPACE.larger(())]
    assert ParetoOptimal(SPACE)(candidates, np.arange(18.0), 2, lambda genome: True) == [17, 16]


class Bench:
    objectives = {"accuracy": 1.0, "multiply_adds": -1.0, "latency": -1.0}  # noqa: RUF012
    device, precision, limits = "cpu", "float32", Limits()


def test_a_run_keeps_what_was_measured_and_measures_it_once(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr("evonas.training.latency.latency", lambda network, *given, **how: timed.append(1) or len(timed))
    candidates = [Individual(genome) for genome in SPACE.larger(())]
    first = ParetoOptimal(SPACE)
    first.prepare(Bench, tmp_path)
    places = first(candidates, np.zeros(18), 5, lambda genome: True)
    kept = json.loads((tmp_path / LATENCIES).read_text())
    assert kept == {SPACE.format(genome): number for number, genome in enumerate(candidates, 1)}
    assert candidates[3].proposal == {"multiply_adds": SPACE.decode(candidates[3]).multiply_adds, "latency": 4}
    again = ParetoOptimal(SPACE)
    again.prepare(Bench, tmp_path)
    assert again(candidates, np.zeros(18), 5, lambda genome: True) == places
    assert len(timed) == 18


def test_costs_that_a_script_names_are_not_those_of_the_run():
    choice = ParetoOptimal(SPACE, {"parameters": -1.0})
    choice.prepare(Bench)
    assert choice.costs == {"parameters": -1.0}


def test_latencies_are_of_the_networks(monkeypatch):
    monkeypatch.setattr("evonas.training.latency.milliseconds", lambda network, *images, **how: weights_of(network))
    choice = ParetoOptimal(SPACE, {"latency": -1.0})
    small, large = ("none", "conv_1x1", "end"), ("bn_relu", "conv_3x3", "bn_relu", "conv_3x3")
    for genome in (small, large):
        assert choice._costs(genome)["latency"] == SPACE.decode(genome).parameters
    assert choice.measured[SPACE.format(small)] < choice.measured[SPACE.format(large)]


def weights_of(network):
    return sum(weight.numel() for weight in network.parameters())


def test_objectives_that_only_a_training_tells_are_refused():
    with pytest.raises(UserError, match=r"macro_f1 of a network is known after its training alone.*use parameters"):
        ParetoOptimal(SPACE).check({"accuracy": 1.0, "macro_f1": 1.0})
    ParetoOptimal(SPACE).check({"macro_f1": 1.0, "latency": -1.0})


class Oracle(Predictor):
    def fit(self, genomes, values): ...

    def predict(self, genomes):
        return np.array([worth(genome) for genome in genomes]), np.zeros(len(genomes))


def worth(genome):
    """Wide convolutions are worth more, and cost more."""
    return 0.1 + 0.1 * genome.count("conv_3x3") + 0.05 * genome.count("conv_1x1") + 0.05 * genome.count("bn_relu")


def test_a_search_with_an_oracle_ends_with_the_front_of_the_space():
    rng = stream(0, "cells")
    choose = ParetoOptimal(SPACE, {"multiply_adds": -1.0})
    strategy = Progressive(stepwise_toolbox(SPACE, rng=rng), Oracle, rng=rng, beam=54, choose=choose)
    points = {}
    while given := strategy.generate():
        for number, individual in enumerate(given):
            individual.id = len(points) + number
            cost = SPACE.decode(individual).multiply_adds
            judge(individual, (worth(individual), cost), (1.0, -1.0))
            points[tuple(individual)] = worth(individual), -cost
        strategy.update(given)
    assert len(points) == 18 + 54 + 54
    whole = {(worth(genome), -SPACE.decode(genome).multiply_adds) for genome in SPACE.genomes()}
    front = {point for point in whole if not any(dominates(other, point) for other in whole)}
    assert front <= set(points.values())


def dominates(one, other):
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def test_the_table_of_another_device_is_read_in_place_of_a_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr("evonas.training.latency.latency", lambda *given, **how: pytest.fail("nothing is measured"))
    genome = SPACE.random(stream(0, "genome"))
    steps = list(steps_of(SPACE.decode(genome).simplified()))
    ms = {key_of(step, shape): 1.0 for step, shape in steps}
    LatencyTable("cpu", "a phone", "float32", 1, ms).write(tmp_path / "phone.json")

    class There(Bench):
        limits = Limits(latencies=str(tmp_path / "phone.json"))

    choice = ParetoOptimal(SPACE)
    choice.prepare(There, tmp_path)
    individual = Individual(genome)
    choice([individual], np.array([0.5]), 1, lambda genome: True)
    assert individual.proposal["latency"] == len(steps)
