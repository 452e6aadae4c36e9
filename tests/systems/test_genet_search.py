"""GeNet's operators and algorithm against the paper: sections 3.2.1 to 3.2.4."""

import random
from collections import Counter

import pytest

from evonas.errors import UserError
from evonas.genomes.genet import CIFAR10, DIGITS
from evonas.individual import Individual
from evonas.operators.by_decision import toolbox as uniform
from evonas.operators.genet import cx_stages, init_bits, mut_bits, sel_roulette_above_worst, toolbox
from evonas.strategies.genet import GeNet
from evonas.strategies.random_search import RandomSearch
from evonas.support.streams import stream


def population(*values):
    individuals = []
    for value in values:
        individual = Individual((0,))
        individual.fitness.values = () if value is None else (value,)
        individuals.append(individual)
    return individuals


def shares(individuals, draws=40_000):
    chosen = sel_roulette_above_worst(individuals, draws, rng=random.Random(1))
    counts = Counter(map(id, chosen))
    return [counts[id(individual)] / draws for individual in individuals]


# ---- operators ----------------------------------------------------------------------------------------------------


def test_every_bit_of_a_first_individual_is_even():
    rng = random.Random(0)
    ones = sum(sum(init_bits(CIFAR10, rng=rng)) for _ in range(1000))
    assert ones / 19_000 == pytest.approx(0.5, abs=0.015)


def test_selection_is_proportional_to_the_lead_over_the_worst():
    assert shares(population(0.70, 0.72, 0.75, 0.80)) == pytest.approx([0, 0.1176, 0.2941, 0.5882], abs=0.01)
    assert shares(population(0.70, 0.72, 0.75, 0.80))[0] == 0


def test_selection_is_uniform_where_all_are_equal():
    assert shares(population(0.5, 0.5, 0.5)) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert shares(population(0.5)) == [1]


def test_a_failure_is_never_selected_and_is_not_the_worst():
    assert shares(population(None, 0.70, 0.72, 0.75, 0.80)) == pytest.approx([0, 0, 0.1176, 0.2941, 0.5882], abs=0.01)
    assert shares(population(None, 0.7)) == [0, 1]


def test_selection_among_failures_alone_is_uniform():
    assert shares(population(None, None)) == pytest.approx([0.5, 0.5], abs=0.01)


def test_crossover_exchanges_whole_stages_in_place():
    space = CIFAR10
    for q_c, exchanged in ((1.0, True), (0.0, False)):
        zeros, ones = Individual((0,) * 19), Individual((1,) * 19)
        first, second = cx_stages(zeros, ones, space.slices, q_c, rng=random.Random(0))
        assert first is zeros
        assert second is ones
        assert set(first) == {int(exchanged)}
        assert set(second) == {int(not exchanged)}


def test_no_stage_is_mixed_by_crossover():
    rng, swapped = random.Random(2), Counter()
    for _ in range(2000):
        parents = init_bits(CIFAR10, rng=rng), init_bits(CIFAR10, rng=rng)
        before = [list(parent) for parent in parents]
        children = cx_stages(*parents, CIFAR10.slices, 0.2, rng=rng)
        for number, place in enumerate(CIFAR10.slices):
            stages = [child[place] for child in children]
            assert stages in ([b[place] for b in before], [b[place] for b in before[::-1]])
            swapped[number] += stages != [b[place] for b in before]
    assert swapped[2] / 2000 == pytest.approx(0.2, abs=0.03)


def test_mutation_flips_every_bit_with_its_probability():
    individual = Individual((0, 1, 0))
    assert mut_bits(individual, 1.0, rng=random.Random(0)) == (individual,)
    assert list(individual) == [1, 0, 1]
    rng = random.Random(1)
    flips = sum(sum(mut_bits(Individual((0,) * 19), 0.05, rng=rng)[0]) for _ in range(4000))
    assert flips / 4000 == pytest.approx(0.05 * 19, abs=0.05)


# ---- the algorithm ------------------------------------------------------------------------------------------------


def search(space=CIFAR10, seed=0, q_c=0.2, q_m=0.05, **settings):
    rng = stream(seed, "test")
    box = toolbox(space, rng=rng, stage_swap_rate=q_c, bit_flip_rate=q_m)
    return GeNet(box, rng=rng, **settings)


def advance(strategy, fitness):
    generation = strategy.generate()
    for individual in generation:
        individual.fitness.values = fitness(individual)
    strategy.update(generation)
    return generation


def bits(generation):
    return [tuple(individual) for individual in generation]


def test_mutation_skips_crossed_pairs():
    strategy = search(crossover_rate=1.0, mutation_rate=1.0, q_m=1.0, q_c=0.5)
    strategy.toolbox.register("select", lambda individuals, k: individuals[:k])
    zeros_and_ones = [Individual((number % 2,) * 19) for number in range(20)]
    strategy.toolbox.register("individual", iter(zeros_and_ones).__next__)
    advance(strategy, lambda individual: (0.5,))
    children = strategy.generate()
    assert {child.operator for child in children} == {"cx_stages"}
    # stages are exchanged, no bit is flipped: each pair still holds one of each at every place
    for first, second in zip(children[::2], children[1::2], strict=True):
        assert all(a + b == 1 for a, b in zip(first, second, strict=True))
    assert len(set(bits(children))) > 2


def test_with_all_probabilities_at_one_every_bit_of_the_uncrossed_flips():
    strategy = search(crossover_rate=0.0, mutation_rate=1.0, q_m=1.0)
    strategy.toolbox.register("select", lambda individuals, k: individuals[:k])
    parents = bits(advance(strategy, lambda individual: (0.5,)))
    children = strategy.generate()
    assert bits(children) == [tuple(1 - bit for bit in parent) for parent in parents]
    assert {child.operator for child in children} == {"mut_bits"}


def test_without_variation_children_are_copies():
    strategy = search(crossover_rate=0.0, mutation_rate=0.0)
    parents = advance(strategy, lambda individual: (sum(individual),))
    for number, parent in enumerate(parents):
        parent.id = number
    children = strategy.generate()
    assert set(bits(children)) <= set(bits(parents))
    assert {child.operator for child in children} == {"copy"}
    assert not any(child.fitness.valid for child in children)
    assert all(tuple(parents[child.parents[0]]) == tuple(child) for child in children)


def test_an_odd_population_leaves_the_last_without_a_partner():
    strategy = search(population=5, crossover_rate=1.0, mutation_rate=1.0)
    advance(strategy, lambda individual: (sum(individual),))
    assert [child.operator for child in strategy.generate()] == ["cx_stages"] * 4 + ["mut_bits"]


def test_repeats_get_the_mean_over_all_occurrences():
    strategy = search(population=2, average_repeats=True, crossover_rate=0.0, mutation_rate=0.0)
    strategy.toolbox.register("individual", lambda: Individual((1,) * 19))
    first = advance(strategy, lambda individual: (0.6,))
    second = advance(strategy, lambda individual: (0.8,))
    assert [i.fitness.values for i in first] == [(0.6,)] * 2
    assert [i.fitness.values[0] for i in second] == pytest.approx([0.7] * 2)


def test_failures_do_not_enter_the_mean_over_occurrences():
    strategy = search(population=2, average_repeats=True)
    strategy.toolbox.register("individual", lambda: Individual((1,) * 19))
    values = iter([(), (0.8,)])
    failed, trained = advance(strategy, lambda individual: next(values))
    assert not failed.fitness.valid
    assert trained.fitness.values == (0.8,)


def test_generate_waits_for_the_last_of_a_generation_and_hands_out_one_by_one():
    strategy = search(population=3)
    handed = [strategy.generate(1)[0] for _ in range(3)]
    assert strategy.generate(1) == []
    for individual in reversed(handed):  # in any order
        assert strategy.generate(1) == []
        individual.fitness.values = (0.5,)
        strategy.update([individual])
    assert len(strategy.generate(2)) == 2
    assert len(strategy.generate(2)) == 1
    assert {i.generation for i in handed} == {0}


def test_the_same_seed_gives_the_same_search():
    def run(seed):
        strategy = search(seed=seed)
        return [bits(advance(strategy, lambda i: (sum(i) / 19,))) for _ in range(6)]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_evolution_beats_random_search_on_an_additive_fitness():
    """The paper's CIFAR-10 setting, 20 individuals and 50 generations, with a normal weight for each bit."""
    wins = 0
    for seed in range(20):
        weights_of = stream(seed, "weights")
        weights = [weights_of.gauss(0, 1) for _ in range(19)]

        def fitness(individual, weights=weights):
            return (sum(w * bit for w, bit in zip(weights, individual, strict=True)),)

        strategy = search(seed=seed)
        evolved = max(fitness(i) for _ in range(51) for i in advance(strategy, fitness))
        drawn = max(map(fitness, RandomSearch(uniform(CIFAR10, rng=stream(seed, "random"))).generate(51 * 20)))
        wins += evolved > drawn
    assert wins >= 18


def test_starting_from_zeros_is_made_up_for():
    """The paper: all-zero initialisation makes almost no difference after about 30 generations."""
    strategy = search()
    strategy.toolbox.register("individual", lambda: Individual((0,) * 19))
    best = 0
    for _ in range(40):
        best = max(best, *(sum(i) for i in advance(strategy, lambda i: (sum(i),))))
    assert best >= 16


@pytest.mark.parametrize("settings", [{"population": 1}, {"crossover_rate": 1.5}, {"mutation_rate": -0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UserError, match=r"use at least 2|between 0 and 1"):
        search(DIGITS, **settings)
