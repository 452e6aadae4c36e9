"""The evolution of SPOS: parents are the best ever met, and no genome is judged twice."""

from random import Random

import pytest

from evonas.errors import UserError
from evonas.genomes.spos import SPOSSpace
from evonas.operators.by_decision import toolbox
from evonas.strategies.spos import SPOS

SPACE = SPOSSpace((4, 4), (32, 64), 16, False, 64, 0.0, input_shape=(1, 8, 8), outputs=10)  # 4^8 genomes


def searched(worth, generations=20, seed=0, space=SPACE, **rates):
    rng = Random(seed)
    strategy = SPOS(toolbox(space, rng=rng, **rates), rng=rng, population=50, generations=generations, parents=10)
    met = []
    while len(met) < strategy.evaluations:
        for individual in strategy.generate():
            individual.fitness.values = (worth(individual),)
            met.append(individual)
            strategy.update([individual])
    return strategy, met


def additive(seed):
    rng = Random(seed)
    table = [[rng.random() for _ in range(4)] for _ in range(8)]
    return (lambda genome: sum(row[token] for row, token in zip(table, genome, strict=True)),
            sum(max(row) for row in table))  # fmt: skip


def test_no_genome_is_judged_twice_and_the_best_never_gets_worse():
    worth, _ = additive(0)
    strategy, met = searched(worth)
    assert len(met) == len(set(map(tuple, met))) == 1050
    best = sorted({tuple(each): worth(each) for each in met}.values(), reverse=True)[:10]
    assert [each.fitness.values[0] for each in strategy.best] == best


def test_the_optimum_of_a_sum_is_found_within_its_evaluations():
    found = 0
    for seed in range(10):
        worth, optimum = additive(seed)
        _, met = searched(worth, seed=seed)
        found += max(map(worth, met)) == pytest.approx(optimum)
    assert found >= 8


def test_without_mutation_children_have_nothing_that_their_parents_have_not():
    worth, _ = additive(1)
    rng = Random(0)
    strategy = SPOS(toolbox(SPACE, rng=rng, change_rate=0.0), rng=rng, population=20, generations=3, parents=4)
    for number, individual in enumerate(strategy.generate()):
        individual.id, individual.fitness.values = number, (worth(individual),)
        strategy.update([individual])
    alleles = [{parent[place] for parent in strategy.best} for place in range(8)]
    crossed = [child for child in strategy.breed() if child.parents]
    assert crossed
    assert all(child[place] in alleles[place] for child in crossed for place in range(8))


def test_a_space_that_has_been_met_ends_no_search():
    tiny = SPOSSpace((1, 1), (32, 64), 16, False, 64, 0.0, input_shape=(1, 8, 8), outputs=10)
    _, met = searched(sum, generations=2, space=tiny)
    assert len(met) == 150
    assert len(set(map(tuple, met))) == 16


def test_more_parents_than_there_are_networks_are_refused():
    with pytest.raises(UserError, match="parents is 60"):
        SPOS(toolbox(SPACE, rng=Random(0)), rng=Random(0), population=50, parents=60)
