"""ENAS: a controller that learns by REINFORCE on shared weights (Pham et al. 2018)."""

import math
from dataclasses import replace

import pytest
import torch
from benches import SHAPE, SMALL, batch, bench, policy

from evonas.genomes.enas_macro import ENASMacroSpace
from evonas.recipe import Recipe
from evonas.supernets.enas import ENAS
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream
from evonas.systems.enas import enas


def test_the_controllers_phase_of_enas_leaves_shared_weights_and_statistics_alone(device):
    chosen = policy("enas", SMALL).to(device)  # where its controller does not go
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
    some = batch(device)
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    controller = [parameter.detach().clone() for parameter in chosen.controller.parameters()]
    chosen.learn_from(training, lambda: some)
    assert any(not torch.equal(a, b) for a, b in zip(controller, chosen.controller.parameters(), strict=True))
    for name, tensor in training.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_weights_phase_of_enas_leaves_the_controller_alone_and_rewards_come_from_validation_data(
    monkeypatch, device
):
    chosen = policy("enas", SMALL).to(device)  # where its controller does not go
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
    before = [parameter.detach().clone() for parameter in chosen.controller.parameters()]
    phases, judged = [], []
    descend, reward_on = training.descend, training.reward_on

    def descending(batch, route):
        loss = descend(batch, route)
        assert all(parameter.grad is None for parameter in chosen.controller.parameters())
        assert all(torch.equal(a, b) for a, b in zip(before, chosen.controller.parameters(), strict=True))
        phases.append("weights")
        return loss

    def rewarding(batch, route):
        phases.append("controller")
        judged.extend(batch[0])
        return reward_on(batch, route)

    monkeypatch.setattr(training, "descend", descending)
    monkeypatch.setattr(training, "reward_on", rewarding)
    chosen.epoch(training)
    assert phases == ["weights"] * training.steps + ["controller"] * 8  # two steps of four architectures
    assert not all(torch.equal(a, b) for a, b in zip(before, chosen.controller.parameters(), strict=True))

    def among(image, split):
        return any(torch.equal(image, known) for inputs, _ in split.batches() for known in inputs)

    assert all(among(image, training.bench.validation) for image in judged)
    assert not any(among(image, training.bench.train) for image in judged)


def test_the_baseline_of_enas_is_moved_before_it_is_used(monkeypatch, device):
    chosen = ENAS(SMALL, rng=stream(0, "enas"), samples=1, entropy=0.0).to(device)
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
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


def episode_of(space, probabilities):
    """An episode whose choices had these probabilities."""
    logs = torch.tensor(probabilities).log()
    controller = ENAS(space, rng=stream(0, "enas")).controller
    return replace(controller.sample(1)[0], log_probabilities=logs, entropy=2.5)


@pytest.mark.parametrize(("of_choices", "entropy"), [(False, 2.5), (True, 0.25 * math.log(4) + 0.5 * math.log(2))])
def test_the_entropy_in_the_reward_is_that_of_the_decisions_or_of_the_choices_alone(of_choices, entropy):
    chosen = ENAS(SMALL, rng=stream(0, "enas"), entropy=0.1, chosen_entropy=of_choices)
    assert chosen.bonus(episode_of(SMALL, [0.25, 0.5])) == pytest.approx(0.1 * entropy)


def test_the_authors_entropy_of_whole_networks_is_that_of_the_choices():
    for space, wanted in ((ENASMacroSpace(4, 4, input_shape=SHAPE), True), (SMALL, False)):
        assert enas(space, rng=stream(0, "enas")).policy.chosen_entropy is wanted


def test_the_divergence_of_skips_is_that_of_the_sigmoid_of_one_score():
    """Scores (-q, q) with q = 0.5 and -1: KL(sigmoid(q) || 0.4) = 0.1004 and 0.0377, summed over a layer's skips."""
    space = ENASMacroSpace(3, 4, input_shape=SHAPE)
    chosen = ENAS(space, rng=stream(0, "enas"))
    episode = replace(chosen.controller.sample(1)[0], genome=space.parse("0 | 0 1 | 0 0 1"))

    def kl(q):
        p = 1 / (1 + math.exp(-q))
        return p * math.log(p / 0.4) + (1 - p) * math.log((1 - p) / 0.6)

    def drawn(q):
        return math.log(1 / (1 + math.exp(-2 * q)))

    logs = torch.tensor([[0.0, 0.0, drawn(0.5), 0.0, drawn(1.0), drawn(0.5)]])  # the second skip has q = -1
    assert (kl(0.5), kl(-1.0)) == (pytest.approx(0.1004, abs=1e-4), pytest.approx(0.0377, abs=1e-4))
    assert chosen.divergence([episode], logs).item() == pytest.approx((kl(0.5) + kl(-1.0) + kl(0.5)) / 2, abs=1e-5)


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


def test_enas_learns_to_write_what_is_rewarded(monkeypatch, device):
    chosen = ENAS(SMALL, rng=stream(0, "enas"), samples=10, learning_rate=0.02, entropy=0.0).to(device)
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
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
