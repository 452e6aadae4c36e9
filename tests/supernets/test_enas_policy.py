"""ENAS: a controller that learns by REINFORCE on shared weights (Pham et al. 2018)."""

import math
from dataclasses import replace

import pytest
import torch
from benches import SHAPE, SMALL, bench, policy

from evonas.recipe import Recipe
from evonas.supernets.enas import ENAS
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream


def test_the_controllers_phase_of_enas_leaves_shared_weights_and_statistics_alone():
    chosen = policy("enas", SMALL)
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    batch = (torch.randn(16, *SHAPE), torch.arange(16) % 3)
    before = {name: tensor.clone() for name, tensor in training.supernet.state_dict().items()}
    controller = [parameter.detach().clone() for parameter in chosen.controller.parameters()]
    chosen.learn_from(training, lambda: batch)
    assert any(not torch.equal(a, b) for a, b in zip(controller, chosen.controller.parameters(), strict=True))
    for name, tensor in training.supernet.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_baseline_of_enas_is_moved_before_it_is_used(monkeypatch):
    chosen = ENAS(SMALL, rng=stream(0, "enas"), samples=1, entropy=0.0)
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    monkeypatch.setattr(training, "reward_on", lambda batch, route: 0.5)
    advantages = []
    likelihood = chosen.controller.likelihood

    def watched(episodes):
        now = likelihood(episodes)
        total = now.log_probabilities.sum(1)
        total.register_hook(lambda gradient: advantages.append(-gradient.item()))
        return replace(now, log_probabilities=total[:, None])

    monkeypatch.setattr(chosen.controller, "likelihood", watched)
    chosen.learn_from(training, lambda: None)
    assert chosen.baseline.item() == pytest.approx(0.005)
    assert advantages == pytest.approx([0.495])


def test_a_controllers_bounded_scores_bound_its_probabilities():
    controller = ENAS(SMALL, rng=stream(0, "enas"), controller={"tanh": {"": 1.1, "1<-0": 0.44}}).controller
    with torch.no_grad():
        controller.head.weight.normal_(0, 50, generator=torch.Generator().manual_seed(0))
    low, high = (
        math.exp(-0.44) / (4 * math.exp(0.44) + math.exp(-0.44)),
        math.exp(0.44) / (math.exp(0.44) + 4 * math.exp(-0.44)),
    )
    first, others = [], []
    for episode in controller.sample(50):
        first.append(episode.log_probabilities[0].exp().item())
        others += episode.log_probabilities[1:].exp().tolist()
    assert low - 1e-6 <= min(first) <= max(first) <= high + 1e-6
    assert (low, high) == (pytest.approx(0.094, abs=1e-3), pytest.approx(0.376, abs=1e-3))
    assert max(others) > high


def test_what_was_drawn_has_the_likelihood_of_teacher_forcing():
    controller = policy("enas", SMALL).controller
    episodes = controller.sample(5)
    again = controller.likelihood(episodes).log_probabilities
    for episode, row in zip(episodes, again, strict=True):
        assert torch.allclose(episode.log_probabilities, row, atol=1e-5)


def test_enas_learns_to_write_what_is_rewarded(monkeypatch):
    chosen = ENAS(SMALL, rng=stream(0, "enas"), samples=10, learning_rate=0.02, entropy=0.0)
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    monkeypatch.setattr(
        training, "reward_on", lambda batch, route: sum(token == "nor_conv_3x3" for token in route.values()) / 6
    )
    for _ in range(60):
        chosen.learn_from(training, lambda: None)
    share = [of["nor_conv_3x3"] for of in chosen.weights().values()]
    assert sum(share) / 6 > 0.4  # a fifth at first; scores are bounded


def test_learning_rates_restart_after_cycles_that_double():
    recipe = Recipe(epochs=150, learning_rate=0.05, last_rate=0.0005, cycle=10)
    found = [recipe.rate(epoch) for epoch in (0, 5, 9, 10, 29, 30)]
    assert found == pytest.approx([0.05, 0.02525, 0.00171, 0.05, 0.0008, 0.05], abs=5e-6)
