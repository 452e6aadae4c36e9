"""The fitness of failures before DEAP's tools: no tool prefers one to a valid fitness."""

import copy
import pickle
import random
import warnings
from functools import partial

import numpy as np
import pytest
from deap import tools

from evonas.individual import WORST, Fitness, Individual, judge

WEIGHTS = [(1.0,), (-1.0,), (1.0, -1.0), (1.0, -1.0, -2.0)]


def individual(values, weights=(1.0,), tokens=(0,)):
    made = Individual(tokens)
    judge(made, values, weights)
    return made


def population(weights, good, failed):
    """Shuffled individuals, of whom so many have values, about 0.5 each, and so many have failed."""
    made = [individual([random.random() + 0.1 for _ in weights] if number < good else (), weights, [0] * (number % 3))
            for number in range(good + failed)]  # fmt: skip
    random.shuffle(made)
    return made


def nsga3(individuals, k, nd="standard"):
    points = tools.uniform_reference_points(len(individuals[0].fitness.weights), 4)
    return tools.selNSGA3(individuals, k, points, nd=nd)


TOOLS = {
    "best": tools.selBest, "roulette": tools.selRoulette, "universal sampling": tools.selStochasticUniversalSampling,
    "lexicase": tools.selLexicase, "epsilon lexicase": partial(tools.selEpsilonLexicase, epsilon=0.1),
    "automatic epsilon lexicase": tools.selAutomaticEpsilonLexicase, "SPEA2": tools.selSPEA2, "NSGA-II": tools.selNSGA2,
    "tournament": partial(tools.selTournament, tournsize=50),  # so many that some of them are valid
    "double tournament": partial(tools.selDoubleTournament, fitness_size=50, parsimony_size=1.4, fitness_first=True),
}  # fmt: skip
FOR_SEVERAL = {  # objectives
    "NSGA-II log": partial(tools.selNSGA2, nd="log"), "NSGA-III": nsga3, "NSGA-III log": partial(nsga3, nd="log"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("select", "weights"),
    [(select, weights) for weights in WEIGHTS for select in TOOLS.values()]
    + [(select, weights) for weights in WEIGHTS[2:] for select in FOR_SEVERAL.values()],
)
def test_no_failure_is_chosen_while_enough_others_are_there(select, weights):
    for seed in range(10):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  selNSGA3 draws from it
        for good, failed in ((12, 4), (8, 8), (4, 12)):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                chosen = select(population(weights, good, failed), 4)
            assert len(chosen) == 4
            assert all(each.fitness.valid for each in chosen)


@pytest.mark.parametrize("weights", WEIGHTS[2:])
@pytest.mark.parametrize("name", ["best", "SPEA2", "NSGA-II", *FOR_SEVERAL])
def test_failures_fill_up_what_takes_each_at_most_once(name, weights):
    random.seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = (TOOLS | FOR_SEVERAL)[name](population(weights, 4, 12), 8)
    assert [each.fitness.valid for each in chosen].count(True) == 4
    assert len({id(each) for each in chosen}) == 8


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_failure_wins_no_duel_of_dominance_and_crowding(weights):
    for seed in range(20):
        random.seed(seed)
        pool = population(weights, 3, 1)  # of which no two that meet have both failed
        for front in tools.sortNondominated(pool, len(pool)):
            tools.emo.assignCrowdingDist(front)
        assert all(each.fitness.valid for each in tools.selTournamentDCD(pool, 4))


def test_a_roulette_gives_each_its_share_whatever_has_failed():
    random.seed(0)
    pool = [individual((0.1,)), individual(()), individual((0.3,)), individual(())]
    for select in (tools.selRoulette, tools.selStochasticUniversalSampling):
        chosen = select(pool, 4000)
        assert [sum(each is one for each in chosen) / 4000 for one in pool] == pytest.approx(
            [0.25, 0, 0.75, 0], abs=0.03
        )


def test_a_failure_is_worse_than_all_others_and_not_valid():
    for weights in WEIGHTS:
        bad, failed = individual([-1e6 * weight for weight in weights], weights), individual((), weights)
        assert bad.fitness > failed.fitness
        assert bad.fitness.dominates(failed.fitness)
        assert not failed.fitness.dominates(bad.fitness)
        assert not failed.fitness.dominates(individual((), weights).fitness)
        assert failed.fitness == individual((), weights).fitness
        assert (failed.fitness.valid, failed.fitness.failed) == (False, True)
        assert failed.fitness.values == tuple(-WORST / weight for weight in weights)
        assert failed.fitness > Fitness(weights=weights)  # which nobody has evaluated
        for twin in (copy.deepcopy(failed.fitness), pickle.loads(pickle.dumps(failed.fitness))):
            assert (twin.valid, twin.failed, twin) == (False, True, failed.fitness)
        del failed.fitness.values
        assert (failed.fitness.valid, failed.fitness.failed, failed.fitness.values) == (False, False, ())


@pytest.mark.parametrize("sort", [tools.sortNondominated, tools.sortLogNondominated])
def test_failures_are_a_front_of_their_own_and_the_last(sort):
    random.seed(1)
    pool = population((1.0, -1.0), 5, 3)
    *fronts, last = sort(pool, len(pool))
    assert len(last) == 3
    assert all(each.fitness.failed for each in last)
    assert not any(each.fitness.failed for front in fronts for each in front)
    tools.emo.assignCrowdingDist(last)
    assert all(each.fitness.crowding_dist >= 0 for each in last)


def test_halls_of_fame_let_go_of_failures():
    pool = [individual((), (1.0, -1.0), [0]), individual((0.5, 1.0), (1.0, -1.0), [1])]
    front, hall = tools.ParetoFront(), tools.HallOfFame(1)
    for kept in (front, hall):
        kept.update(pool[:1])
        kept.update(pool)
        assert [list(each) for each in kept] == [[1]]


def test_statistics_leave_failures_out_where_they_count_as_nan():
    def key(each):
        return each.fitness.values if each.fitness.valid else (np.nan,)

    statistics = tools.Statistics(key)
    statistics.register("mean", np.nanmean)
    statistics.register("max", np.nanmax)
    pool = [individual((0.25,)), individual(()), individual((0.75,))]
    assert statistics.compile(pool) == {"mean": 0.5, "max": 0.75}
