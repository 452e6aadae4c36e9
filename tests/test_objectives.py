import random
from collections import Counter

import pytest
from deap import tools

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Guard, Limits
from evonas.genomes.genet import DIGITS
from evonas.individual import Fitness, Individual
from evonas.objectives import own_objectives, read_objectives
from evonas.operators import by_decision
from evonas.operators.genet import toolbox
from evonas.ranking import Best, best
from evonas.strategies.nsga2 import NSGA2
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

TASK = ImageClassification(Source("digits"))

# ---- objectives and limits ----------------------------------------------------------------------------------------


def test_objectives_have_a_direction_each():
    assert read_objectives("accuracy, parameters", TASK) == {"accuracy": 1, "parameters": -1}
    assert read_objectives(["accuracy", "latency", "multiply_adds"], TASK) == {
        "accuracy": 1, "latency": -1, "multiply_adds": -1,
    }  # fmt: skip
    assert own_objectives({"score": 2, "size": -1}) == {"score": 2.0, "size": -1.0}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("accuracy,speed", "unknown objective 'speed'; use some of accuracy, balanced_accuracy, macro_f1, parameters"),
        ("accuracy,parameters,parameters", "name each once"),
        ("latency,accuracy", "put accuracy first"),
        ([], "name each once"),
    ],
)
def test_objectives_that_cannot_be_are_refused(names, says):
    with pytest.raises(UserError, match=says):
        read_objectives(names, TASK)


def test_a_limit_says_what_breaks_it():
    graph = DIGITS.decode(DIGITS.parse("1-11/1-11-111"))
    assert Limits(graph.parameters, graph.multiply_adds).broken_by(graph) == ""
    assert Limits(parameters=graph.parameters - 1).broken_by(graph) == "35,182 parameters, over the limit of 35,181"
    assert "multiply-adds, over" in Limits(multiply_adds=10).broken_by(graph)
    assert not Limits()


@pytest.mark.parametrize("limit", [3_742, 9_022, 25_000])
def test_a_guarded_toolbox_makes_only_what_keeps_the_limits_and_counts_the_others(limit):
    limits = Limits(parameters=limit)
    box, guard = toolbox(DIGITS, rng=random.Random(1), bit_flip_rate=0.3), Guard(Decoder(DIGITS), limits)
    guard.decorate(box)
    population = box.population(n=10)
    for _ in range(10):
        (population[0],) = box.mutate(population[0])
        population[1], population[2] = box.mate(population[1], population[2])
        assert not any(limits.broken_by(DIGITS.decode(individual)) for individual in population)
    assert guard.rejected > 0


def test_a_variation_that_finds_nothing_within_the_limits_leaves_the_genome():
    box, guard = (
        toolbox(DIGITS, rng=random.Random(1), bit_flip_rate=1.0),
        Guard(Decoder(DIGITS), Limits(parameters=3_742)),
    )
    guard.decorate(box)
    parent = Individual((0,) * 9)
    assert tuple(box.mutate(parent)[0]) == (0,) * 9
    assert guard.rejected == Guard.TRIES


def test_the_best_is_the_best_mean_over_the_evaluations_of_a_genome():
    told = [Best(0, (1,), 0.9), Best(1, (2,), 0.8), Best(2, (1,), 0.5), Best(3, (2,), 0.8)]
    assert (best(told, 1.0).id, best(told, 1.0).value) == (1, 0.8)
    assert best(told, -1.0).genome == (1,)
    assert best([], 1.0) is None


def test_provisional_ones_count_only_while_there_is_nothing_else():
    on_the_way = [Best(0, (1,), 0.9, provisional=True), Best(1, (2,), 0.7, provisional=True)]
    assert best(on_the_way, 1.0).id == 1
    assert best([*on_the_way, Best(2, (3,), 0.5)], 1.0).id == 2


# ---- fitness ------------------------------------------------------------------------------------------------------


def test_weights_belong_to_a_fitness_and_survive_a_copy():
    from copy import deepcopy

    small, large = Fitness((0.5, 10), weights=(1, -1)), Fitness((0.5, 20), weights=(1, -1))
    assert small.dominates(large)
    assert deepcopy(small).dominates(large)
    assert not Fitness((0.5,)).dominates(Fitness((0.6,)))
    assert Fitness().weights == (1.0,)


# ---- NSGA-II ------------------------------------------------------------------------------------------------------


def told(strategy, individuals, function, weights):
    for individual in individuals:
        individual.fitness = Fitness(function(individual), weights=weights)
    strategy.update(individuals)


def nsga2(seed=0, population=10, **rates):
    rng = stream(seed, "nsga2")
    return NSGA2(by_decision.toolbox(DIGITS, rng=rng, change_rate=0.2), rng=rng, population=population, **rates)


def leading_and_trailing(genome):
    return sum(genome[:5]), sum(genome[4:])  # to be maximised, and minimised: bit 5 is in both


def test_nsga2_keeps_what_deap_would_select():
    strategy = nsga2()
    generations = [strategy.generate()]
    told(strategy, generations[0], leading_and_trailing, (1, -1))
    generations.append(strategy.generate())
    parents = list(strategy.parents)
    told(strategy, generations[1], leading_and_trailing, (1, -1))
    union = list({tuple(i): i for i in [*parents, *generations[1]]}.values())
    expected = tools.selNSGA2(union, 10, nd="standard")
    assert Counter(i.fitness.values for i in strategy.parents) == Counter(i.fitness.values for i in expected)


def test_nsga2_finds_the_front():
    strategy = nsga2(population=12)
    for _ in range(25):
        told(strategy, strategy.generate(), leading_and_trailing, (1, -1))
    assert {i.fitness.values for i in strategy.parents} >= {(5, 1), (4, 0)}


def test_nsga2_with_one_objective_climbs():
    strategy = nsga2()
    for _ in range(15):
        told(strategy, strategy.generate(), lambda genome: (sum(genome),), (1,))
    assert strategy.parents[0].fitness.values == (9,)


def test_nsga2_mutates_crossed_children_where_it_is_told_to():
    for both in (False, True):
        strategy = nsga2(crossover_rate=1.0, mutates_crossed=both)
        told(strategy, strategy.generate(), lambda genome: (sum(genome),), (1,))
        made = {child.operator for child in strategy.generate()}
        assert made == {"cx_decisions + mut_decisions" if both else "cx_decisions"}


def repeats(generations=12):
    """Children that had been met before, over some generations."""
    strategy, seen = nsga2(population=8), []
    for _ in range(generations):
        generation = strategy.generate()
        told(strategy, generation, leading_and_trailing, (1, -1))
        seen += map(tuple, generation)
        assert len(set(map(tuple, strategy.parents))) == len(strategy.parents)
    return len(seen) - len(set(seen))


def test_a_genome_competes_once_and_children_are_new_where_they_can_be(monkeypatch):
    with_tries = repeats()
    monkeypatch.setattr("evonas.strategies.nsga2.NEW", 0)
    assert with_tries < repeats() / 2


def test_the_failed_do_not_survive_and_a_generation_of_failures_is_drawn_anew():
    strategy = nsga2(population=6)
    first = strategy.generate()
    told(strategy, first, lambda genome: (), (1, -1))
    assert strategy.parents == []
    second = strategy.generate()
    assert all(individual.operator == "random" for individual in second)
    told(strategy, second, lambda g: leading_and_trailing(g) if g[0] else (), (1, -1))
    assert all(individual[0] == 1 for individual in strategy.parents)


def test_nothing_is_proposed_until_the_generation_is_told_and_children_name_their_parents():
    strategy = nsga2(population=4)
    first = strategy.generate(3) + strategy.generate(3)
    assert len(first) == 4
    assert strategy.generate(1) == []
    for number, individual in enumerate(first):
        individual.id = number
    told(strategy, first, leading_and_trailing, (1, -1))
    for child in strategy.generate():
        assert child.parents
        assert set(child.parents) <= {0, 1, 2, 3}
        assert child.operator in ("mut_decisions", "cx_decisions", "copy")
