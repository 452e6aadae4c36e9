"""DEAP's own algorithms and tools run unchanged on GeNet's toolbox and strategy."""

import random

import numpy as np
import pytest
from deap import algorithms, tools

from evonas.genomes.genet import CIFAR10
from evonas.individual import Individual
from evonas.operators.genet import toolbox
from evonas.strategies.genet import GeNet


def ones(individual):
    return (float(sum(individual)),)


@pytest.fixture
def box():
    random.seed(5)  # deap.algorithms draws from the global generator
    return toolbox(CIFAR10, rng=random.Random(5), evaluate=ones)


@pytest.fixture
def statistics():
    statistics = tools.Statistics(key=lambda individual: individual.fitness.values[0])
    statistics.register("max", np.max)
    statistics.register("avg", np.mean)
    return statistics


def test_ea_simple(box, statistics):
    best = tools.HallOfFame(3)
    population, logbook = algorithms.eaSimple(
        box.population(n=20), box, cxpb=0.2, mutpb=0.8, ngen=30, stats=statistics, halloffame=best, verbose=False
    )
    assert len(population) == 20
    assert all(type(individual) is Individual for individual in population)
    assert logbook.select("max")[-1] > logbook.select("avg")[0]
    assert best[0].fitness.values[0] == max(logbook.select("max")) >= 15


def test_ea_mu_plus_lambda(box, statistics):
    box.register("select", tools.selBest)
    population, logbook = algorithms.eaMuPlusLambda(
        box.population(n=20), box, mu=20, lambda_=20, cxpb=0.3, mutpb=0.6, ngen=30, stats=statistics, verbose=False
    )
    maxima = logbook.select("max")
    assert maxima == sorted(maxima)  # plus: the best is never lost
    assert max(map(sum, population)) >= 17


def test_ea_generate_update_runs_the_strategy_itself(box, statistics):
    strategy = GeNet(box, rng=random.Random(6), population=20)
    box.register("generate", strategy.generate)
    box.register("update", strategy.update)
    best = tools.HallOfFame(1)
    population, logbook = algorithms.eaGenerateUpdate(box, ngen=30, stats=statistics, halloffame=best, verbose=False)
    assert len(population) == 20
    assert logbook.select("nevals") == [20] * 30
    assert best[0].fitness.values[0] >= 15


def test_history_keeps_the_genealogy(box):
    history = tools.History()
    box.decorate("mate", history.decorator)
    box.decorate("mutate", history.decorator)
    population = box.population(n=10)
    history.update(population)
    algorithms.eaSimple(population, box, cxpb=0.5, mutpb=0.5, ngen=5, verbose=False)
    assert len(history.genealogy_history) > 10
    youngest = history.genealogy_history[max(history.genealogy_history)]
    assert history.getGenealogy(youngest, max_depth=3)


def test_a_failed_evaluation_stays_out_of_selection_and_hall_of_fame(box):
    box.register("evaluate", lambda individual: () if individual[0] else ones(individual))
    best = tools.HallOfFame(5)
    population, _ = algorithms.eaSimple(box.population(n=20), box, 0.2, 0.8, ngen=15, halloffame=best, verbose=False)
    assert all(individual[0] == 0 for individual in best)
    assert any(individual.fitness.valid for individual in population)
