"""Policies that train a supernet by single paths, for others to search: uniform, strictly fair, with constraints."""

from collections import Counter
from dataclasses import replace
from itertools import product
from math import sqrt
from random import Random
from statistics import stdev

import pytest
import torch
from benches import CELLS, RECIPE, SHAPE, SMALL, batch, bench

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.genomes.spos import SPOSSpace
from evonas.supernets.fair import Fair
from evonas.supernets.nsas import NSAS, Constraints
from evonas.supernets.policy import one_epoch
from evonas.supernets.training import SupernetTraining
from evonas.supernets.uniform import Uniform

BLOCKS = SPOSSpace((2, 2), (16, 32), 8, False, 16, 0.0, search=True, input_shape=SHAPE, outputs=10)
CHAIN = NASBenchMacroSpace((1, 2), 4, 8, SHAPE)


def training(space, device="cpu", **settings):
    return SupernetTraining(space.decode(space.open()), bench(device), **settings)


def weights(of):
    return {name: tensor.clone() for name, tensor in of.network.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


# ---- uniform paths (SPOS) --------------------------------------------------------------------------------------------


def test_each_option_of_each_decision_is_drawn_equally_often():
    policy = Uniform(BLOCKS, rng=Random(0))
    drawn = [policy.draw() for _ in range(40_000)]
    for place in range(4):
        counts = Counter(genome[place] for genome in drawn)
        assert all(abs(counts[option] - 10_000) < 4 * 87 for option in range(4))


def test_what_is_not_on_the_path_stays_as_it_is_also_where_it_was_trained_before():
    """With momentum and weight decay, in the step in which it is not drawn (SPOS's released code sets such gradients to
    None)."""
    train = training(BLOCKS)
    train.network.train()
    images = batch("cpu", 24)
    for option in (0, 1, 2, 3, 0):
        train.descend(images, BLOCKS.route((option,) * 4))
    before = weights(train)
    train.descend(images, BLOCKS.route((1, 1, 1, 1)))
    moved = changed(before, weights(train))
    assert any(name.startswith("block1.1") for name in moved)
    assert not {name for name in moved if name.startswith("block") and name.split(".")[1] != "1"}


def test_a_bin_of_multiply_adds_is_drawn_before_a_genome_in_it():
    """The most frequent costs are no longer the most drawn: each bin has its share, if any genome is in it."""
    policy = Uniform(BLOCKS, rng=Random(0), bins=4)
    width = (policy.most - policy.least) / 4
    costs = [BLOCKS.decode(policy.draw()).multiply_adds for _ in range(400)]
    shares = Counter(min(int((cost - policy.least) / width), 3) for cost in costs if cost >= policy.least)
    assert all(abs(shares[number] - 100) < 4 * sqrt(400 * 0.25 * 0.75) for number in range(4))
    plain = Uniform(BLOCKS, rng=Random(0))
    assert stdev(costs) > stdev(BLOCKS.decode(plain.draw()).multiply_adds for _ in range(400))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="bins is -1; use"):
        Uniform(BLOCKS, rng=Random(0), bins=-1)
    with pytest.raises(UserError, match="statistics is 'none'; use"):
        training(BLOCKS, statistics=Uniform(BLOCKS, rng=Random(0), statistics="none").statistics)


# ---- strict fairness (FairNAS) ---------------------------------------------------------------------------------------


def test_after_every_round_every_option_has_been_trained_equally_often():
    policy = Fair(CHAIN, rng=Random(0))
    counts = Counter()
    for number in range(1, 50):
        counts.update(item for route in policy.round() for item in route.items())
        assert set(counts.values()) == {number}
        assert len(counts) == 9


def test_uniform_paths_are_fair_in_the_mean_only():
    """3,000 draws among three: a standard deviation of 26."""
    policy = Uniform(CHAIN, rng=Random(0))
    counts = Counter(policy.draw()[0] for _ in range(3000))
    assert len(set(counts.values())) > 1
    assert all(abs(count - 1000) < 4 * 26 for count in counts.values())


def test_a_round_can_be_any_set_of_permutations():
    """For four decisions of three options there are 3!^3 = 216 sets of three genomes."""
    space = NASBenchMacroSpace((2, 2), 4, 8, SHAPE)
    policy = Fair(space, rng=Random(0))
    seen = {frozenset(tuple(route.values()) for route in policy.round()) for _ in range(6000)}
    assert len(seen) == 216
    assert all({genome[place] for genome in round} == {0, 1, 2} for round, place in product(seen, range(4)))


def test_the_weights_do_not_move_within_a_round_and_its_order_does_not_matter():
    train = training(CHAIN)
    train.network.train()
    policy, images = Fair(CHAIN, rng=Random(0)), batch("cpu", 24)
    routes, before = policy.round(), weights(train)
    seen, usual = [], train.loss

    def watched(*given):
        seen.append({name: tensor.clone() for name, tensor in train.network.named_parameters()})
        return usual(*given)

    train.loss = watched
    policy.descend(train, [images], routes)
    assert len(seen) == 3
    assert all(torch.equal(each[name], before[name]) for each in seen for name in each)
    other = training(CHAIN)
    other.network.train()
    policy.descend(other, [images], routes[::-1])
    for name, parameter in other.network.named_parameters():
        torch.testing.assert_close(parameter, dict(train.network.named_parameters())[name], atol=1e-6, rtol=1e-5)


def test_gradients_of_a_round_are_summed_or_averaged():
    """What all genomes share has three times the gradient in a sum."""
    found, images = {}, batch("cpu", 24)
    for mean in (False, True):
        train = training(CHAIN)
        train.recipe = replace(RECIPE, clip_norm=0)
        policy = Fair(CHAIN, rng=Random(0), mean=mean)
        policy.descend(train, [images], policy.round())
        found[mean] = next(train.network.parameters()).grad.clone()  # of the stem
    torch.testing.assert_close(found[False], 3 * found[True], rtol=1e-4, atol=1e-7)


def test_a_round_may_have_a_batch_for_each_genome():
    train = training(CHAIN)
    policy = Fair(CHAIN, rng=Random(0), same_batch=False)
    steps = []
    usual = policy.descend
    policy.descend = lambda training, batches, routes: steps.append(len(batches)) or usual(training, batches, routes)
    one_epoch(policy, train)
    assert steps == [3]  # of four batches; one is left over


def test_strict_fairness_is_refused_where_options_are_not_equally_many():
    with pytest.raises(UserError, match="equally many options"):
        Fair(CELLS, rng=Random(0))
    train = training(NASBench201Space(4, 1, SHAPE))
    policy = Fair(SMALL, rng=Random(0), same_batch=False)
    with pytest.raises(UserError, match="4 batches, too few for a round of 5"):
        policy.epoch(train)


# ---- constraints (NSAS) ----------------------------------------------------------------------------------------------

DARTS = DARTSSpace(3, 4, search=True, input_shape=SHAPE)


def constraints(size=3, recent=10):
    return Constraints(DARTS, size=size, recent=recent)


def test_the_distance_is_the_share_of_connections_that_differ():
    some = constraints()
    one = DARTS.random(Random(0))
    there = [place for place, token in enumerate(one) if token != "none"]
    other = list(one)
    for place in there[:4]:
        other[place] = "sep_conv_3x3" if one[place] != "sep_conv_3x3" else "sep_conv_5x5"
    assert some.distance(one, one) == 0
    assert some.distance(one, tuple(other)) == some.distance(tuple(other), one) == 4 / 16


def test_the_set_stays_small_and_no_replacement_makes_it_less_diverse():
    some, rng = constraints(), Random(0)
    for _ in range(60):
        genome, before = DARTS.random(rng), list(some.members)
        some.update(genome, lambda: DARTS.random(rng))
        assert len(some.members) <= 3
        places = [place for place, member in enumerate(before) if member not in some.members]
        for place in places:
            rest = [member for nth, member in enumerate(before) if nth != place]
            assert some.novelty(some.members[place], rest) > some.novelty(before[place], rest)
    assert len(some.members) == len(set(some.members)) == 3


def test_the_gradient_is_that_of_the_genome_and_of_its_constraints():
    """With beta .5 and one constraint: half the sum of both, so that what they share receives both terms (it does not
    in the authors' demonstration)."""
    one, other = (0, 1, 2), (0, 2, 1)
    images, policy = batch("cpu", 24), NSAS(CHAIN, rng=Random(0))

    def gradients(descend):
        train = training(CHAIN)
        train.apply = lambda: None
        train.network.train()
        descend(train)
        return {name: each.grad for name, each in train.network.named_parameters() if each.grad is not None}

    policy.others.set.members = [other]
    both = gradients(lambda train: policy.others.descend(train, images, CHAIN.route(one)))
    first, second = (gradients(lambda train, g=g: train.descend(images, CHAIN.route(g))) for g in (one, other))
    assert set(both) == set(first) | set(second)
    for name, gradient in both.items():
        wanted = sum(0.5 * each[name] for each in (first, second) if name in each)
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
    assert set(first) & set(second)


def test_constraints_keep_an_earlier_path_from_being_forgotten():
    one, other = (1, 1, 1), (1, 2, 2)  # they share the first layer and the classifier
    after = {}
    for beta in (0.0, 0.5):
        train, policy = training(CHAIN), NSAS(CHAIN, rng=Random(0), beta=beta)
        policy.others.set.members = [one]
        train.network.train()
        images = [each for each, _ in train.batches()]
        for _ in range(4):
            for each in images:
                train.descend(each, CHAIN.route(one))
        for _ in range(4):
            for each in images:
                policy.others.descend(train, each, CHAIN.route(other))
        with torch.no_grad(), train.probing():
            after[beta] = sum(train.loss(each, CHAIN.route(one)).item() for each in images)
    assert after[0.5] < after[0.0]


@pytest.mark.parametrize("wrong", [{"beta": 1.1}, {"constraints": 0}, {"recent": 0}])
def test_settings_of_constraints_that_cannot_be_are_refused(wrong):
    with pytest.raises(UserError, match="use"):
        NSAS(CHAIN, rng=Random(0), **wrong)


def test_a_policy_goes_on_where_its_checkpoint_was_written():
    """An epoch after another in one process, or in two with a checkpoint between them: the same weights to the bit."""
    for make in (Uniform, Fair, NSAS):
        found = []
        for cut in (False, True):
            train, policy = training(CHAIN), make(CHAIN, rng=Random(1))
            one_epoch(policy, train)
            if cut:
                state, known = train.state(), policy.state()
                train, policy = training(CHAIN), make(CHAIN, rng=Random(1))
                train.load_state(state)
                policy.load_state(known)
            one_epoch(policy, train)
            found.append(weights(train))
        assert not changed(*found), make.__name__
