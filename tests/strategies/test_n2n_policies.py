"""N2N: its rewards by hand, its two policies, and what they learn of rewards that are known."""

import json
import random
from statistics import fmean
from types import SimpleNamespace

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.n2n import REMOVE, N2NSpace
from evonas.genomes.residual import ResidualSpace
from evonas.graph import INPUT, Draft, Graph
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.strategies.n2n import N2N, Baseline
from evonas.strategies.n2n_policies import Removal, Shrinkage
from evonas.strategies.rewards import compression, constrained
from evonas.support.streams import stream


def space_of(graph: Graph) -> N2NSpace:
    return N2NSpace(json.dumps(graph.to_json()), input_shape=graph.input_shape, outputs=graph.output_shape[0])


RESIDUAL = space_of(ResidualSpace(widths=(16, 32), blocks=1, input_shape=(1, 8, 8)).decode(()))


def chain(blocks):
    draft, x = Draft((1, 8, 8)), INPUT
    for number in range(blocks):
        x = draft.node(f"block{number}", [x], Convolution(20), BatchNorm(), ReLU())
    draft.node("end", [x], GlobalAveragePool(), Linear(10))
    return draft.graph()


# ---- rewards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compressed", "relative", "reward"),
    [(0, 1, 0), (0.5, 1, 0.75), (0.9, 1, 0.99), (0.9, 0.99, 0.9801), (0.95, 0.98, 0.9775), (0.99, 0.9, 0.8999)],
)
def test_the_reward_is_that_of_the_paper(compressed, relative, reward):
    assert round(compression(1 - compressed, relative), 4) == reward


def test_what_breaks_a_constraint_earns_its_reward_at_first_and_less_and_less():
    assert constrained(0.8, 0) == 0.8
    assert constrained(0.8, 5) == pytest.approx((2 / 3) ** 4 - 1 + (2 / 3) ** 4 * 0.8)
    assert [constrained(0.8, update) for update in (15, 22, 30, 100)] == [-1] * 4  # and never more again


def test_baselines_are_means_of_earlier_batches():
    textbook, code = Baseline(), Baseline("code")
    assert textbook.advantages([1.0, 3.0]) == [-1, 1]
    assert textbook.advantages([5.0, 6.0]) == [3, 4]
    assert textbook.advantages([5.0]) == [5 - (2 + 5.5) / 2]
    assert code.advantages([1.0, 3.0]) == [2, 2]
    assert code.advantages([5.0, 6.0]) == [5.5 - 2 / 2] * 2
    assert code.advantages([5.0]) == [5 - 7.5 / 3]


def told(strategy, individual, accuracy):
    if accuracy is not None:
        individual.fitness.values = (accuracy,)
    strategy.update([individual])


def test_the_network_itself_earns_nothing_and_what_cannot_be_trained_minus_one():
    strategy = N2N(RESIDUAL, rng=stream(0, "n2n"))
    strategy.prepare(SimpleNamespace(teacher=SimpleNamespace(graph=RESIDUAL.whole, value=0.9)))
    whole = strategy.generate(1)[0]
    whole[:] = RESIDUAL.smaller(1.0)
    whole.fitness.values = (0.9,)
    assert strategy.reward(whole) == (0, False)
    del whole.fitness.values
    assert strategy.reward(whole) == (-1, False)
    whole[:] = RESIDUAL.smaller(0.5)
    whole.fitness.values = (0.81,)
    kept = RESIDUAL.decode(whole).parameters / RESIDUAL.whole.parameters
    assert strategy.reward(whole)[0] == pytest.approx(compression(kept, 0.9))


def test_constraints_are_known():
    few = RESIDUAL.decode(RESIDUAL.smaller(0.5)).parameters
    strategy = N2N(RESIDUAL, rng=stream(0, "n2n"), max_parameters=few - 1, min_relative=0.5)
    child = strategy.generate(1)[0]
    child[:] = RESIDUAL.smaller(0.5)
    child.fitness.values = (0.9,)
    assert strategy.reward(child)[1]
    child[:] = RESIDUAL.smaller(0.4)
    assert not strategy.reward(child)[1]
    child.fitness.values = (0.4,)
    assert strategy.reward(child)[1]


# ---- policies -------------------------------------------------------------------------------------------------------


def removed(genome, space):
    answers = space.answers(genome)
    return [answers.get(f"{leaf.name}.keep") == REMOVE for leaf in space.plan.leaves]


def test_layers_that_stay_are_no_choice_of_the_first_policy():
    policy = Removal(RESIDUAL, rng=stream(0, "policy"))
    genomes = policy.sample(50)
    fixed = [not leaf.removable for leaf in RESIDUAL.plan.leaves]
    assert not any(
        gone and stays for genome in genomes for gone, stays in zip(removed(genome, RESIDUAL), fixed, strict=True)
    )
    before = policy.log_probabilities(genomes[:1])
    logits = policy()
    gone = torch.tensor(removed(genomes[0], RESIDUAL), dtype=torch.long)
    by_hand = sum(logits[n, gone[n]] for n in range(len(fixed)) if not fixed[n])
    assert before.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_second_policy_shrinks_what_is_left_by_legal_multipliers():
    gone = frozenset({"stem/relu", "stage1/block1/residual/conv"})
    policy = Shrinkage(RESIDUAL, gone, rng=stream(0, "policy"))
    genomes = policy.sample(20)
    for genome in genomes:
        RESIDUAL.decode(genome)
        answers = RESIDUAL.answers(genome)
        assert {name.removesuffix(".keep") for name, token in answers.items() if token == REMOVE} == gone
    assert len(set(genomes)) == 20
    one, both = policy.log_probabilities(genomes[:1]), policy.log_probabilities(genomes[:2])
    assert one[0].item() == pytest.approx(both[0].item(), rel=1e-5)


def test_each_choice_is_read_applied_before_the_next():
    policy = Shrinkage(RESIDUAL, frozenset(), rng=stream(0, "policy"))
    prefix = ()
    while (asked := RESIDUAL.next(prefix)).name != "stem/conv.channels":
        prefix += ("+" if asked.kind == "keep" else 0.4,)
    read = policy._read(asked, [prefix])[0] * torch.cat([policy.scale, torch.ones(4)])
    assert [round(each, 4) for each in read.tolist()] == [1, 1, 1, 16, 1, 0, 0, 0, 0, 1, 0]  # a kernel of 3 * .4


SEEDS = range(5)


def learnt(space, worth, seed, updates, **settings):
    """Mean worth of the last 20 batches, and of as many random genomes."""
    strategy = N2N(space, rng=stream(seed, "n2n"), evaluations=5 * updates + 1, **settings)
    strategy.reward = lambda individual: (worth(tuple(individual)), False)
    found = []
    for _ in range(updates):
        for individual in (batch := strategy.generate(5)):
            individual.fitness.values = (0.5,)
            found.append(worth(tuple(individual)))
        strategy.update(batch)
    rng = random.Random(seed)
    return fmean(found[-100:]), fmean(worth(space.complete({}, rng)) for _ in range(100))


def test_the_first_policy_learns_to_remove_odd_layers():
    """The network is a chain in which each second layer is a ReLU. Where layers that are alike are to be told apart by
    their place alone, it takes longer."""
    draft, x = Draft((1, 8, 8)), INPUT
    for number in range(5):
        x = draft.node(f"block{number}", [x], Convolution(12 + 4 * number), ReLU())
    draft.node("end", [x], GlobalAveragePool(), Linear(10))
    space = space_of(draft.graph())

    def worth(genome):
        gone = removed(genome, space)
        return fmean((n % 2 == 1) == gone[n] for n, leaf in enumerate(space.plan.leaves) if leaf.removable)

    for seed in SEEDS:
        by_policy, at_random = learnt(space, worth, seed, 120, removal=1.0, removal_rate=0.01)
        assert by_policy > at_random + 0.3, seed


def test_the_second_policy_learns_how_much_to_shrink():
    space = space_of(chain(2))
    wanted = {"kernel": 1.0, "channels": 0.3, "padding": 1.0}

    def worth(genome):
        asked = {
            name.rpartition(".")[2]: token for name, token in space.answers(genome).items() if isinstance(token, float)
        }
        return 1 - fmean(abs(token - wanted[attribute]) for attribute, token in asked.items()) if asked else 0.0

    for seed in SEEDS:
        by_policy, at_random = learnt(space, worth, seed, 60, removal=0.0)
        assert by_policy > at_random + 0.15, seed


# ---- the search -----------------------------------------------------------------------------------------------------


def test_first_layers_go_then_the_best_network_shrinks_and_in_the_end_comes_the_best_of_all():
    strategy = N2N(RESIDUAL, rng=stream(0, "n2n"), evaluations=31, removal=0.5, batch=5)
    found = []
    while individuals := strategy.generate(1):
        found += individuals
        told(strategy, individuals[0], None if len(found) == 2 else 0.5 + len(found) / 100)
    assert [each.operator for each in found] == ["removal"] * 15 + ["shrinkage"] * 15 + ["chosen"]
    worth = [strategy.reward(each)[0] for each in found]
    assert worth[1] == -1
    assert [each.provisional for each in found] == [True] * 30 + [False]
    best = max(range(30), key=lambda n: worth[n])
    assert tuple(found[-1]) == tuple(found[best])
    first = max(range(15), key=lambda n: worth[n])
    assert all(removed(each, RESIDUAL) == removed(found[first], RESIDUAL) for each in found[15:30])


def test_the_last_proposal_waits_for_those_in_flight_and_nobody_else_does():
    strategy = N2N(RESIDUAL, rng=stream(0, "n2n"), evaluations=8)
    flying = strategy.generate(7)
    assert len(flying) == 7
    assert strategy.generate(1) == []
    for individual in flying[:6]:
        told(strategy, individual, 0.5)
    assert strategy.generate(1) == []
    told(strategy, flying[6], 0.5)
    assert [each.operator for each in strategy.generate(3)] == ["chosen"]
    assert strategy.generate(1) == []


def test_the_seed_decides_and_settings_are_checked():
    one, same, other = (N2N(RESIDUAL, rng=stream(seed, "n2n")).generate(10) for seed in (0, 0, 1))
    assert one == same != other
    for wrong, why in (({"batch": 0}, "batch 0"), ({"variant": "paper"}, "use textbook or code"),
                       ({"removal": 1.5}, "removal is 1.5"), ({"removal_rate": 0.0}, "rates above 0")):  # fmt: skip
        with pytest.raises(UserError, match=why):
            N2N(RESIDUAL, rng=stream(0, "n2n"), **wrong)
    with pytest.raises(UserError, match="use reinforce"):
        N2N(ResidualSpace(), rng=stream(0, "n2n"))
