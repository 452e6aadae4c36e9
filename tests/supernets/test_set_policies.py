"""I-DARTS (Jiang et al. 2019) and DATA (Chang et al. 2019): sets of operations on an edge."""

from dataclasses import replace
from itertools import product
from math import comb

import pytest
import torch
import torch.nn.functional as F
from benches import RECIPE, SHAPE, batch, bench, prepared, run
from devices import agree

from evonas.errors import UserError
from evonas.genomes.darts_cells import EDGES, OPERATIONS
from evonas.genomes.darts_sets import DARTSSetsSpace
from evonas.genomes.genet import GeNetSpace
from evonas.network import build, extract
from evonas.supernets.collapse import skips_of
from evonas.supernets.darts import DARTS
from evonas.supernets.data import DATA, ensemble, likeliest_number
from evonas.supernets.gdas import GDAS
from evonas.supernets.i_darts import IDARTS, softmax
from evonas.supernets.search import SupernetSearch
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream
from evonas.systems.registry import setup, system

ANY = DARTSSetsSpace(3, 4, search=True, input_shape=SHAPE, pairs=4)
TWO = replace(ANY, pairs=2, exact=True)
POLICIES = [(IDARTS, TWO), (DATA, ANY), (DARTS, TWO), (GDAS, ANY)]
each_policy = pytest.mark.parametrize(
    ("kind", "space"),
    [*POLICIES[:2], *(pytest.param(*pair, marks=pytest.mark.slow) for pair in POLICIES[2:])],
    ids=lambda each: getattr(each, "__name__", ""),
)


def made(kind, space, seed=0, **settings):
    return kind(space, rng=stream(seed, "policy"), **settings)


# ---- every policy ---------------------------------------------------------------------------------------------------


@each_policy
def test_it_searches_and_goes_on_from_its_checkpoint_as_if_never_stopped(kind, space, tmp_path, device):
    whole = prepared(SupernetSearch(made(kind, space)), device)
    alpha = whole.policy.alpha.detach().clone()
    expected = run(whole)
    assert not torch.equal(whole.policy.alpha, alpha)
    assert expected[-1].proposal["loss"] < expected[0].proposal["loss"]
    run(prepared(SupernetSearch(made(kind, space)), device, tmp_path), 2)
    again = prepared(SupernetSearch(made(kind, space)), device, tmp_path)
    found = run(again)
    assert [list(each) for each in found] == [list(each) for each in expected]
    assert agree(whole.policy.alpha, again.policy.alpha, device)
    other = prepared(SupernetSearch(made(kind, space, seed=1)), device)
    run(other, 1)
    assert not agree(whole.policy.alpha, other.policy.alpha, device)


@pytest.mark.parametrize("space", [ANY, TWO], ids=["any", "two"])
def test_networks_are_their_routes_through_the_supernet_to_the_bit(space, device):
    supernet = build(space.decode(space.open())).to(device)
    for seed in range(3):  # statistics that are not those of a fresh one
        supernet(torch.randn(8, *SHAPE, device=device), space.route(space.random(stream(seed, "train"))))
    supernet.eval()
    x = torch.randn(2, *SHAPE, device=device)
    with torch.inference_mode():
        for seed in range(100):
            genome = space.random(stream(seed, "route"))
            alone = extract(supernet, space.decode(genome)).to(device)
            assert agree(supernet(x, space.route(genome)), alone(x), device), space.format(genome)


def test_a_genome_can_be_made_the_likeliest():
    for kind, space in POLICIES[:3]:
        chosen, wanted = made(kind, space), TWO.random(stream(3, "wanted"))
        chosen.prefer(wanted)
        for name, token in TWO.answers(wanted).items():
            of = chosen.weights()[name]
            for operation in set(token.split("+")) - {"none"}:
                assert of[operation] > 10 * min(of.values())


def test_skip_connections_within_sets_are_counted():
    genome = TWO.random(stream(0, "skips"))
    found = TWO.format(genome)
    assert skips_of(genome, TWO.decisions(genome)) == [found.count("skip_connect"), 16]


@pytest.mark.parametrize("kind", [IDARTS, DATA])
def test_spaces_whose_edges_say_less_are_refused(kind):
    with pytest.raises(UserError, match=r"is not an edge; use DARTS|use darts-sets"):
        made(kind, GeNetSpace())
    with pytest.raises(UserError, match="exact=False"):
        made(DATA, TWO)


# ---- I-DARTS --------------------------------------------------------------------------------------------------------


def test_a_block_has_one_softmax():
    logits = torch.tensor([[0.0, 1, 2], [3, 0, 0]])
    found = softmax(logits)
    assert found.flatten().tolist() == pytest.approx([0.0301, 0.0819, 0.2226, 0.6051, 0.0301, 0.0301], abs=5e-5)
    assert found.sum().item() == pytest.approx(1)
    assert logits.softmax(1).sum().item() == pytest.approx(2)


def test_the_weights_of_each_node_sum_to_one():
    chosen = made(IDARTS, TWO)
    assert [len(rows) for rows in chosen.nodes.values()] == [2, 3, 4, 5] * 2
    p = chosen.probabilities()
    assert [p[rows].sum().item() for rows in chosen.nodes.values()] == pytest.approx([1] * 8)


def test_a_constant_on_one_edge_counts_and_on_a_whole_node_does_not():
    ours, darts = made(IDARTS, TWO), made(DARTS, TWO)
    with torch.no_grad():
        ours.alpha.normal_(generator=torch.Generator().manual_seed(0))
        darts.alpha.copy_(ours.alpha)
        before, rows = (ours.probabilities(), darts.probabilities()), ours.nodes["normal/4"]
        for each in (ours, darts):
            each.alpha[rows] += 2.0
        assert torch.allclose(ours.probabilities(), before[0], atol=1e-6)
        derived = ours.derive(None)
        for each in (ours, darts):
            each.alpha[rows[1]] += 5.0
        assert not torch.allclose(ours.probabilities(), before[0], atol=1e-2)
        assert torch.allclose(darts.probabilities(), before[1], atol=1e-6)
    assert ours.derive(None) != derived
    assert "normal/4<-1" in {name for name, token in TWO.answers(ours.derive(None)).items() if "+" in token}


def test_edges_of_equal_weight_give_the_mixture_of_darts_divided_by_their_number():
    ours, darts = made(IDARTS, TWO), made(DARTS, TWO)
    with torch.no_grad():
        ours.alpha.normal_(generator=torch.Generator().manual_seed(0))
        ours.alpha -= ours.alpha.logsumexp(1, keepdim=True)  # equal in all rows
        darts.alpha.copy_(ours.alpha)
        for node, rows in ours.nodes.items():
            assert torch.allclose(ours.probabilities()[rows], darts.probabilities()[rows] / len(rows)), node


# ---- DATA -----------------------------------------------------------------------------------------------------------


def test_one_sample_is_the_hard_gumbel_softmax_with_its_gradient():
    alpha, weights = torch.randn(8, requires_grad=True), torch.randn(8)
    torch.manual_seed(5)
    expected = F.gumbel_softmax(alpha.log_softmax(0), tau=2.0, hard=True)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), alpha)
    torch.manual_seed(5)
    noise = -torch.empty(8).exponential_().log()
    found = ensemble(((alpha.log_softmax(0) + noise) / 2.0).softmax(0)[None])
    (ours,) = torch.autograd.grad((found * weights).sum(), alpha)
    assert torch.equal(found, expected.detach().round())
    assert torch.allclose(ours, gradient, atol=1e-7)


def test_with_one_sample_each_node_draws_one_option():
    chosen = made(DATA, replace(ANY, pairs=1))
    b = chosen.draw()
    assert [b[rows].sum().item() for rows in chosen.nodes.values()] == [1.0] * 8


@pytest.mark.parametrize("samples", [1, 2, 4, 9])
def test_a_code_has_between_one_and_all_samples_and_options_at_their_chance(samples):
    torch.manual_seed(0)
    p, draws = torch.tensor([0.4, 0.3, 0.1, 0.05, 0.05, 0.05, 0.03, 0.02]), 4000
    noise = -torch.empty(draws, samples, 8).exponential_().log()
    codes = torch.stack([ensemble(((p.log() + each) / 3.0).softmax(1)) for each in noise])
    assert codes.unique().tolist() == [0.0, 1.0]
    ones = codes.sum(1)
    assert ones.min() >= 1
    assert ones.max() <= min(samples, 8)
    assert torch.allclose(codes.mean(0), 1 - (1 - p) ** samples, atol=0.03)


def test_eight_options_and_two_samples_make_36_codes():
    """The paper's C(K, M) (2^M - 1) = 84 counts sets repeatedly."""
    ones = torch.eye(8)
    codes = {tuple(ensemble(ones[[i, j]]).tolist()) for i, j in product(range(8), repeat=2)}
    assert len(codes) == comb(8, 1) + comb(8, 2) == 36


def test_gradients_pass_straight_to_the_samples_that_attain_the_maximum():
    soft = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], requires_grad=True)
    b = ensemble(soft)
    assert b.tolist() == [1, 1, 0]
    for option, samples in ((0, {0, 1}), (1, {2})):
        (gradient,) = torch.autograd.grad(b[option], soft, retain_graph=True)
        picked = set(gradient[:, option].nonzero()[:, 0].tolist())
        assert len(picked) == 1
        assert picked <= samples
        assert gradient[:, option].sum() == 1
        assert gradient.sum() == 1


@pytest.mark.parametrize(
    ("p", "samples", "number"),
    [
        ((0.7, 0.2, 0.1), 2, 1),  # 0.49 and 0.28
        ((0.5, 0.4, 0.1), 2, 2),  # 0.25 and 0.40
        ((1.0, 0.0, 0.0), 4, 1),
        ((0.25,) * 4, 4, 3),  # 24 ways of four, 36 of three, 14 of two
        ((0.5, 0.5), 7, 2),
    ],
)
def test_a_node_has_the_likeliest_number_of_options(p, samples, number):
    assert likeliest_number(p, samples) == number


def test_the_likeliest_number_is_that_of_all_draws():
    for seed in range(20):
        rng = stream(seed, "p")
        p = sorted((rng.random() for _ in range(5)), reverse=True)
        p = [each / sum(p) for each in p]
        chance = dict.fromkeys(range(1, 5), 0.0)
        for drawn in product(range(5), repeat=4):
            if set(drawn) == set(range(len(set(drawn)))):
                chance[len(set(drawn))] += p[drawn[0]] * p[drawn[1]] * p[drawn[2]] * p[drawn[3]]
        assert likeliest_number(p, 4) == max(chance, key=chance.get)


def test_none_is_one_option_of_a_node_and_never_its_only_one():
    chosen = made(DATA, ANY)
    with torch.no_grad():
        chosen.alpha.fill_(-30.0)
        one, other = chosen.nodes["normal/2"]
        chosen.alpha[[one, other], 0] = torch.tensor(0.36).log()  # 0.72 in all
        chosen.alpha[one, 3:5] = torch.tensor([0.15, 0.13]).log()
        of = ANY.answers(chosen.derive(None))  # of four draws: 0.27 none alone, 0.30 with the first, 0.17 with both
        assert (of["normal/2<-0"], of["normal/2<-1"]) == ("skip_connect", "none")
        chosen.alpha[[one, other], 0] = 9.0
        of = ANY.answers(chosen.derive(None))
        assert (of["normal/2<-0"], of["normal/2<-1"]) == ("skip_connect", "none")
        chosen.alpha[[one, other], 0] = -30.0
        of = ANY.answers(chosen.derive(None))
        assert of["normal/2<-0"] == "skip_connect+sep_conv_3x3"


def test_the_supernet_sums_what_the_derived_network_sums(device):
    chosen = made(DATA, ANY).to(device)
    supernet = build(ANY.decode(ANY.open())).to(device).eval()
    x = torch.randn(2, *SHAPE, device=device)
    b = chosen.draw()
    answers = {
        decision.name: ANY.token([op for op, one in zip(OPERATIONS, row, strict=True) if one and op != "none"], "")
        for decision, row in zip(chosen.asked, b.tolist(), strict=True)
    }
    with torch.inference_mode():
        route = {name: dict.fromkeys(token.split("+"), 1) for name, token in answers.items()}
        assert torch.allclose(supernet(x, chosen.route(b)), supernet(x, route), atol=1e-5)


def test_every_option_of_a_draw_has_a_gradient(device):
    chosen = made(DATA, ANY).to(device)
    training = SupernetTraining(ANY.decode(ANY.open()), bench(device))
    b = chosen.draw()
    b.retain_grad()
    training.loss(batch(device), chosen.route(b)).backward()
    operations = b.detach()[:, 1:] > 0
    assert (b.grad[:, 1:][operations] != 0).all()
    assert chosen.alpha.grad.abs().sum() > 0


def test_temperature_falls_linearly_and_the_distance_pulls_probabilities_to_what_is_drawn(device):
    chosen = made(DATA, ANY)
    found = []
    for epoch in range(5):
        chosen.begin(epoch, 5)
        found.append(chosen.temperature)
    assert found == [5, 4, 3, 2, 1]
    alphas = []
    for distance in (0.0, 100.0):
        chosen = made(DATA, ANY, distance=distance, learning_rate=1e-2)
        search = prepared(SupernetSearch(chosen), device, recipe=replace(RECIPE, epochs=1))
        run(search)
        alphas.append(chosen.alpha.detach().clone())
    assert not torch.equal(*alphas)
    p = made(DATA, ANY).probabilities()
    assert p.shape == (2 * len(EDGES), len(OPERATIONS))


def test_alpha_and_the_weights_learn_from_one_batch(device):
    chosen = made(DATA, ANY).to(device)
    training = SupernetTraining(ANY.decode(ANY.open()), bench(device))
    alpha, weights = chosen.alpha.detach().clone(), [each.detach().clone() for each in training.weights]

    def never():
        raise AssertionError("it learns from training images alone")

    chosen.step(training, batch(device), never)
    assert not torch.equal(chosen.alpha, alpha)
    assert not all(torch.equal(a, b) for a, b in zip(weights, training.weights, strict=True))


@pytest.mark.parametrize(("name", "pairs", "exact"), [("data", 4, False), ("i-darts", 2, True)])
def test_presets_have_the_policy_of_their_space(name, pairs, exact):
    for preset in system(name).presets:
        found = setup(system(name), preset)
        assert (found.space.pairs, found.space.exact) == (pairs, exact)
    strategy = found.strategy.strategy(found.strategy.tools(found.space, stream(0, name)), stream(0, name))
    assert strategy.policy.space.channels == 16
    group = strategy.policy.optimizer.param_groups[0]
    expected = (3e-4, 0.0) if name == "data" else (3e-3, 1e-3)
    assert (group["lr"], group["weight_decay"]) == expected
