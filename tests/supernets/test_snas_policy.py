"""SNAS: concrete samples, their temperature and the cost of operations (Xie et al. 2019)."""

from dataclasses import replace

import pytest
import torch
from benches import RECIPE, SHAPE, SMALL, judged, policy, prepared, run

from evonas.genomes.darts import OPERATIONS, DARTSSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.ranking import Best, best
from evonas.supernets.search import SupernetSearch
from evonas.supernets.snas import SNAS, Costs
from evonas.support.streams import stream


def cost_of(c, y, stride):
    """The costs of the operations for c channels and an output of y x y in the authors' code, by hand: what a pass of
    a depthwise and a 1x1 convolution reads and writes is 4 c y^2, and a strided one reads a map of four times the size.
    """
    read = c * y * y * stride**2
    further = c * y * y

    def separable(kernel, passes):
        size = passes * (c * kernel**2 + c * c)
        return size, size * y * y, read + (4 * passes - 1) * further + size

    pool = (0, 9 * further, read + further)
    shifted = c * (2 * y - 1) ** 2  # read by the second of the two convolutions that halve a map
    halved = (c * c, c * c * y * y, read + shifted + further + c * c)
    return {
        "none": (0, 0, 0), "max_pool_3x3": pool, "avg_pool_3x3": pool,
        "skip_connect": (0, 0, 2 * further) if stride == 1 else halved,
        "sep_conv_3x3": separable(3, 2), "sep_conv_5x5": separable(5, 2),
        "dil_conv_3x3": separable(3, 1), "dil_conv_5x5": separable(5, 1),
    }  # fmt: skip


EDGES = {  # the costs in each of its places in three cells of 4 channels, of which 1 and 2 are reductions
    "normal/2<-0": [cost_of(4, 8, 1)],
    "reduce/2<-0": [cost_of(8, 4, 2), cost_of(16, 2, 2)],
    "reduce/5<-4": [cost_of(8, 4, 1), cost_of(16, 2, 1)],
}


def test_samples_of_snas_follow_the_softmax_and_sum_to_one(device):
    chosen = policy("snas", SMALL).to(device)
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([0.5, -0.5, 0.0, 1.0, -1.0], device=device).expand(6, 5))
    draws = torch.stack([chosen.draw() for _ in range(2000)]).detach()  # [draws, decisions, options]
    assert torch.allclose(draws.sum(2), torch.ones(2000, 6, device=device), atol=1e-5)
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
def test_temperatures_of_the_concrete_distribution(temperature, expected, monkeypatch, device):
    chosen = policy("snas", NASBenchMacroSpace((1,), 4, 8, SHAPE)).to(device)
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([[1.0, 0.0, -1.0]], device=device))
    monkeypatch.setattr(chosen, "gumbel", lambda: torch.zeros(1, 3, device=device))
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


def test_the_gradient_of_the_expected_cost_is_p_times_what_it_lies_above_the_mean(device):
    """By many draws at a low temperature, where the bias of the relaxation is small; entries are about 1."""
    logits, costs = torch.tensor([[0.3, -0.2, 0.9], [10.0, 2.0, 5.0]], device=device)
    p = logits.softmax(0)
    exact = p * (costs - (p * costs).sum())
    space = NASBenchMacroSpace((200,), 4, 8, SHAPE)  # 200 decisions, each a sample of its own
    chosen = policy("snas", space).to(device)
    with torch.no_grad():
        chosen.alpha.copy_(logits.expand(200, 3))
    chosen.temperature = 0.1
    sampled = torch.zeros(200, 3, device=device)
    for _ in range(500):
        sampled += torch.autograd.grad((chosen.draw() @ costs).sum(), chosen.alpha)[0] / 500
    assert torch.allclose(sampled.mean(0), exact, atol=0.04)  # four standard errors


def test_the_gradient_of_the_resource_term_is_that_of_the_log_of_the_three_costs(device):
    """d/d alpha_k log(sum p c) = p_k (c_k - sum p c) / sum p c, averaged over costs and the places of a decision."""
    space = DARTSSpace(3, 4, search=True, every=True, input_shape=SHAPE)
    chosen = policy("snas", space, initial=1.0).to(device)
    costs = Costs(chosen, space.decode(space.open()))
    (found,) = torch.autograd.grad(costs.of(chosen.probabilities()), chosen.alpha)
    p = chosen.probabilities().detach()
    for edge, places in EDGES.items():
        row = [decision.name for decision in chosen.asked].index(edge)
        c = torch.tensor([[cost[operation] for operation in OPERATIONS] for cost in places])  # [places, options, 3]
        c = c.to(device)
        mean = (p[row][:, None] * c).sum(1, keepdim=True)
        assert torch.allclose(found[row], (p[row][:, None] * (c - mean) / mean).mean((0, 2)), atol=1e-5)


@pytest.mark.parametrize(("edge", "places"), EDGES.items())
def test_costs_are_those_of_the_operations_in_every_place(edge, places, device):
    space = DARTSSpace(3, 4, search=True, every=True, input_shape=SHAPE)
    chosen = policy("snas", space).to(device)
    costs = Costs(chosen, space.decode(space.open()))
    of_edge = [place for place, row in enumerate(costs.row.tolist()) if chosen.asked[row].name == edge]
    assert len(of_edge) == len(places)
    for place, by_hand in zip(of_edge, places, strict=True):
        found = zip(OPERATIONS, costs.amounts[:, place].T.tolist(), strict=True)
        assert {operation: tuple(three) for operation, three in found} == by_hand


def test_the_resource_alone_leaves_hardly_an_edge(device):
    """`none` is the only option that costs nothing, so a strong resource weight drives the edges to it."""
    space = DARTSSpace(3, 4, search=True, every=True, input_shape=SHAPE)
    chosen = SNAS(space, rng=stream(0, "resource"), learning_rate=0.05, weight_decay=0.0).to(device)
    costs = Costs(chosen, space.decode(space.open()))
    for epoch in range(20):
        chosen.begin(epoch, 20)
        for _ in range(10):
            chosen.learn(torch.autograd.grad(costs.of(chosen.draw()), [chosen.alpha]))
    assert space.likeliest(chosen.weights()).count("none") >= 27


def test_a_dearer_resource_gives_a_smaller_network(device):
    space = NASBench201Space(4, 1, SHAPE)
    found = []
    for resource in (0.0, 0.3, 30.0):
        chosen = SNAS(space, rng=stream(0, "resource"), resource=resource, learning_rate=0.05, weight_decay=0.0)
        genome = run(prepared(SupernetSearch(chosen), device, recipe=replace(RECIPE, epochs=4)))[-1]
        costs = Costs(chosen, space.decode(space.open()))
        places = [options.index(token) for options, token in zip(chosen.options, genome, strict=True)]
        one_hot = torch.eye(5, device=device)[places]
        found.append((one_hot[costs.row] * costs.amounts).sum((1, 2)).tolist())
    for cost in zip(*found, strict=True):  # weights, FLOPs, memory access
        assert list(cost) == sorted(cost, reverse=True)
        assert cost[0] > cost[-1]


@pytest.mark.parametrize(("kind", "result"), [("snas", 1), ("darts", 2)])
def test_the_result_of_snas_is_the_cell_of_its_best_epoch(kind, result, monkeypatch, device):
    search = prepared(SupernetSearch(policy(kind, SMALL, learning_rate=1.0)), device)
    values = iter((0.4, 0.8, 0.6))
    monkeypatch.setattr(search.training, "score", lambda route: next(values))
    found = run(search)
    told = [Best(n, tuple(each), judged(search, each).values[0], each.provisional) for n, each in enumerate(found)]
    assert best(told, 1.0).id == result


def test_snas_becomes_certain_and_its_child_comes_near_to_its_samples(device):
    """The supernet of DARTS, whose weights never saw a network of its own, is worth less as one."""

    def gap(kind):
        chosen = policy(kind, SMALL, learning_rate=0.05, weight_decay=0.0)
        search = prepared(SupernetSearch(chosen), device, recipe=replace(RECIPE, epochs=8))
        found = run(search)
        with torch.no_grad():
            mixed = search.training.score(chosen.soft(chosen.draw() if kind == "snas" else chosen.probabilities()))
        return found, mixed, judged(search, found[-1]).values[0]

    found, mixed, child = gap("snas")
    assert found[-1].proposal["entropy"] < found[0].proposal["entropy"]
    assert abs(mixed - child) < 0.1
    _, mixed, child = gap("darts")
    assert mixed - child > 0.1
