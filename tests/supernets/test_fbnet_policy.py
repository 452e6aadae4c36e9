"""FBNet: samples that become one-hot, and a loss that counts the latency (Wu et al. 2019)."""

from dataclasses import dataclass, replace
from math import log
from typing import ClassVar

import pytest
import torch
from benches import LAYERS, RECIPE, batch, bench, policy, prepared, run

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.genomes.layerwise import LayerwiseSpace, inverted
from evonas.supernets.costs import Costs
from evonas.supernets.search import SupernetSearch
from evonas.supernets.training import SupernetTraining


@dataclass(frozen=True)
class Twins(LayerwiseSpace):
    """One layer, with two options of the same operations."""

    name: ClassVar[str] = "twins"

    def words(self, layer):
        return {"slow": "slow", "fast": "fast"}

    def block(self, option, layer):
        return inverted(layer, 3, 3)


TWINS = Twins((8,), (1,), (2,), 4, False, 0, 8, 0.0, (1, 8, 8), 3)


def test_the_gradient_of_the_loss_by_the_latency_is_that_of_equation_2():
    chosen = policy("fbnet", LAYERS)
    entropy, latency = torch.tensor(1.7, dtype=torch.float64), torch.tensor(23.1, dtype=torch.float64).requires_grad_()
    loss = chosen.loss(entropy, latency)
    assert loss.item() == pytest.approx(1.7 * 0.2 * log(23.1) ** 0.6, rel=1e-12)
    (gradient,) = torch.autograd.grad(loss, latency)
    assert gradient.item() == pytest.approx(1.7 * 0.2 * 0.6 * log(23.1) ** (0.6 - 1) / 23.1, rel=1e-12)
    factor = [chosen.loss(torch.tensor(1.0), torch.tensor(ms)).item() for ms in (20.0, 25.0, 20e3, 25e3)]
    assert factor[1] / factor[0] == pytest.approx(1.044, abs=5e-4)  # the unit changes what a saving is worth
    assert factor[3] / factor[2] == pytest.approx(1.013, abs=5e-4)


def test_a_latency_below_the_target_counts_as_the_target(device):
    chosen = policy("fbnet", LAYERS)
    chosen.prepare(bench(device, limits=Limits(multiply_adds=100_000)))
    assert chosen.target == pytest.approx(100)  # thousands
    entropy = torch.ones(())
    for spent, pulled in ((40.0, False), (140.0, True)):
        latency = torch.tensor(spent, requires_grad=True)
        (gradient,) = torch.autograd.grad(chosen.loss(entropy, latency), latency)
        assert (gradient.item() > 0) is pulled


def test_the_temperature_of_fbnet_falls_as_published_whatever_the_epochs():
    chosen = policy("fbnet", LAYERS)
    for epochs in (90, 45, 30):
        found = []
        for share in (10 / 90, 0.5, 1):
            chosen.begin(round(share * epochs), epochs)
            found.append(chosen.tau)
        assert found == pytest.approx([3.19, 0.660, 0.087], rel=0.02 if epochs == 90 else 0.15)
    chosen.begin(10, 90)
    assert chosen.tau == pytest.approx(3.188, abs=1e-3)


def test_samples_are_almost_uniform_when_it_is_hot_and_almost_one_hot_when_it_is_cold():
    chosen = policy("fbnet", LAYERS)

    def entropy(tau):
        chosen.tau = tau
        with torch.no_grad():
            samples = torch.stack([chosen.mask() for _ in range(300)])
        assert torch.allclose(samples.sum(2), torch.ones(()))
        return -(samples * samples.clamp_min(1e-30).log()).sum(2).mean().item() / log(9)

    assert entropy(5.0) > 0.98
    assert entropy(0.087) < 0.08


def test_of_two_equally_accurate_options_the_faster_one_wins_and_only_where_latency_counts(device, monkeypatch):
    some = batch(device)

    def searched(power):
        chosen = policy("fbnet", TWINS, power=power, learning_rate=0.05, weight_decay=0.0).to(device)
        training = SupernetTraining(TWINS.decode(TWINS.open()), bench(device))
        state = training.network.state_dict()
        for name, tensor in state.items():
            if "/fast" in name or ".fast" in name:
                tensor.copy_(state[name.replace("fast", "slow")])
        chosen.costs = Costs(10.0, torch.tensor([[20.0, 5.0]], device=device), 15.0)
        gradients, learn = [], chosen.learn
        monkeypatch.setattr(chosen, "learn", lambda of: gradients.append(of[0].abs().max().item()) or learn(of))
        for _ in range(60):
            chosen.learn_from(training, some)
        return chosen.weights()["layer1"]["fast"], max(gradients)

    assert searched(0.6)[0] > 0.9
    assert searched(0.0)[1] < 1e-5  # nothing but rounding moves theta


def test_the_weights_learn_from_the_training_images_first_and_theta_from_the_others(device, monkeypatch):
    chosen = policy("fbnet", LAYERS, beginning=0).to(device)
    training = SupernetTraining(LAYERS.decode(LAYERS.open()), bench(device))
    chosen.prepare(training.bench)
    order, descend, learn = [], training.descend, chosen.learn
    monkeypatch.setattr(training, "descend", lambda *of: order.append("w") or descend(*of))
    monkeypatch.setattr(chosen, "learn", lambda of: order.append("theta") or learn(of))
    chosen.begin(0, 3)
    chosen.epoch(training)
    assert order == ["w"] * 4 + ["theta"] * 2  # 96 and 48 images, 24 a step


def test_theta_rests_in_the_first_epochs_and_the_weights_while_it_learns(device):
    chosen = policy("fbnet", LAYERS, beginning=2)
    search = prepared(SupernetSearch(chosen), device)
    before = chosen.alpha.detach().clone()
    run(search, 2)
    assert torch.equal(chosen.alpha, before)
    run(search, 1)
    assert not torch.equal(chosen.alpha, before)
    state = {name: tensor.clone() for name, tensor in search.training.network.state_dict().items()}
    chosen.learn_from(search.training, batch(device))
    assert all(torch.equal(tensor, state[name]) for name, tensor in search.training.network.state_dict().items())
    with pytest.raises(UserError, match="leave some in which theta learns"):
        prepared(SupernetSearch(policy("fbnet", LAYERS, beginning=3)), device)


def test_the_best_of_the_drawn_networks_is_derived(device):
    chosen = policy("fbnet", LAYERS, drawn=8)
    search = prepared(SupernetSearch(chosen), device, recipe=replace(RECIPE, epochs=2))
    run(search)
    chosen.begin(1, 2)
    worth = {genome: search.training.score(LAYERS.route(genome)) for genome in chosen.sample(8)}
    chosen.begin(1, 2)
    derived = chosen.derive(search.training)
    assert len(worth) > 3
    assert search.training.score(LAYERS.route(derived)) >= max(worth.values())
