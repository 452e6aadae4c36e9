"""SNAS: concrete samples, their temperature and the cost of operations (Xie et al. 2019)."""

from dataclasses import replace

import pytest
import torch
from benches import RECIPE, SHAPE, SMALL, judged, policy, prepared, run

from evonas.genomes.darts import OPERATIONS, DARTSSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.supernets.search import SupernetSearch
from evonas.supernets.snas import SNAS, Costs
from evonas.support.streams import stream


def test_samples_of_snas_follow_the_softmax_and_sum_to_one():
    chosen = policy("snas", SMALL)
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([0.5, -0.5, 0.0, 1.0, -1.0]).expand(6, 5))
    draws = torch.stack([chosen.draw() for _ in range(2000)]).detach()  # [draws, decisions, options]
    assert torch.allclose(draws.sum(2), torch.ones(2000, 6), atol=1e-5)
    counts = draws.argmax(2).flatten().bincount(minlength=5).double()
    expected = chosen.probabilities()[0].detach().double() * counts.sum()
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 18.5  # 99.9 % of a chi-square with four degrees of freedom
    chosen.temperature = 0.01
    cold = torch.stack([chosen.draw() for _ in range(2000)]).detach().mean((0, 1))
    assert torch.allclose(cold, chosen.probabilities()[0].detach(), atol=0.02)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(10, (0.367, 0.332, 0.301)), (1, (0.665, 0.245, 0.090)), (0.1, (0.99995, 4.5e-5, 2e-9))],
)
def test_temperatures_of_the_concrete_distribution(temperature, expected, monkeypatch):
    chosen = policy("snas", NASBenchMacroSpace((1,), 4, 8, SHAPE))
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([[1.0, 0.0, -1.0]]))
    monkeypatch.setattr(chosen, "gumbel", lambda: torch.zeros(1, 3))
    chosen.temperature = temperature
    assert chosen.draw()[0].tolist() == pytest.approx(expected, rel=0.02, abs=1e-9)


def test_the_temperature_of_snas_falls_to_its_end_whatever_the_epochs():
    chosen = policy("snas", SMALL)
    found = {}
    for epoch in (0, 75, 149):
        chosen.begin(epoch, 150)
        found[epoch] = chosen.temperature
    assert found[0] == 1
    assert found[75] == pytest.approx(0.515)
    assert found[149] == pytest.approx(0.03, abs=0.01)


def test_the_gradient_of_the_expected_cost_is_p_times_what_it_lies_above_the_mean():
    logits = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
    costs = torch.tensor([10.0, 2.0, 5.0])
    p = logits.softmax(0)
    (gradient,) = torch.autograd.grad((p * costs).sum(), logits)
    exact = (p * (costs - (p * costs).sum())).detach()
    assert torch.allclose(gradient, exact, atol=1e-5)
    # a Monte-Carlo estimate by the samples of a policy, at a temperature that is not too low, has its sign
    chosen = policy("snas", NASBenchMacroSpace((1,), 4, 8, SHAPE))
    with torch.no_grad():
        chosen.alpha.copy_(logits[None])
    chosen.temperature = 0.5
    sampled = torch.zeros(3)
    for _ in range(3000):
        sampled += torch.autograd.grad((chosen.draw()[0] * costs).sum(), chosen.alpha)[0][0] / 3000
    assert torch.equal(sampled.sign(), exact.sign())
    assert torch.allclose(sampled, exact, atol=0.35)


def test_costs_are_those_of_the_operations_in_every_place():
    space = DARTSSpace(3, 4, search=True, every=True, input_shape=SHAPE)
    chosen = policy("snas", space)
    costs = Costs(chosen, space.decode(space.open()))
    places = [place for place, row in enumerate(costs.row.tolist()) if chosen.asked[row].name == "normal/2<-0"]
    assert len(places) == 1  # cells 1 and 2 of three are reductions
    size, flops, access = costs.amounts[:, places[0]]
    of = dict(zip(OPERATIONS, zip(size.tolist(), flops.tolist(), access.tolist(), strict=True), strict=True))
    assert of["none"][:2] == of["skip_connect"][:2] == (0, 0)
    assert of["sep_conv_3x3"][0] == 2 * (4 * 9 + 16)
    assert of["sep_conv_3x3"][1] == of["sep_conv_3x3"][0] * 64
    assert of["sep_conv_5x5"][2] > of["sep_conv_3x3"][2] > of["max_pool_3x3"][2] > 0
    halved = [place for place, row in enumerate(costs.row.tolist()) if chosen.asked[row].name == "reduce/2<-0"]
    skips = costs.amounts[0, halved, OPERATIONS.index("skip_connect")].tolist()
    assert skips == [8 * 8, 16 * 16]  # a factorized reduction with all of its nodes


def test_a_dearer_resource_gives_a_smaller_network():
    space = NASBench201Space(4, 1, SHAPE)
    sizes = []
    for resource in (0.0, 0.3, 30.0):
        chosen = SNAS(space, rng=stream(0, "resource"), resource=resource, learning_rate=0.05, weight_decay=0.0)
        found = run(prepared(SupernetSearch(chosen), recipe=replace(RECIPE, epochs=4)))[-1]
        sizes.append(space.decode(tuple(found)).parameters)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_snas_becomes_certain_and_its_child_comes_near_to_its_samples():
    """The supernet of DARTS, whose weights never saw a network of its own, is worth less as one."""

    def gap(kind):
        chosen = policy(kind, SMALL, learning_rate=0.05, weight_decay=0.0)
        search = prepared(SupernetSearch(chosen), recipe=replace(RECIPE, epochs=8))
        found = run(search)
        with torch.no_grad():
            mixed = search.training.score(chosen.soft(chosen.draw() if kind == "snas" else chosen.probabilities()))
        return found, mixed, judged(search, found[-1]).values[0]

    found, mixed, child = gap("snas")
    assert found[-1].proposal["entropy"] < found[0].proposal["entropy"]
    assert abs(mixed - child) < 0.1
    _, mixed, child = gap("darts")
    assert mixed - child > 0.1
