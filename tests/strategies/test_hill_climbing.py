"""Hill climbing by morphisms, step by step, on values by hand."""

import pytest

from evonas.errors import UserError
from evonas.genomes.edits import EditSpace
from evonas.operators.edits import toolbox
from evonas.strategies.hill_climbing import HillClimbing
from evonas.support.streams import stream

SPACE = EditSpace("conv4-pool-conv4-fc8", 12, input_shape=(1, 8, 8))


def climbing(**settings):
    rng = stream(0)
    return HillClimbing(toolbox(SPACE, rng=rng, mutations=2), rng=rng, **settings)


def step(strategy, values):
    """Everything that is proposed until something must be told, with these values in turn."""
    given = []
    while some := strategy.generate(3):
        given += some
    for number, individual in enumerate(given):
        individual.id = climbing.next = getattr(climbing, "next", 0) + 1
        individual.fitness.values = (values[number],)
    strategy.update(reversed(given))  # in any order
    return given


def test_a_step_trains_changed_networks_and_the_unchanged_one_from_the_best_so_far():
    strategy = climbing(steps=2, neighbours=4)
    (start,) = step(strategy, [0.5])
    assert SPACE.format(start) == "start"
    first = step(strategy, [0.6, 0.8, 0.4, 0.7])
    assert [each.operator for each in first] == ["mut_edits"] * 3 + ["unchanged"]
    assert all(each.parents == (start.id,) for each in first)
    assert first[3] == start
    second = step(strategy, [0.1, 0.2, 0.3, 0.85])
    assert all(each.parents == (first[1].id,) for each in second)
    assert all(SPACE.texts(each)[:2] == SPACE.texts(first[1]) for each in second)
    assert step(strategy, []) == []
    assert strategy.place is second[3]
    assert strategy.evaluations == 1 + 2 * 4


def test_nothing_is_proposed_before_a_step_is_told_and_those_alive_are_known():
    strategy = climbing(steps=1, neighbours=4)
    (start,) = step(strategy, [0.5])
    given = strategy.generate(2)
    assert len(strategy.generate()) == 2
    assert strategy.generate(1) == []
    assert strategy.population == [start]
    given[0].fitness.values = (0.9,)
    strategy.update(given[:1])
    assert strategy.population == [start, given[0]]
    assert strategy.generate(1) == []


def test_failed_networks_are_passed_over_and_a_step_without_any_other_keeps_its_place():
    strategy = climbing(steps=2, neighbours=2)
    (start,) = step(strategy, [0.5])
    for each in strategy.generate():
        each.fitness.values = ()
        strategy.update([each])
    assert strategy.place is start
    assert len(strategy.generate()) == 2


def test_without_a_choice_each_step_has_one_changed_network_which_is_the_next():
    strategy = climbing(steps=3, choosing=False)
    step(strategy, [0.5])
    values = [0.4, 0.3, 0.2]
    for number, value in enumerate(values):
        (child,) = step(strategy, [value])
        assert len(SPACE.texts(child)) == 2 * (number + 1)
    assert strategy.evaluations == 4


def test_settings_that_make_no_step_are_refused():
    with pytest.raises(UserError, match="steps is 0"):
        climbing(steps=0)
    with pytest.raises(UserError, match="neighbours 1"):
        climbing(neighbours=1)
