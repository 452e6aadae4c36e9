"""Tree search against numbers worked by hand, on a space whose best genome is known, and to the end of small ones."""

import math
import random
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pytest

from evonas.errors import UserError
from evonas.genomes.edits import EditSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.space import Decision, Space
from evonas.strategies.mcts import MCTS, Node


@dataclass(frozen=True)
class Sum(Space):
    """`places` decisions among 0, 1, 2: their weighted sum is what a genome is worth."""

    name = "sum"
    places: int = 5

    def next(self, prefix):
        at = len(prefix)
        return Decision(f"place{at}", (0, 1, 2), at) if at < self.places else None


@dataclass(frozen=True)
class Ragged(Space):
    """Words of a, b and an end, at most four long; b follows only on a: 12 in all."""

    name = "ragged"

    def next(self, prefix):
        if len(prefix) == 4 or (prefix and prefix[-1] == "end"):
            return None
        after_a = bool(prefix) and prefix[-1] == "a"
        return Decision(f"letter{len(prefix)}", ("a", "b", "end") if after_a else ("a", "end"), (len(prefix), after_a))


def worth(genome):
    return sum(token / (place + 1) for place, token in enumerate(genome))


def search(space=None, seed=0, **settings):
    return MCTS(space or Sum(), rng=random.Random(seed), **settings)


def tell(strategy, individual, reward):
    individual.fitness.values = () if reward is None else (reward,)
    strategy.update([individual])


def evaluations_until(strategy, best):
    for count in range(1, 10_000):
        (individual,) = strategy.generate(1)
        if tuple(individual) == best:
            return count
        tell(strategy, individual, worth(individual))
    raise AssertionError("never found")


def test_the_bound_of_an_option_is_the_worked_one():
    strategy = search(Sum(1), exploration=0.5)
    strategy.worst, strategy.best = 0.2, 0.8
    strategy.nodes = {(): Node(10, 10, 0, 5.0), (0,): Node(4, 4, 0, 2.0), (1,): Node(5, 4, 2, 1.2), (2,): Node(1)}
    assert strategy.value((0,)) == pytest.approx((2.0 / 4 - 0.2) / 0.6)  # a mean of 0.5 between 0.2 and 0.8
    assert strategy.value((1,)) == pytest.approx((1.2 - 2 * 0.2) / 0.6 / 4)  # two that failed count as 0
    assert strategy.value((2,)) == strategy.value(()) == pytest.approx(0.5)  # nothing known: as the prefix before
    assert strategy.bound((0,)) == pytest.approx(0.5 + 0.5 * math.sqrt(math.log(10) / 4))
    assert strategy.bound((1,)) == pytest.approx(1 / 3 + 0.5 * math.sqrt(math.log(10) / 5))  # one of five in flight
    assert strategy.bound((2,)) == pytest.approx(0.5 + 0.5 * math.sqrt(math.log(10)))


def test_every_option_is_tried_before_one_is_tried_again_and_the_best_has_most_visits():
    strategy = search(Sum(4), exploration=0.3)
    first = strategy.generate(3)
    assert {individual[0] for individual in first} == {0, 1, 2}
    for individual in first:
        tell(strategy, individual, worth(individual))
    for _ in range(40):
        (individual,) = strategy.generate(1)
        tell(strategy, individual, worth(individual))
    visits = [strategy.nodes[option,].visits for option in (0, 1, 2)]
    assert visits == sorted(visits)
    assert strategy.nodes[()].visits == sum(visits) == 43


def test_the_best_genome_is_found_sooner_than_by_chance():
    ours, chance, best = [], [], (2,) * 5
    for seed in range(30):
        ours.append(evaluations_until(search(seed=seed), best))
        rng, space = random.Random(seed), Sum()
        genomes = iter(lambda rng=rng, space=space: space.random(rng), best)  # until the best
        chance.append(1 + sum(1 for _ in genomes))
    assert median(ours) < median(chance) / 3


@pytest.mark.parametrize("space", [Sum(3), Ragged()])
def test_a_small_space_is_proposed_once_each_to_its_end(space):
    strategy, proposed = search(space), []
    while given := strategy.generate(2):
        proposed += [tuple(individual) for individual in given]
        for individual in given:
            tell(strategy, individual, worth([0] * len(individual)))
    assert sorted(proposed) == sorted(space.genomes())
    assert strategy.generate() == []
    assert "every genome" in strategy.ended


def test_proposals_in_flight_spread_over_the_tree_without_a_result():
    strategy = search(Sum(4))
    given = strategy.generate(12)
    counts = [sum(individual[0] == option for individual in given) for option in (0, 1, 2)]
    assert max(counts) - min(counts) <= 1
    assert all(strategy.nodes[option,].told == 0 for option in (0, 1, 2))


def test_the_order_of_results_is_of_no_account_for_what_is_known():
    rng, one, other = random.Random(3), search(), search()
    for strategy, shuffled in ((one, False), (other, True)):
        given = strategy.generate(40)
        if shuffled:
            rng.shuffle(given)
        for individual in given:
            tell(strategy, individual, None if sum(individual) % 4 == 0 else worth(individual))
    for prefix, node in one.nodes.items():
        found = other.nodes[prefix]
        assert (found.visits, found.told, found.failed) == (node.visits, node.told, node.failed)
        assert found.total == pytest.approx(node.total)
    assert [*map(tuple, one.generate(10))] == [*map(tuple, other.generate(10))]


def test_rewards_of_any_range_give_the_same_search():
    proposed = []
    for scale, shift in ((1, 0), (64, -32)):
        strategy, genomes = search(seed=5), []
        for _ in range(50):
            (individual,) = strategy.generate(1)
            genomes.append(tuple(individual))
            tell(strategy, individual, scale * sum(individual) + shift)
        proposed.append(genomes)
    assert proposed[0] == proposed[1]


def test_the_rest_is_drawn_uniformly_from_what_is_left():
    counts = {}
    for seed in range(3000):
        strategy = search(Ragged(), seed)
        strategy._proposed = dict.fromkeys([(), ("a",), ("a", "end")], 1)
        genome = strategy._completed(("a",))
        counts[genome] = counts.get(genome, 0) + 1
    left = [genome for genome in Ragged().genomes(("a",)) if genome != ("a", "end")]
    assert sorted(counts) == sorted(left)
    expected = 3000 / len(left)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_one_that_fails_everywhere_goes_on():
    strategy, proposed = search(), []
    for _ in range(30):
        (individual,) = strategy.generate(1)
        proposed.append(tuple(individual))
        tell(strategy, individual, None)
    assert len(set(proposed)) == 30
    assert all(one != other for one, other in pairwise(proposed))


@pytest.mark.parametrize("settings", [{"exploration": -1}, {"evaluations": 0}])
def test_settings_out_of_their_range_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        search(**settings)


def test_a_space_without_decisions_is_refused():
    with pytest.raises(UserError, match="not sequences of decisions"):
        search(LargeScaleSpace())


def test_where_genomes_cannot_be_counted_each_is_proposed_once_all_the_same():
    space = EditSpace("conv2-fc2", 2, kinds=("deepen",), kernels=(3,), input_shape=(1, 4, 4))
    strategy = MCTS(space, rng=random.Random(0))
    given = []
    while some := strategy.generate(1):
        given += some
        some[0].fitness.values = (len(given) % 3,)
        strategy.update(some)
    assert len(given) == len(set(map(tuple, given)))
    assert set(map(tuple, given)) == set(space.genomes())
