"""P-DARTS: stages of deeper supernets with fewer options (Chen et al. 2019)."""

from dataclasses import replace
from math import exp

import pytest
import torch
from benches import CELLS, RECIPE, SHAPE, bench, prepared, run
from devices import agree

from evonas.errors import UserError
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.darts_cells import EDGES, OPERATIONS
from evonas.genomes.genotype import published
from evonas.genomes.p_darts import PDARTSSupernet
from evonas.modules import FadingDropout
from evonas.network import build, extract
from evonas.recipe import RECIPES, Recipe
from evonas.supernets.p_darts import PDARTS
from evonas.supernets.search import CHECKPOINT, SupernetSearch
from evonas.support.streams import stream
from evonas.systems.registry import setup, system
from evonas.training import checkpoint

SKIP = "skip_connect"
CELL = published()["PDARTS_CIFAR10"].genotype
STAGES = replace(RECIPE, epochs=6)  # two epochs each


def p_darts(seed=0, space=CELLS, **settings):
    settings = {"depths": (3, 4, 5), "beginning": 1} | settings
    return PDARTS(space, rng=stream(seed, "policy"), **settings)


def weights(seed, options=OPERATIONS):
    """A random weight for each option of each edge."""
    draws = stream(seed, "weights")
    return {f"{cell}/{target}<-{source}": {option: draws.random() for option in options}
            for cell in ("normal", "reduce") for source, target in EDGES}  # fmt: skip


# ---- counts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "fields", "count"),
    [
        (36, {}, 3_433_798),
        (64, {}, 10_521_802),
        (36, {"outputs": 100}, 3_485_728),
        (48, {"layers": 14, "stem": "imagenet", "input_shape": (3, 224, 224), "outputs": 1000}, 4_944_352),
    ],
)
def test_the_released_cell_has_its_exact_counts(channels, fields, count):
    space = DARTSSpace(**{"layers": 20, "channels": channels} | fields)
    assert space.decode(space.parse("PDARTS_CIFAR10")).parameters == count


def test_the_released_cell_has_two_skip_connections_in_the_normal_cell_and_none_in_the_other():
    cells = [[op for node in cell for op, _ in node] for cell in (CELL.normal, CELL.reduce)]
    assert [cell.count(SKIP) for cell in cells] == [2, 0]


def test_supernets_have_their_exact_counts_and_pruning_makes_them_smaller():
    whole = [PDARTSSupernet.of(DARTSSpace(), layers=depth) for depth in (5, 11, 17)]
    counts = [space.decode(space.open()).parameters for space in whole]
    assert counts == [1_275_834, 2_585_146, 3_894_202]
    policy = PDARTS(DARTSSpace(), rng=stream(0, "policy"))
    found = []
    while True:
        found.append(policy.space.decode(policy.genome).parameters)
        if policy.stage == 2:
            break
        policy = policy.following(policy.narrowed())
    assert found[0] == counts[0]
    assert found[1] < 0.8 * counts[1]
    assert found[2] < 0.6 * counts[2]


# ---- stages -------------------------------------------------------------------------------------------------------


def test_edges_have_eight_five_three_and_in_the_end_one_option(device):
    search = prepared(SupernetSearch(p_darts()), device, recipe=STAGES)
    seen, alphas, starts = [], [], []
    while search.generate():
        policy = search.policy
        seen.append((policy.stage, policy.space.layers, {len(token.options) for token in policy.genome}))
        alphas.append(policy)
        starts.append(next(search.training.network.parameters()))
    assert seen == [(0, 3, {8})] * 2 + [(1, 4, {5})] * 2 + [(2, 5, {3})] * 2
    assert len({id(policy) for policy in alphas}) == len({id(first) for first in starts}) == 3
    final = search.derived[-1][0]
    assert len(final) == 28
    assert all(token in ("none", *OPERATIONS) for token in final)


def test_each_edge_loses_the_options_of_the_smallest_weights_and_none_is_one_of_them():
    policy = p_darts()
    with torch.no_grad():
        policy.alpha.copy_(torch.arange(8.0).expand(28, 8))
        policy.alpha[0] = -policy.alpha[0]
    kept = policy.narrowed()
    assert kept[0] == OPERATIONS[:5]
    assert set(kept[1:]) == {OPERATIONS[3:]}


def test_a_new_stage_has_fresh_weights_and_alphas(device):
    search = prepared(SupernetSearch(p_darts(depths=(3, 3, 3))), device, recipe=STAGES)
    first, alpha = search.training.network.state_dict(), search.policy.alpha.detach().clone()
    search._follow([OPERATIONS] * 28)
    second = search._begun().network.state_dict()
    name = "cell0.2-0.sep_conv_3x3.conv_2.weight"
    assert first.keys() == second.keys()
    assert not torch.equal(first[name], second[name])  # drawn from another seed
    assert search.policy.alpha.shape == alpha.shape
    assert 0 < search.policy.alpha.abs().max() < 0.01
    assert not torch.equal(search.policy.alpha, alpha)


def test_alpha_rests_to_the_bit_in_the_first_epochs_of_every_stage(device):
    search = prepared(SupernetSearch(p_darts()), device, recipe=STAGES)
    for _ in range(3):
        run(search, 1)
        resting = search.policy.alpha.detach().clone()
        assert not search.policy.optimizer.state  # Adam has not made a step
        if search.policy.stage == 0:
            assert torch.equal(resting, p_darts().alpha.to(device))
        run(search, 1)
        assert not torch.equal(search.policy.alpha, resting)


def test_a_search_killed_in_any_stage_goes_on_as_if_it_had_not_been(tmp_path, device):
    whole = prepared(SupernetSearch(p_darts(dropout=(0.3, 0.4, 0.7))), device, recipe=STAGES)
    expected = run(whole)
    assert len(expected) == 6
    for epochs in range(1, 6):
        again = SupernetSearch(p_darts(dropout=(0.3, 0.4, 0.7)))
        found = run(prepared(again, device, tmp_path, STAGES), epochs)
        assert [list(each) for each in found] == [list(each) for each in expected[:epochs]]
        assert len(checkpoint.read(tmp_path / CHECKPOINT, "")["narrowed"]) == (epochs - 1) // 2
    last = prepared(SupernetSearch(p_darts(dropout=(0.3, 0.4, 0.7))), device, tmp_path, STAGES)
    assert [each.proposal for each in run(last)] == [each.proposal for each in expected]
    for name, tensor in whole.training.network.state_dict().items():
        assert agree(tensor, last.training.network.state_dict()[name], device), name


def test_random_genomes_have_only_what_the_stage_has_left():
    policy = p_darts()
    later = policy.following(policy.narrowed())
    for seed in range(50):
        genome = later.random(stream(seed, "random"))
        later.space.decode(genome)
        for token, left in zip(genome, later.genome, strict=True):
            assert token in left.options or token == "none"


def test_networks_are_their_routes_through_the_supernet_of_a_later_stage(device):
    policy = p_darts(depths=(3, 5, 5))
    policy = policy.following(policy.narrowed())
    supernet = build(policy.space.decode(policy.genome)).to(device).eval()
    x = torch.randn(2, *SHAPE, device=device)
    with torch.inference_mode():
        for seed in range(100):
            genome = policy.random(stream(seed, "route"))
            alone = extract(supernet, policy.space.decode(genome)).to(device)
            assert agree(supernet(x, policy.space.route(genome)), alone(x), device)


# ---- dropout ------------------------------------------------------------------------------------------------------


def test_dropout_falls_as_in_the_published_code():
    module, recipe, rates = FadingDropout(0.7, 10), Recipe(epochs=25, by_epoch=True), {}
    for epoch in range(25):
        module.keep(recipe, epoch + 0.9)
        rates[epoch] = module.rate
    expected = {0: 0.672, 9: 0.42, 10: 0.7, 15: 0.2575, 24: 0.0426}
    assert {epoch: round(rates[epoch], 4) for epoch in expected} == expected
    assert rates[11] == pytest.approx(0.7 * exp(-0.2))


def test_dropout_drops_elements_and_is_the_identity_without_a_rate_and_in_evaluation(device):
    module, x = FadingDropout(0.7, 10), torch.ones(2000, 4, 3, 3, device=device)
    assert module(x) is x
    module.rate = 0.25
    y = module(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert not torch.equal(y.amax((1, 2, 3)), y.amin((1, 2, 3)))
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert module.eval()(x) is x
    module.train().keep(Recipe(epochs=25), 24.5)
    module.first = 0.0
    module.keep(Recipe(epochs=25), 3.5)
    assert module(x) is x


def test_only_skip_connections_without_a_stride_have_dropout():
    space = PDARTSSupernet.of(CELLS, dropout=0.4, rests=2)
    graph = space.decode(space.open())
    behind = {node.name for node in graph.nodes if any(op.name == "fading_dropout" for op in node.operations)}
    skips = {f"{place.removesuffix('/relu')}" for place in (node.name for node in graph.nodes) if SKIP in place}
    strided = {name.rsplit("/", 1)[0] for name in skips if name.endswith(("even", "odd", "joined"))}
    assert behind == {name for name in skips if name.endswith(SKIP)} - strided
    assert len(behind) == 14 + 2 * 6  # of three cells two are reductions


def test_a_route_is_judged_without_dropout(device):
    search = prepared(SupernetSearch(p_darts(dropout=(0.9, 0.9, 0.9))), device, recipe=STAGES)
    run(search, 1)
    route = search.policy.space.route(search.policy.random(stream(0, "route")))
    assert any(module.rate for module in search.training.scheduled)
    assert search.training.score(route) == search.training.score(route)


# ---- the limit on skip connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [OPERATIONS, ("none", SKIP, "sep_conv_3x3"), (SKIP, "max_pool_3x3", "sep_conv_5x5")]
)
def test_the_normal_cell_never_has_more_skip_connections_than_it_may(options):
    for seed in range(30):
        of = weights(seed, options)
        for edge in of.values():
            edge[SKIP] += 0.5
        for most in range(9):
            space = DARTSSpace()
            genotype = space.genotype(p_darts(skips=most).limited(of))
            found = [op for node in genotype.normal for op, _ in node]
            assert found.count(SKIP) <= most
            assert len(found) == 8
            assert all(one[1] != other[1] for one, other in genotype.normal)
            if most == 8:  # no limit, nor has the reduction cell any
                assert genotype == space.genotype(space.likeliest(of))
            assert genotype.reduce == space.genotype(space.likeliest(of)).reduce


def test_the_weakest_skip_gives_way_first_and_another_edge_may_bring_in_one():
    of = {name: dict.fromkeys(OPERATIONS, 0.01) | {"sep_conv_3x3": 0.3} for name in weights(0)}
    of["normal/5<-0"] |= {SKIP: 0.6}
    of["normal/5<-1"] |= {SKIP: 0.7, "sep_conv_3x3": 0.1}
    of["normal/5<-2"] |= {SKIP: 0.5, "sep_conv_3x3": 0.05}
    of["normal/4<-3"] |= {SKIP: 0.9}
    of["normal/4<-2"] |= {SKIP: 0.8, "max_pool_3x3": 0.4}
    for edge in ("3", "4"):
        of[f"normal/5<-{edge}"] = dict.fromkeys(OPERATIONS, 0.01)
    limited = DARTSSpace().genotype(p_darts(skips=3).limited(of))
    # 5<-0 loses its skip, and with sep_conv_3x3 (0.3) is weaker than the skip from 2 (0.5), which comes in and goes too
    assert limited.normal[3] == (("sep_conv_3x3", 0), (SKIP, 1))
    assert limited.normal[2] == ((SKIP, 2), (SKIP, 3))
    assert DARTSSpace().genotype(p_darts(skips=2).limited(of)).normal[3] == (("sep_conv_3x3", 0), ("sep_conv_3x3", 1))


# ---- settings -----------------------------------------------------------------------------------------------------


def test_the_gradient_of_alpha_is_clipped():
    policy = p_darts()
    seen = []
    policy.optimizer.register_step_pre_hook(lambda *_: seen.append(policy.alpha.grad.norm().item()))
    policy.learn([torch.full((28, 8), 10.0)])
    policy.learn([torch.full((28, 8), 0.01)])
    assert seen == [pytest.approx(5.0, rel=1e-4), pytest.approx(0.01 * (28 * 8) ** 0.5, rel=1e-4)]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"depths": (3, 4)}, r"depths is \(3, 4\)"),
        ({"dropped": (3, -1)}, r"dropped is \(3, -1\)"),
        ({"dropped": (3, 3)}, "leave 3"),
        ({"dropout": (0.0, 0.4, 1.0)}, "dropout is"),
        ({"skips": -1}, "skips -1"),
        ({"beginning": -1}, "beginning is -1"),
        ({"space": replace(CELLS, every=True)}, "two edges into each node"),
    ],
)
def test_stages_that_do_not_fit_together_are_refused(settings, why):
    with pytest.raises(UserError, match=why):
        p_darts(**settings)


def test_epochs_that_stages_cannot_share_are_refused(device):
    with pytest.raises(UserError, match="7 epochs are not shared equally by 3 stages"):
        prepared(SupernetSearch(p_darts()), device, recipe=replace(RECIPE, epochs=7))
    with pytest.raises(UserError, match="beginning is 2 of 2 epochs"):
        prepared(SupernetSearch(p_darts(beginning=2)), device, recipe=STAGES)


def test_memory_is_asked_for_all_stages_before_the_first(device):
    policy = p_darts(depths=(3, 4, 40), space=replace(CELLS, channels=8))
    assert [each.stage for each in policy.largest()] == [0, 1, 2]
    with pytest.raises(UserError, match="over the limit of"):
        SupernetSearch(policy).prepare(replace(bench(device, STAGES), memory=60 * 2**20))
    SupernetSearch(p_darts(space=replace(CELLS, channels=8))).prepare(replace(bench(device, STAGES), memory=60 * 2**20))


def test_the_published_setting_is_the_papers():
    found = setup(system("p-darts"), "cifar10")
    strategy = found.strategy.strategy(found.strategy.tools(found.space, stream(0, "x")), stream(0, "x"))
    policy = strategy.policy
    policy.check(found.search)
    assert (policy.depths, policy.dropped, policy.dropout) == ((5, 11, 17), (3, 2), (0.0, 0.4, 0.7))
    assert (policy.skips, policy.beginning, policy.space.channels) == (2, 10, 16)
    group = policy.optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (6e-4, (0.5, 0.999), 1e-3)
    search = RECIPES["p-darts-search"]
    assert (search.epochs, search.batch_size, search.last_rate) == (75, 96, 0.0)
    assert (found.final.epochs, found.final.batch_size, found.final.drop_path) == (600, 128, 0.3)
