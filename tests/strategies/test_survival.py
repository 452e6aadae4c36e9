"""Survival of NSGA-II beside DEAP's."""

from collections import Counter
from random import Random

import pytest
from deap import tools

from evonas.individual import Fitness, Individual
from evonas.strategies.survival import sel_nsga2


def population(rng, n, weights, *, levels=None, failures=0.0):
    """With `levels`, few values that often coincide."""
    individuals = []
    for number in range(n):
        individual = Individual([number])
        individual.fitness = Fitness(weights=weights)
        drawn = [rng.random() if levels is None else rng.randrange(levels) / 7 for _ in weights]
        individual.fitness.values = () if rng.random() < failures else drawn
        individuals.append(individual)
    return individuals


def crowding(individuals):
    return [individual.fitness.__dict__.pop("crowding_dist", None) for individual in individuals]


KINDS = {
    "all different": {},
    "duplicates": {"levels": 3},
    "failures": {"failures": 0.3},
    "duplicates and failures": {"levels": 5, "failures": 0.2},
    "nothing but failures": {"failures": 1.0},
}


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_survivors_order_and_crowding_are_those_of_deaps_logarithmic_sort(objectives, kind):
    for seed in range(60):
        rng = Random(seed)
        weights = tuple(rng.choice((1.0, -1.0, 2.0, -0.3)) for _ in range(objectives))
        individuals = population(rng, rng.randrange(1, 70), weights, **KINDS[kind])
        k = rng.randrange(len(individuals) + 2)
        expected, distances = tools.selNSGA2(individuals, k, nd="log"), crowding(individuals)
        found = sel_nsga2(individuals, k)
        assert [each[0] for each in found] == [each[0] for each in expected]
        assert crowding(individuals) == distances


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("kind", ["all different", "failures"])
def test_fronts_and_crowding_are_those_of_deaps_standard_sort(objectives, kind):
    """Which of the equally crowded survive, such as one of the two ends of a front, DEAP's two sorts decide each by an
    order of its own. Therefore the survivors are compared by front and crowding."""
    for seed in range(30):
        rng = Random(seed)
        individuals = population(rng, 50, (1.0, -1.0, 1.0)[:objectives], **KINDS[kind])
        fronts = tools.sortNondominated(individuals, len(individuals))
        front = {each[0]: rank for rank, members in enumerate(fronts) for each in members}
        k = rng.randrange(1, 50)

        def told(chosen, front=front):
            return Counter((front[each[0]], round(each.fitness.crowding_dist, 9)) for each in chosen)

        expected = told(tools.selNSGA2(individuals, k, nd="standard"))
        assert told(sel_nsga2(individuals, k)) == expected


def test_of_equals_the_earlier_survive():
    individuals = population(Random(0), 9, (1.0, -1.0), levels=1)
    assert [each[0] for each in sel_nsga2(individuals, 4)] == [0, 8, 1, 2]  # the ends of a front are never crowded


def test_nobody_is_chosen_of_nobody():
    assert sel_nsga2([], 5) == []
    assert sel_nsga2(population(Random(0), 4, (1.0, 1.0)), 0) == []
