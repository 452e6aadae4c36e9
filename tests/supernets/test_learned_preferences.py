"""Policies of supernets that come to prefer some genomes: SETN's evaluator, and the shrinking pool of PC-NAS."""

import math
from collections import Counter
from dataclasses import replace
from itertools import product
from random import Random

import pytest
import torch
from benches import RECIPE, SHAPE, SMALL, batch, bench

from evonas.errors import UserError
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.operators.by_decision import toolbox
from evonas.strategies.preferred import Given, Preferred, likeliest
from evonas.supernets.policy import one_epoch
from evonas.supernets.setn import SETN
from evonas.supernets.shrinking import Shrinking
from evonas.supernets.training import SupernetTraining

CHAIN = NASBenchMacroSpace((1, 2), 4, 8, SHAPE)


def training(space, recipe=RECIPE, **settings):
    return SupernetTraining(space.decode(space.open()), bench("cpu", recipe), **settings)


def weights(of):
    return {name: tensor.clone() for name, tensor in of.network.state_dict().items()}


# ---- SETN -----------------------------------------------------------------------------------------------------------


def test_every_operation_is_drawn_equally_often_whatever_the_evaluator_believes():
    policy = SETN(SMALL, rng=Random(0))
    with torch.no_grad():
        policy.alpha[:, 0] = 10.0
    drawn = [policy.uniform() for _ in range(30_000)]
    for edge in range(6):
        counts = Counter(places[edge] for places in drawn)
        error = math.sqrt(30_000 * 0.2 * 0.8)
        assert all(abs(counts[place] - 6000) < 4 * error for place in range(5))


def test_probabilities_of_all_genomes_add_up_to_one():
    policy = SETN(CHAIN, rng=Random(0))
    with torch.no_grad():
        policy.alpha[0] = torch.tensor([2.0, 0.0, 0.0])
        policy.alpha[1] = torch.tensor([0.0, 1.0, 0.0])
    shares = policy.weights()
    assert [round(shares["layer1"][option], 4) for option in (0, 1, 2)] == [0.787, 0.1065, 0.1065]
    assert [round(shares["layer2"][option], 4) for option in (0, 1, 2)] == [0.2119, 0.5761, 0.2119]
    of = {genome: math.prod(shares[f"layer{n}"][token] for n, token in enumerate(genome, 1))
          for genome in CHAIN.genomes()}  # fmt: skip
    assert sum(of.values()) == pytest.approx(1, abs=1e-6)
    pair = sum(value for genome, value in of.items() if genome[:2] == (0, 1))
    assert pair == pytest.approx(0.4534, abs=1e-4)
    assert math.log(pair) == pytest.approx(-0.791, abs=1e-3)


def test_weights_and_evaluator_learn_apart():
    train, policy = training(CHAIN), SETN(CHAIN, rng=Random(0))
    train.network.train()
    images, held_out = batch("cpu", 24), batch("cpu", 24)
    alpha, before = policy.alpha.detach().clone(), weights(train)
    train.descend(images, policy.hard(policy.uniform()))
    assert torch.equal(policy.alpha, alpha)
    after = weights(train)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    train.descend = lambda batch, route: torch.zeros(())  # the step of the weights, which stands above
    policy.step(train, images, lambda: held_out)
    assert not torch.equal(policy.alpha, alpha)
    assert all(torch.equal(after[name], each) for name, each in weights(train).items())


def test_the_evaluator_finds_the_better_operation_while_all_are_trained_alike():
    """Where one option is an identity, and the others lose the image, it is preferred after a short training."""
    space = NASBenchMacroSpace((2,), 4, 8, SHAPE)
    train = training(space, replace(RECIPE, epochs=6))
    policy = SETN(space, rng=Random(0), alpha_rate=0.05)
    drawn = Counter()
    usual = policy.uniform

    def watched():
        places = usual()
        drawn.update(places[1:])
        return places

    policy.uniform = watched
    train.network.get_submodule("layer2.block1").register_forward_hook(
        lambda module, given, made: None if made is None else 50 * torch.randn_like(made)
    )
    for _ in range(6):
        one_epoch(policy, train)
    shares = policy.weights()["layer2"]
    assert shares[1] < 1 / 3 < max(shares.values())
    assert max(drawn.values()) - min(drawn.values()) <= 4 * math.sqrt(24 * 2 / 9)


def test_the_likeliest_genomes_are_those_of_the_sorted_list():
    policy = SETN(SMALL, rng=Random(0))
    with torch.no_grad():
        policy.alpha.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    shares = {name: {str(option): p for option, p in of.items()} for name, of in policy.weights().items()}
    names = [decision.name for decision in SMALL.every_decision]

    def log_p(genome):
        return sum(math.log(shares[name][str(token)]) for name, token in zip(names, genome, strict=True))

    everything = sorted(SMALL.genomes(), key=lambda genome: -log_p(genome))
    assert likeliest(SMALL, shares, 100) == everything[:100]
    odd = [genome for genome in everything if genome[0] == everything[-1][0]]
    assert likeliest(SMALL, shares, 10, lambda genome: genome[0] == everything[-1][0]) == odd[:10]


def test_candidates_may_be_drawn_from_the_evaluator_in_place_of_its_likeliest():
    shares = {"layer1": {"0": 0.9, "1": 0.1, "2": 0.0}, "layer2": {"0": 1.0}, "layer3": {"0": 0.5, "1": 0.5}}

    class Bench:
        preference = shares

    chosen = Preferred(toolbox(CHAIN, rng=Random(0)), rng=Random(0), candidates=3, drawn=True)
    chosen.prepare(Bench())
    drawn = [tuple(each) for each in chosen.generate()]
    assert len(drawn) == len(set(drawn)) == 3
    assert all(genome[0] in (0, 1) and genome[1] == 0 and genome[2] in (0, 1) for genome in drawn)
    assert chosen.generate(1) == []
    first = Preferred(toolbox(CHAIN, rng=Random(0)), rng=Random(0), candidates=2)
    first.prepare(Bench())
    assert [tuple(each) for each in first.generate(5)] == [(0, 0, 0), (0, 0, 1)]


def test_what_prefers_needs_a_supernet_that_does():
    class Problem:
        class setup:
            supernet = None

    with pytest.raises(UserError, match="--supernet setn"):
        Preferred(toolbox(CHAIN, rng=Random(0)), rng=Random(0)).check(Problem())
    with pytest.raises(UserError, match="candidates is 0"):
        Preferred(toolbox(CHAIN, rng=Random(0)), rng=Random(0), candidates=0)


def test_given_genomes_are_proposed_once_and_nothing_else():
    box = toolbox(CHAIN, rng=Random(0))
    first = [box.individual() for _ in range(3)]
    given = Given(box, rng=Random(0)).begin_with(first)
    assert [*given.generate(2), *given.generate()] == first
    assert given.generate(1) == []


# ---- the shrinking pool ---------------------------------------------------------------------------------------------


def pool(space=CHAIN, epochs=8, **settings):
    policy = Shrinking(space, rng=Random(0), **{"pool": 2, "completions": 3, "interval": 2} | settings)
    return policy, training(space, replace(RECIPE, epochs=epochs))


def test_after_each_decision_the_pool_has_entries_of_that_length_and_training_begins_with_one_of_them():
    policy, train = pool()
    drawn = []
    usual = policy.completed
    policy.completed = lambda partial: drawn.append((train.epochs, tuple(partial))) or usual(partial)
    for epoch in range(8):
        one_epoch(policy, train)
        decided = epoch // 2
        assert {len(partial) for partial in policy.pool} == {decided}
        assert len(policy.pool) <= 2
        assert len(set(policy.pool)) == len(policy.pool)
        assert {partial for at, partial in drawn[-4:] if at == epoch} <= set(policy.pool)
    assert train.epochs == 2 + 3 * 2
    assert policy.found(train) == policy.pool
    assert all(CHAIN.decode(genome) for genome in policy.pool)


def test_a_tail_is_drawn_uniformly():
    policy, _ = pool()
    counts = Counter(policy.completed((2, 1))[2] for _ in range(3000))
    assert all(abs(counts[option] - 1000) < 4 * math.sqrt(3000 * 2 / 9) for option in range(3))
    assert {policy.completed((2, 1))[:2] for _ in range(20)} == {(2, 1)}


def test_each_of_the_pool_is_continued_by_each_option():
    """The paper's figure: with three options and two partial genomes there are six candidates, of which two stay."""
    policy, _ = pool()
    policy.pool = [(0,), (2,)]
    extended = policy.extended()
    assert extended == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2)]
    kept = policy.best(extended, lambda genome, nth: float(genome[0] + genome[1]))
    assert kept == [(2, 2), (2, 1)]


def test_the_potential_of_a_whole_genome_is_its_own_and_of_none_the_mean_of_the_space():
    policy, _ = pool(completions=2000)
    values = {genome: Random(repr(genome)).random() for genome in CHAIN.genomes()}
    seen = []

    def accuracy(genome, nth):
        seen.append(values[genome])
        return values[genome]

    assert policy.best([(0, 1, 2), (1, 1, 1)], accuracy) == sorted([(0, 1, 2), (1, 1, 1)], key=lambda g: -values[g])
    seen.clear()
    policy.best([()], accuracy)
    mean = sum(values.values()) / 27
    assert sum(seen) / len(seen) == pytest.approx(mean, abs=4 * 0.3 / math.sqrt(2000))


def test_one_partial_genome_and_all_completions_find_the_optimum_of_a_sum():
    rng = Random(3)
    worth = {(place, option): rng.random() for place, option in product(range(3), range(3))}
    policy, _ = pool(pool=1, completions=27)
    policy.pool = [()]

    def accuracy(genome, nth):  # the nth completion, in place of a random one
        return sum(worth[place, token] for place, token in enumerate(genome))

    completions = [list(each) for each in product(range(3), repeat=3)]
    turns = {"at": 0}

    def completed(partial):
        turns["at"] += 1
        return (*partial, *completions[turns["at"] % 27][len(partial) :])

    policy.completed = completed
    for _ in range(3):
        policy.pool = policy.best(policy.extended(), accuracy)
    best = max(CHAIN.genomes(), key=lambda genome: accuracy(genome, 0))
    assert policy.pool == [best]


def test_only_completions_within_the_limits_count_and_what_has_none_is_dropped():
    policy, _ = pool()
    policy.keeps = lambda graph: graph.multiply_adds <= CHAIN.decode((0, 1, 1)).multiply_adds
    judged = []
    kept = policy.best([(0,), (2,)], lambda genome, nth: judged.append(genome) or 1.0)
    assert kept == [(0,)]
    assert all(policy.keeps(CHAIN.decode(genome)) for genome in judged)
    policy.keeps = lambda graph: False
    with pytest.raises(UserError, match="no network that begins as one of the 2"):
        policy.best([(0,), (2,)], lambda genome, nth: 1.0)


def test_too_few_epochs_for_all_decisions_are_refused():
    policy, _ = pool()
    policy.check(replace(RECIPE, epochs=7))
    with pytest.raises(UserError, match=r"search\.epochs=7"):
        policy.check(replace(RECIPE, epochs=6))
    with pytest.raises(UserError, match="pool is 0"):
        pool(pool=0)


def test_the_pool_goes_on_where_its_checkpoint_was_written():
    found = []
    for cut in (False, True):
        policy, train = pool()
        for epoch in range(8):
            if cut and epoch == 5:
                state, known = train.state(), policy.state()
                policy, train = pool()
                train.load_state(state)
                policy.load_state(known)
            one_epoch(policy, train)
        found.append((policy.pool, weights(train)))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[0][1])
