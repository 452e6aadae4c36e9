"""What options cost, what is expected of a soft route, and networks that keep a limit."""

from dataclasses import replace
from random import Random

import pytest
import torch
from benches import BLOCKS, LAYERS, SMALL, bench, policy, prepared, run

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.latency import LatencyTable, key_of, steps_of
from evonas.supernets.costs import costs_of, price_of
from evonas.supernets.search import SupernetSearch

KINDS = [("fbnet", LAYERS), ("proxylessnas", BLOCKS)]
both = pytest.mark.parametrize(("kind", "space"), KINDS, ids=[kind for kind, _ in KINDS])


def table_of(space, folder):
    """A table in which each step of any network of the space takes a time of its own; and its file."""
    found = {key_of(*step): None for seed in range(300)
             for step in steps_of(space.decode(space.random(Random(seed))).simplified())}  # fmt: skip
    rng = Random(0)
    table = LatencyTable("cpu", "a machine", "float32", 1, {key: rng.uniform(0.5, 2) for key in found}, 1.25)
    table.write(folder / "latency.json")
    return table, Limits(latency_ms=1e6, latencies=str(folder / "latency.json"))


def one_hot(policy, genome):
    route = policy.space.route(genome)
    weights = torch.zeros_like(policy.alpha)
    for row, (decision, options) in enumerate(zip(policy.asked, policy.options, strict=True)):
        weights[row, options.index(route[decision.name])] = 1
    return weights


@both
def test_the_latency_of_a_one_hot_route_is_the_sum_of_the_entries_of_the_table(kind, space, tmp_path):
    table, limits = table_of(space, tmp_path)
    chosen = policy(kind, space).double()
    costs = costs_of(chosen, price_of(limits))
    for seed in range(30):
        genome = space.random(Random(seed))
        graph = space.decode(genome)
        exact = table.scale * sum(table.ms[key_of(*step)] for step in steps_of(graph.simplified()))
        assert costs.of(one_hot(chosen, genome)).item() == pytest.approx(exact, rel=1e-9)
        assert table.of(graph) == pytest.approx(exact, rel=1e-9)


@both
def test_the_gradient_of_the_latency_is_the_entry_of_each_option(kind, space, tmp_path):
    table, limits = table_of(space, tmp_path)
    chosen = policy(kind, space).double()
    costs = costs_of(chosen, price_of(limits))
    weights = chosen.probabilities().detach().requires_grad_()
    (gradient,) = torch.autograd.grad(costs.of(weights), weights)
    for row, (decision, options) in enumerate(zip(chosen.asked, chosen.options, strict=True)):
        layer = space.layers[int(decision.name.removeprefix("layer")) - 1]
        for column, option in enumerate(options):
            steps, shape, entry = space.block(option, layer) or (), None, 0.0
            graph = space.decode(space.open())
            shape = next(graph.shapes[node.inputs[0].source] for node in graph.nodes
                         if node.name.startswith(f"{decision.name}/") and node.operations)  # fmt: skip
            for step in steps:
                entry += table.ms[key_of(step, shape)]
                shape = step.shape(shape)
            if steps and layer.shortcut:  # is added to its input
                entry += next(ms for (text, at), ms in table.ms.items() if '"sum"' in text and at == shape)
            assert gradient[row, column].item() == pytest.approx(table.scale * entry, rel=1e-9)


def test_the_latency_that_is_expected_is_the_mean_over_networks(tmp_path):
    table, limits = table_of(BLOCKS, tmp_path)
    chosen = policy("proxylessnas", BLOCKS).double()
    with torch.no_grad():
        chosen.alpha.copy_(torch.randn(chosen.alpha.shape, generator=torch.Generator().manual_seed(1)))
    weights = chosen.weights()
    expected = 0.0
    for genome in BLOCKS.genomes():
        probability = 1.0
        for name, token in BLOCKS.route(genome).items():
            probability *= weights[name][token]
        expected += probability * table.of(BLOCKS.decode(genome))
    assert costs_of(chosen, price_of(limits)).of(chosen.probabilities()).item() == pytest.approx(expected, rel=1e-9)


def test_without_a_table_costs_are_millions_of_multiply_adds():
    chosen = policy("fbnet", LAYERS)
    costs = costs_of(chosen, price_of(Limits()))
    genome = LAYERS.random(Random(3))
    exact = LAYERS.decode(genome).multiply_adds / 1e6
    assert costs.of(one_hot(chosen, genome)).item() == pytest.approx(exact, rel=1e-5)
    least = min(LAYERS.decode(each).multiply_adds for each in LAYERS.genomes())
    assert costs.least == pytest.approx(least / 1e6, rel=1e-9)


def test_a_space_whose_options_cost_what_others_say_is_refused(device):
    with pytest.raises(UserError, match="is not the sum of those of its options"):
        prepared(SupernetSearch(policy("fbnet", SMALL)), device)


def test_a_unit_in_which_networks_cost_less_than_one_is_refused(device):
    with pytest.raises(UserError, match=r"its logarithm is not above 0; use a smaller one, such as"):
        prepared(SupernetSearch(policy("fbnet", LAYERS, unit=1.0)), device)


def cost(genome, space):
    return space.decode(genome).multiply_adds


@both
def test_what_is_derived_is_the_likeliest_within_the_limit(kind, space, device):
    costs = sorted(cost(genome, space) for genome in space.genomes())
    limit = costs[len(costs) // 4]
    chosen = policy(kind, space)
    chosen.prepare(bench(device, limits=Limits(multiply_adds=limit)))
    with torch.no_grad():
        chosen.alpha.copy_(torch.randn(chosen.alpha.shape, generator=torch.Generator().manual_seed(0)))
    weights = chosen.weights()

    def likelihood(genome):
        return torch.tensor([weights[name][token] for name, token in space.route(genome).items()]).log().sum().item()

    found = space.likeliest(chosen.within_target(chosen.probabilities().detach()))
    assert cost(found, space) <= limit
    cheaper = [likelihood(each) for each in space.genomes() if cost(each, space) <= cost(found, space)]
    assert likelihood(found) == pytest.approx(max(cheaper), abs=1e-5)  # the likeliest at its cost
    assert cost(space.likeliest(weights), space) > limit  # without one it would be another


@both
def test_a_search_within_a_limit_proposes_nothing_over_it(kind, space, device):
    limit = sorted(cost(genome, space) for genome in space.genomes())[len(list(space.genomes())) // 10]
    search = SupernetSearch(policy(kind, space, **({"drawn": 3} if kind == "fbnet" else {})))
    search.prepare(bench(device, limits=Limits(multiply_adds=limit)))
    assert all(cost(tuple(each), space) <= limit for each in run(search))
    with pytest.raises(UserError, match="over the limit"):
        policy(kind, space).prepare(bench(device, limits=Limits(multiply_adds=1000)))


def test_costs_are_of_half_open_genomes_too(device):
    genome = list(LAYERS.open())
    genome[0] = "k3e6"
    chosen = policy("fbnet", replace(LAYERS), genome=tuple(genome))
    costs = costs_of(chosen, price_of(Limits()))
    whole = ("k3e6", "k5e1", "skip")
    assert costs.of(one_hot(chosen, whole)).item() == pytest.approx(cost(whole, LAYERS) / 1e6, rel=1e-5)
