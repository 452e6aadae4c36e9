"""Policy gradients against numbers worked by hand, and over every space with `next`."""

import itertools
import math
import random
from dataclasses import dataclass, replace

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nas_rl import NASRLSpace
from evonas.genomes.nasnet import COMBINATIONS, NASNetSpace
from evonas.space import Decision, Space
from evonas.strategies.controllers import Independent, Recurrent
from evonas.strategies.reinforce import PPO, Reinforce


@dataclass(frozen=True)
class Arms(Space):
    """`pulls` decisions between two arms."""

    name = "arms"
    pulls: int = 1

    def next(self, prefix):
        place = len(prefix)
        return Decision(f"pull{place + 1}", (0, 1), place) if place < self.pulls else None


@dataclass(frozen=True)
class Ragged(Space):
    """Words of a, b and an end, at most four long; b follows only on a."""

    name = "ragged"

    def next(self, prefix):
        if len(prefix) == 4 or (prefix and prefix[-1] == "end"):
            return None
        after_a = bool(prefix) and prefix[-1] == "a"
        return Decision(f"letter{len(prefix)}", ("a", "b", "end") if after_a else ("a", "end"), (len(prefix), after_a))


CONTROLLERS = [Independent, lambda space, rng: Recurrent(space, rng=rng, units=6)]


def controller_of(kind, space, seed=0):
    return kind(space, rng=random.Random(seed))


def episode_of(controller, genome):
    while (episode := controller.sample(1)[0]).genome != genome:
        pass
    return episode


def logits(controller, space):
    """Ascent on the scores of the first decision's options: the gradient descended, negated."""
    rows = [controller.numbers[space.next(()).name, option] for option in space.next(()).options]
    return -controller.scores.grad[rows]


@pytest.mark.parametrize(("action", "reward"), [(0, 1.0), (1, 0.0)])
def test_the_gradient_of_a_two_armed_bandit_is_the_worked_one(action, reward):
    controller = controller_of(Independent, Arms())
    strategy = Reinforce(controller, batch=1)
    strategy.step([episode_of(controller, (action,))], torch.tensor([reward - 0.5]))
    assert torch.allclose(logits(controller, Arms()), torch.tensor([0.25, -0.25]))


def expected_reward(controller, space, rewards, baseline=0.0):
    """The exact J = sum over genomes of P(genome) (R - b), differentiable."""
    episodes = [episode_of(controller, genome) for genome in space.genomes()]
    probabilities = controller.likelihood(episodes).log_probabilities.sum(1).exp()
    return episodes, probabilities, (probabilities * (torch.tensor(rewards) - baseline)).sum()


def gradient(controller):
    return torch.cat([weights.grad.flatten() for weights in controller.parameters()])


@pytest.mark.parametrize("kind", CONTROLLERS)
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_the_estimate_over_all_genomes_is_the_exact_gradient_whatever_the_baseline(kind, baseline):
    space = Ragged()
    controller = controller_of(kind, space)
    rewards = [0.1 * place for place, _ in enumerate(space.genomes())]
    episodes, probabilities, exact = expected_reward(controller, space, rewards)
    controller.zero_grad()
    (-exact).backward()
    wanted = gradient(controller).clone()
    controller.zero_grad()
    likelihood = controller.likelihood(episodes).log_probabilities.sum(1)
    (-(probabilities.detach() * (torch.tensor(rewards) - baseline) * likelihood).sum()).backward()
    assert torch.allclose(gradient(controller), wanted, atol=1e-6)


def test_the_gradient_of_the_exact_objective_is_that_of_finite_differences():
    space, rewards = Arms(2), [0.1, 0.4, 0.2, 0.9]
    controller = controller_of(lambda space, rng: Recurrent(space, rng=rng, units=3), space).double()
    controller.zero_grad()
    expected_reward(controller, space, rewards)[2].backward()
    weights, step = controller.head.bias, 1e-6
    for place in range(len(weights)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weights[place] += sign * step
            values.append(expected_reward(controller, space, rewards)[2].item())
            with torch.no_grad():
                weights[place] -= sign * step
        assert weights.grad[place].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_probabilities_of_all_genomes_sum_to_one_and_nothing_illegal_is_drawn(kind):
    space = Ragged()
    controller = controller_of(kind, space)
    every = list(space.genomes())
    episodes = [episode_of(controller, genome) for genome in every]
    found = controller.likelihood(episodes)
    assert found.log_probabilities.sum(1).exp().sum().item() == pytest.approx(1)
    assert {episode.genome for episode in controller.sample(300)} <= set(every)
    sampled = torch.stack([torch.nn.functional.pad(e.log_probabilities, (0, 4 - len(e.genome))) for e in episodes])
    assert torch.allclose(found.log_probabilities, sampled, atol=1e-6)  # drawn step by step, and all steps at once


def test_genomes_are_drawn_as_often_as_their_probability_says():
    space = Ragged()
    controller = controller_of(lambda space, rng: Recurrent(space, rng=rng, units=6, initial=1.0), space, 3)
    drawn = [episode.genome for episode in controller.sample(4000)]
    for episode in {episode.genome: episode for episode in controller.sample(200)}.values():
        share = math.exp(episode.log_probabilities.sum().item())
        deviation = math.sqrt(share * (1 - share) / len(drawn))
        assert abs(drawn.count(episode.genome) / len(drawn) - share) < 5 * deviation


def test_independent_softmaxes_are_of_single_decisions_and_a_recurrent_controller_shares_kinds():
    space = NASRLSpace(lengths=(3,), filters=(24, 36))
    assert len(controller_of(Independent, space).numbers) == sum(len(each.options) for each in space.every_decision)
    shared = Recurrent(space, rng=random.Random(0), units=6)
    assert len(shared.numbers) == len(
        {(each.kind or each.name, o) for each in space.every_decision for o in each.options}
    )


def test_what_fails_or_is_rejected_gives_its_number_back_to_the_schedule():
    strategy = Reinforce(controller_of(Independent, Arms(2)), batch=2, begin=lambda number: (int(number >= 4),))
    begun = []
    for turn in range(6):
        individuals = strategy.generate(2)
        begun.append([individual[0] for individual in individuals])
        for individual in individuals:
            if turn % 2:  # else rejected
                individual.fitness.values = (1.0,)
        strategy.update(individuals)
    assert begun == [[0, 0], [0, 0], [0, 0], [0, 0], [1, 1], [1, 1]]


def test_entropies_are_those_of_the_decisions():
    controller = controller_of(Independent, Ragged())
    found = controller.likelihood([episode_of(controller, ("a", "b", "end"))])
    assert found.entropies[0].tolist() == pytest.approx([math.log(2), math.log(3), math.log(2)])


def test_the_log_probability_of_a_nasnet_genome_is_the_sum_of_its_decisions():
    space = NASNetSpace(operations=("skip_connect", "sep_conv_3x3"), combinations=COMBINATIONS)
    controller = controller_of(Independent, space)
    (episode,) = controller.sample(1)
    by_hand = sum(-math.log(len(decision.options)) for decision in space.decisions(episode.genome))
    assert len(episode.genome) == 50
    assert controller.likelihood([episode]).log_probabilities.sum().item() == pytest.approx(by_hand)


def test_a_tanh_constant_bounds_the_scores():
    wild = controller_of(lambda space, rng: Recurrent(space, rng=rng, units=6, initial=20.0, tanh=0.44), NASNetSpace())
    for episode in wild.sample(20):
        for p, options in zip(episode.log_probabilities.exp(), episode.options, strict=True):
            others = int((options > 0).sum()) - 1
            least = math.exp(-0.44) / (others * math.exp(0.44) + math.exp(-0.44))
            assert p >= least - 1e-6


# ---- PPO ----------------------------------------------------------------------------------------------------------


def test_at_a_ratio_of_one_ppo_has_the_gradient_of_reinforce():
    found = []
    for kind in (Reinforce, lambda c, batch: PPO(c, batch=batch, passes=1, entropy=0.0)):
        controller = controller_of(CONTROLLERS[1], Ragged())
        kind(controller, batch=4).step(controller.sample(4), torch.tensor([0.3, -0.2, 0.1, 0.5]))
        found.append(gradient(controller))
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize(
    ("advantage", "shift", "moves"), [(1, 0.3, False), (1, -0.3, True), (-1, -0.3, False), (-1, 0.3, True)]
)
def test_a_choice_beyond_the_clip_teaches_no_more_in_its_direction(advantage, shift, moves):
    controller = controller_of(Independent, Arms())
    strategy = PPO(controller, batch=1, passes=1, clip=0.2, entropy=0.0)
    episode = episode_of(controller, (0,))
    episode = replace(
        episode, log_probabilities=episode.log_probabilities - math.log(1 + shift)
    )  # the ratio is 1 + shift
    strategy.step([episode], torch.tensor([float(advantage)]))
    assert bool((controller.scores.grad != 0).any()) is moves


# ---- the strategy -------------------------------------------------------------------------------------------------


def told(strategy, n, reward):
    individuals = strategy.generate(n)
    for individual in individuals:
        individual.fitness.values = (reward(individual),)
    strategy.update(individuals)
    return individuals


def test_the_baseline_is_the_first_batch_and_then_the_moving_average():
    strategy = Reinforce(controller_of(Independent, Arms()), batch=2, decay=0.9)
    told(strategy, 2, lambda individual: 0.5)
    assert strategy.baseline == pytest.approx(0.5)
    told(strategy, 2, lambda individual: 1.0)
    assert strategy.baseline == pytest.approx(0.9 * (0.9 * 0.5 + 0.1) + 0.1)


@pytest.mark.parametrize("make", [Reinforce, PPO])
@pytest.mark.parametrize("kind", CONTROLLERS)
def test_the_mean_reward_rises_above_that_of_uniform_drawing(make, kind):
    space = Arms(3)
    table = dict(zip(itertools.product((0, 1), repeat=3), [0.1, 0.3, 0.2, 0.5, 0.3, 0.6, 0.4, 0.9], strict=True))
    uniform = sum(table.values()) / 8
    for seed in range(5):
        strategy = make(controller_of(kind, space, seed), batch=10, learning_rate=0.02)
        for _ in range(60):
            last = told(strategy, None, lambda individual: table[tuple(individual)])
        assert sum(i.fitness.values[0] for i in last) / len(last) > uniform + 0.2


def test_a_failure_teaches_nothing_and_fills_no_batch():
    strategy = Reinforce(controller_of(Independent, Arms()), batch=2)
    before = strategy.controller.scores.detach().clone()
    strategy.update(strategy.generate(2))
    assert strategy.baseline is None
    assert torch.equal(strategy.controller.scores, before)


def test_a_space_without_decisions_is_refused():
    with pytest.raises(UserError, match="not sequences of decisions"):
        Independent(LargeScaleSpace(), rng=random.Random(0))


@pytest.mark.parametrize("settings", [{"batch": 0}, {"learning_rate": 0}, {"decay": 1}, {"entropy": -1}])
def test_settings_out_of_their_range_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        Reinforce(controller_of(Independent, Arms()), **settings)
