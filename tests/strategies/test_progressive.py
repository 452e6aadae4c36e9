"""Progressive search: what is trained at each size, by what, and what it finds."""

import numpy as np
import pytest

from evonas.errors import UserError
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.pnas import PNASSpace
from evonas.individual import judge
from evonas.operators.by_decision import stepwise_toolbox
from evonas.predictors.predictor import Predictor
from evonas.strategies.progressive import Progressive
from evonas.support.streams import stream
from evonas.systems.pnas import pnas

SPACE = PNASSpace(normals=1, channels=4, blocks=3)
WORTH = {op: place + 1 for place, op in enumerate(SPACE.operations)}


def additive(genome):
    """A score of blocks that add up, from 0 to 1 for the largest cells."""
    total = sum(WORTH[c] + WORTH[d] + 0.1 * (a + b) for a, c, b, d in SPACE._blocks(genome))
    return total / (SPACE.blocks * (2 * len(WORTH) + 0.8))


class Oracle(Predictor):
    def fit(self, genomes, values):
        self.sizes = sorted({SPACE.size(genome) for genome in genomes})
        fits.append((len(genomes), self.sizes))

    def predict(self, genomes):
        return np.array([additive(genome) for genome in genomes]), np.zeros(len(genomes))


class Constant(Oracle):
    def predict(self, genomes):
        return np.ones(len(genomes)), np.zeros(len(genomes))


fits = []


@pytest.fixture(autouse=True)
def no_fits_yet():
    fits.clear()


def progressive(make=Oracle, seed=0, **settings):
    rng = stream(seed, "pnas")
    return Progressive(stepwise_toolbox(SPACE, rng=rng), make, rng=rng, **settings)


def run(strategy, value=additive):
    asked = []
    while given := strategy.generate(1):
        (individual,) = given
        individual.id = len(asked)
        judge(individual, (value(individual),))
        strategy.update([individual])
        asked.append(individual)
    return asked


def sizes(asked):
    return [sum(SPACE.size(each) == size for each in asked) for size in (1, 2, 3)]


def test_with_an_oracle_a_beam_of_one_finds_the_optimum():
    asked = run(progressive(beam=1))
    best = max(additive(cell) for cell in [asked[-1]])
    # by hand: each block takes the best operation twice, of the newest states 1, 2 and 3
    top = len(WORTH)
    assert best == pytest.approx((3 * 2 * top + 0.2 * (1 + 2 + 3)) / (3 * (2 * top + 0.8)))
    assert sizes(asked) == [136, 1, 1]


@pytest.mark.parametrize("make", [Oracle, Constant])
def test_all_of_one_block_are_trained_and_k_of_each_larger_size(make):
    asked = run(progressive(make, beam=5))
    assert sizes(asked) == [136, 5, 5]
    assert len({SPACE.key(each) for each in asked}) == 146


def test_the_predictor_learns_from_all_sizes_so_far():
    run(progressive(beam=4))
    assert fits == [(136, [1]), (140, [1, 2])]


def test_larger_cells_are_children_of_those_that_they_extend_and_say_what_was_predicted():
    asked = run(progressive(beam=4))
    for child in asked[136:]:
        (parent,) = child.parents
        assert child[: 4 * SPACE.size(asked[parent])] == asked[parent][: 4 * SPACE.size(asked[parent])]
        assert child.operator == "larger"
        assert child.proposal["predicted"] == pytest.approx(additive(child), abs=1e-5)


def test_a_size_is_complete_before_the_next_one_begins():
    strategy = progressive(beam=3, smallest=10)
    given = strategy.generate(20)
    assert len(given) == 10
    assert strategy.generate(1) == []
    for number, individual in enumerate(given[::-1]):
        individual.id = number
        judge(individual, (additive(individual),))
        assert strategy.generate(1) == []
        strategy.update([individual])
    assert len(strategy.generate(20)) == 3


def test_results_in_another_order_lead_to_the_same_cells():
    found = []
    for order in (1, -1):
        strategy = progressive(beam=3, smallest=10)
        given = strategy.generate(20)
        for number, individual in enumerate(given):
            individual.id = number
            judge(individual, (additive(individual),))
        for individual in given[::order]:
            strategy.update([individual])
        found.append(strategy.generate(20))
    assert found[0] == found[1]


def test_fitnesses_that_are_no_fractions_are_scaled_for_the_predictor():
    seen = []

    class Noting(Oracle):
        def fit(self, genomes, values):
            super().fit(genomes, values)
            seen.append((values.min(), values.max()))

    asked = run(progressive(Noting, beam=3), value=lambda genome: 100 * additive(genome) - 70)
    assert seen[0] == (0, 1)
    assert all(isinstance(each.proposal["predicted"], float) for each in asked[136:])


def test_failures_are_neither_learnt_from_nor_extended():
    strategy = progressive(beam=3, smallest=6)
    given = strategy.generate(6)
    for number, individual in enumerate(given):
        individual.id = number
        judge(individual, (additive(individual),) if number == 2 else ())
    strategy.update(given)
    assert {child.parents for child in strategy.generate(9)} == {(2,)}
    assert fits == [(1, [1])]


def test_only_full_trainings_are_learnt_from_and_a_later_end_counts():
    strategy = progressive(beam=3, smallest=6)
    given = strategy.generate(6)
    for number, individual in enumerate(given):
        individual.id, individual.fidelity = number, 1.0 if number < 2 else 0.3
        judge(individual, (additive(individual),))
    strategy.update(given)
    given[4].fidelity = 1.0
    strategy.revise([given[4]])
    strategy.generate(3)
    assert strategy.known == [given[0], given[1], given[4]]
    assert fits == [(3, [1])]


def test_without_a_full_training_any_larger_cells_are_trained():
    strategy = progressive(beam=3, smallest=6)
    given = strategy.generate(6)
    for number, individual in enumerate(given):
        individual.id, individual.fidelity = number, 0.3
        judge(individual, (additive(individual),))
    strategy.update(given)
    found = strategy.generate(9)
    assert [SPACE.size(individual) for individual in found] == [2, 2, 2]
    assert fits == []


def test_it_ends_at_the_size_that_was_asked_for():
    assert sizes(run(progressive(beam=4, sizes=2))) == [136, 4, 0]


def test_the_published_search_finds_a_cell_of_the_true_best_percent():
    """Sheet of the predictor: a beam of 8, all cells of one block, and an ensemble that learns."""
    rng = stream(0, "pnas")
    asked = run(pnas(stepwise_toolbox(SPACE, rng=rng), rng=rng, beam=8, epochs=20, members=3))
    assert sizes(asked) == [136, 8, 8]
    drawn = stream(1, "cells")
    random = [cell for cell in (SPACE.complete({}, drawn) for _ in range(6000)) if SPACE.size(cell) == 3]
    best = max(additive(each) for each in asked if SPACE.size(each) == 3)
    assert np.mean([additive(cell) >= best for cell in random]) < 0.01


@pytest.mark.parametrize(("settings", "says"), [({"beam": 0}, "beam is 0"), ({"smallest": -1}, "smallest -1")])
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        progressive(**settings)


def test_a_space_that_does_not_grow_is_refused():
    rng = stream(0, "pnas")
    with pytest.raises(UserError, match="genomes of nasbench201 do not grow"):
        Progressive(stepwise_toolbox(NASBench201Space(), rng=rng), Oracle, rng=rng)


def test_what_a_search_begins_with_comes_first_and_no_size_waits_for_it():
    (given,) = progressive(smallest=1).generate()
    strategy = progressive(beam=2, smallest=4).begin_with([given])
    asked = run(strategy)
    assert asked[0] is given
    assert sizes(asked) == [1 + 4, 2, 2]


def test_predictions_have_the_unit_of_the_value_whatever_its_weight():
    strategy = progressive(beam=2, smallest=20)
    for number, individual in enumerate(given := strategy.generate()):
        individual.id = number
        judge(individual, (additive(individual),), (0.5,))
    strategy.update(given)
    for individual in strategy.generate():
        assert individual.proposal["predicted"] == pytest.approx(2 * additive(individual), abs=1e-5)  # of 0.5 times it
