"""Searches that train a supernet: what holds for every policy, and what each paper's must show."""

import math
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

import evonas
from evonas.errors import RunError, UserError
from evonas.genomes.darts import OPERATIONS, DARTSSpace
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.network import build, extract
from evonas.recipe import Recipe
from evonas.space import Open
from evonas.supernets.darts import DARTS, unrolled_gradient
from evonas.supernets.enas import ENAS
from evonas.supernets.gdas import GDAS
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.search import SupernetSearch
from evonas.supernets.snas import SNAS, Costs
from evonas.supernets.training import Bench, SupernetTraining
from evonas.support.streams import stream
from evonas.systems import system
from evonas.tasks.splits import Part

SHAPE = (1, 8, 8)
CELLS = DARTSSpace(3, 4, search=True, input_shape=SHAPE)
SMALL = NASBench201Space(4, 1, SHAPE)
RECIPE = Recipe(epochs=3, batch_size=24, learning_rate=0.05, nesterov=False, weight_decay=3e-4, clip_norm=5)
SPACES = [
    CELLS,
    replace(CELLS, every=True),
    SMALL,
    GeNetSpace((3, 4), (4, 6)),
    NASBenchMacroSpace((1, 1), 4, 8, SHAPE),
]
POLICIES = {
    "darts": DARTS,
    "darts 2nd": lambda space, **settings: DARTS(space, second_order=True, **settings),
    "snas": lambda space, **settings: SNAS(space, resource=1e-3, **settings),
    "gdas": GDAS,
    "enas": lambda space, **settings: ENAS(space, steps=2, samples=4, candidates=3, **settings),
    "pc-darts": lambda space, **settings: PCDARTS(space, beginning=1, **settings),
}


def images(count, seed=0):
    """Three classes that a network can tell apart."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    x = torch.randn(count, *SHAPE, generator=draws)
    x[:, :, 2:5, 2:5] += 2.0 * (labels[:, None, None, None] - 1)
    return Part(x, labels)


def bench(recipe=RECIPE, seed=0):
    return Bench(images(96), images(48, 1), recipe, seed)


def policy(kind, space, seed=0, **settings):
    return POLICIES[kind](space, rng=stream(seed, "policy"), **settings)


def prepared(search, checkpoint=None, recipe=RECIPE, **more):
    search.prepare(bench(recipe), checkpoint, **more)
    return search


def run(search, epochs=100):
    found = []
    while len(found) < epochs and (proposed := search.generate(1)):
        found += proposed
    return found


PARTIAL = [("pc-darts", replace(SMALL, partial=2)), ("pc-darts", replace(CELLS, channels=8, partial=4))]


def pairs(spaces, partial):
    """A test for each policy on each space; those on whole DARTS cells are slow tests."""
    for kind, space in [(kind, space) for kind in POLICIES if kind != "pc-darts" for space in spaces] + partial:
        name = f"{kind} on {space.name}{' with every edge' * getattr(space, 'every', False)}"
        yield pytest.param(kind, space, id=name, marks=[pytest.mark.slow] * isinstance(space, DARTSSpace))


kind_and_space = pytest.mark.parametrize(("kind", "space"), list(pairs(SPACES, PARTIAL)))
every_kind = pytest.mark.parametrize(("kind", "space"), list(pairs([SMALL], PARTIAL[:1])))
NOT_ASKED = {f"controller.{name}.weight" for name in ("earlier", "current", "attention")}  # where nothing points


# ---- every policy on every space ------------------------------------------------------------------------------------


@kind_and_space
def test_every_policy_searches_every_space_that_can_be_opened(kind, space):
    search = prepared(SupernetSearch(policy(kind, space)))
    before = {name: tensor.clone() for name, tensor in search.policy.state_dict().items()}
    found = run(search)
    assert len(found) == RECIPE.epochs
    assert [each.provisional for each in found] == [True, True, False]
    for each in found:
        space.decode(tuple(each))
        outcome = search.evaluation(each)(tuple(each))
        assert outcome.status == "shared"
        assert 0 <= outcome.values[0] <= 1
    losses = [each.proposal["loss"] for each in found]
    assert losses[-1] < losses[0]
    changed = [name for name, tensor in search.policy.state_dict().items() if not torch.equal(tensor, before[name])]
    assert {name for name, _ in search.policy.named_parameters()} <= set(changed) | NOT_ASKED


@kind_and_space
def test_networks_are_their_routes_through_the_supernet_to_the_bit(kind, space):
    search = prepared(SupernetSearch(policy(kind, space)))
    (derived,) = (tuple(each) for each in run(search, 1))
    supernet = search.training.supernet.eval()
    x = torch.randn(2, *SHAPE)
    with torch.inference_mode():
        for genome in (derived, *(space.random(stream(seed, "route")) for seed in range(99))):
            alone = extract(supernet, space.decode(genome)).to(memory_format=torch.channels_last)  # as the supernet is
            assert torch.equal(supernet(x, space.route(genome)), alone(x)), space.format(genome)


@every_kind
def test_the_same_seed_gives_the_same_search_and_another_one_does_not(kind, space):
    def alphas(seed):
        search = prepared(SupernetSearch(policy(kind, space, seed)))
        run(search, 2)
        return next(search.policy.parameters()).detach().clone()

    assert torch.equal(alphas(0), alphas(0))
    assert not torch.equal(alphas(0), alphas(1))


@every_kind
def test_a_search_that_goes_on_from_its_checkpoint_equals_one_that_never_stopped(kind, space, tmp_path):
    whole = prepared(SupernetSearch(policy(kind, space)))
    expected = run(whole)
    first = prepared(SupernetSearch(policy(kind, space)), tmp_path / "supernet.pt")
    run(first, 1)
    first.generate(1)  # an epoch that nobody was told of
    second = prepared(SupernetSearch(policy(kind, space)), tmp_path / "supernet.pt")
    found = run(second)
    assert [list(each) for each in found] == [list(each) for each in expected]
    assert [each.proposal for each in found] == [each.proposal for each in expected]
    for name, tensor in whole.policy.state_dict().items():
        assert torch.equal(tensor, second.policy.state_dict()[name]), name
    for name, tensor in whole.training.supernet.state_dict().items():
        assert torch.equal(tensor, second.training.supernet.state_dict()[name]), name


@pytest.mark.parametrize("statistics", ["batch", "running", "recalibrated"])
@pytest.mark.parametrize("space", SPACES[:4], ids=lambda space: space.name)
def test_what_a_route_is_worth_does_not_hang_on_what_was_judged_before(space, statistics):
    search = prepared(SupernetSearch(policy("darts", space), statistics=statistics))
    run(search, 1)
    training = search.training
    before = {name: tensor.clone() for name, tensor in training.supernet.state_dict().items()}
    a, b = (space.route(space.random(stream(seed, "judged"))) for seed in (1, 2))
    values = [training.accuracy(route) for route in (a, b, a)]
    assert values[0] == values[2]
    for name, tensor in training.supernet.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_statistics_taken_anew_are_those_of_the_route():
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(), statistics="recalibrated")
    for norm in training.norms:
        norm.running_var.fill_(1e6)  # of routes that have nothing to do with it
    route = SMALL.route(("nor_conv_3x3",) * 6)
    recalibrated = training.accuracy(route)
    training.statistics = "batch"
    assert abs(recalibrated - training.accuracy(route)) < 0.15
    alone = extract(training.supernet, SMALL.decode(("nor_conv_3x3",) * 6))
    assert all(norm.running_var.min() > 1e5 for norm in alone.modules() if isinstance(norm, nn.BatchNorm2d))


def test_a_step_on_a_hard_route_leaves_other_weights_and_their_momentum_alone():
    training = SupernetTraining(CELLS.decode(CELLS.open()), bench())
    a, b = (CELLS.route(CELLS.random(stream(seed, "steps"))) for seed in (1, 2))
    batch = (torch.randn(16, *SHAPE), torch.arange(16) % 3)
    training.descend(batch, a)
    before = {name: tensor.clone() for name, tensor in training.supernet.named_parameters()}
    training.descend(batch, b)
    moved = {name for name, tensor in training.supernet.named_parameters() if not torch.equal(tensor, before[name])}
    with_gradient = {name for name, tensor in training.supernet.named_parameters() if tensor.grad is not None}
    assert moved <= with_gradient
    assert with_gradient < set(before)


@pytest.mark.parametrize("kind", ["darts", "darts 2nd", "snas", "gdas"])
def test_half_open_genomes_are_searched_where_they_are_open(kind):
    fixed = SMALL.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|")
    narrowed = Open(("none", "nor_conv_3x3"))
    genome = (narrowed, *fixed[1:])
    chosen = policy(kind, SMALL, genome=genome)
    assert [decision.name for decision in chosen.asked] == ["1<-0"]
    search = prepared(SupernetSearch(chosen))
    found = run(search)[-1]
    assert tuple(found[1:]) == fixed[1:]
    assert found[0] in narrowed.options
    drawn = {search.random(stream(seed, "rival")) for seed in range(20)}  # what random search may draw beside it
    assert drawn == {(option, *fixed[1:]) for option in narrowed.options}


def test_an_evolved_genome_initialises_alpha():
    wanted = SMALL.random(stream(5, "wanted"))
    search = prepared(SupernetSearch(policy("darts", SMALL)), first=[wanted])
    assert SMALL.likeliest(search.policy.weights()) == wanted
    best = [max(of.values()) for of in search.policy.weights().values()]
    assert best == pytest.approx([0.75] * 6, abs=0.01)
    bits = GeNetSpace((3, 4), (4, 6))
    wanted = bits.random(stream(5, "wanted"))
    search = prepared(SupernetSearch(policy("darts", bits, initial=1e-9)), first=[wanted])
    assert bits.likeliest(search.policy.weights()) == wanted
    with pytest.raises(UserError, match="at most one"):
        prepared(SupernetSearch(policy("darts", bits)), first=[wanted, wanted])


def test_recipes_by_which_a_policy_cannot_learn_are_refused():
    with pytest.raises(UserError, match="nesterov=False"):
        prepared(SupernetSearch(policy("darts 2nd", SMALL)), recipe=replace(RECIPE, nesterov=True))
    with pytest.raises(UserError, match="leave some in which alpha learns"):
        prepared(SupernetSearch(PCDARTS(SMALL, rng=stream(0, "pc"), beginning=3)))


@pytest.mark.parametrize("kind", ["darts", "gdas"])
def test_what_has_no_supernet_is_refused(kind):
    with pytest.raises(UserError, match="not sequences of decisions"):
        policy(kind, LargeScaleSpace())
    with pytest.raises(UserError, match="nothing of the genome is open"):
        policy(kind, SMALL, genome=("none",) * 6)
    with pytest.raises(UserError, match="call `prepare` first"):
        SupernetSearch(policy(kind, SMALL)).generate(1)


def test_a_space_that_decodes_without_gates_is_refused():
    class Deaf(NASBench201Space):
        name = "deaf"

        def decode(self, genome):
            return super().decode(("skip_connect",) * 6)

    with pytest.raises(UserError, match="without gates"):
        prepared(SupernetSearch(DARTS(Deaf(4, 1, SHAPE), rng=stream(0, "x"))))


@pytest.mark.parametrize(("kind", "fits"), [("darts", False), ("gdas", True)])
def test_a_supernet_over_the_limit_of_memory_is_refused_before_it_is_built(kind, fits):
    space = DARTSSpace(8, 16, search=True, input_shape=SHAPE)
    limited = replace(bench(), memory=100 * 2**20)
    if fits:
        SupernetSearch(policy(kind, space)).prepare(limited)
    else:
        with pytest.raises(UserError, match=r"about \d+ MiB to train in batches of 24, over the limit of 100"):
            SupernetSearch(policy(kind, space)).prepare(limited)


def test_a_loss_that_is_not_finite_ends_the_search_with_advice():
    recipe = replace(RECIPE, learning_rate=1e12, clip_norm=0, momentum=0)
    with pytest.raises(RunError, match="lower learning_rate"):
        run(prepared(SupernetSearch(policy("darts", SMALL)), recipe=recipe))


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "supernet.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"supernet\.pt cannot be read"):
        prepared(SupernetSearch(policy("darts", SMALL)), path)


# ---- the family -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "layers", "whole", "half", "quarter"),
    [
        (4, 3, 72_854, 29_774, 14_006),
        (4, 5, 136_182, 55_806, 26_430),
        (8, 3, 209_442, 77_106, 34_026),
        (8, 5, 394_210, 146_962, 66_586),
        (8, 8, 597_890, 225_986, 104_450),
        (16, 8, 1_930_618, 671_482, 299_578),
    ],
)
def test_search_networks_have_the_published_sizes(channels, layers, whole, half, quarter):
    for k, expected in ((1, whole), (2, half), (4, quarter)):
        if channels % (2 * k) == 0:
            space = DARTSSpace(layers, channels, search=True, partial=k)
            assert space.decode(space.open()).parameters == expected


def test_pc_darts_search_network_on_imagenet_has_the_size_in_the_authors_log():
    space = DARTSSpace(8, 16, "imagenet", search=True, partial=2, input_shape=(3, 224, 224), classes=1000)
    assert space.decode(space.open()).parameters == 956_512


def test_one_hot_weights_give_the_function_of_the_derived_cell_with_the_weights_copied():
    final = replace(CELLS, search=False)
    search = build(CELLS.decode(CELLS.open())).eval()
    for seed in range(10):
        genome = CELLS.random(stream(seed, "one-hot"))
        if any(token.endswith("pool_3x3") for token in genome):  # pools have a batch norm in a search alone
            continue
        alone = build(final.decode(genome)).eval()
        known = search.state_dict()
        alone.load_state_dict({name: known.get(name, tensor) for name, tensor in alone.state_dict().items()})
        hot = {
            d.name: {o: torch.tensor(float(o == t)) for o in d.options}
            for d, t in zip(CELLS.decisions(CELLS.open()), genome, strict=True)
        }
        x = torch.randn(2, *SHAPE)
        with torch.inference_mode():
            assert torch.allclose(search(x, hot), alone(x), atol=1e-5)


@pytest.mark.parametrize("space", [CELLS, replace(CELLS, every=True), SMALL], ids=lambda space: space.name)
def test_weights_made_of_a_genome_derive_it(space):
    for seed in range(20):
        genome = space.random(stream(seed, "round trip"))
        weights = {
            d.name: {o: 0.9 if o == t else 0.01 for o in d.options}
            for d, t in zip(space.decisions(space.open()), genome, strict=True)
        }
        assert space.likeliest(weights) == genome


def test_a_constant_added_to_alpha_changes_neither_the_forward_pass_nor_the_genome():
    chosen = policy("darts", CELLS)
    supernet = build(CELLS.decode(CELLS.open()))
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        before, genome = supernet(x, chosen.route()), chosen.derive(None)
        chosen.alpha[3] += 2.0
        assert torch.allclose(supernet(x, chosen.route()), before, atol=1e-5)
        assert chosen.derive(None) == genome


def test_none_is_never_derived_but_takes_weight_from_its_edge():
    chosen = policy("darts", CELLS, initial=1e-9)
    place = {name: row for row, name in enumerate(d.name for d in chosen.asked)}
    with torch.no_grad():
        for source in (0, 1, 2):
            chosen.alpha[place[f"normal/3<-{source}"], OPERATIONS.index("sep_conv_3x3")] = 2.0 - 0.1 * source
    node = slice(2, 5)  # the edges into node 3
    assert chosen.derive(None)[node] == ("sep_conv_3x3", "sep_conv_3x3", "none")
    with torch.no_grad():
        chosen.alpha[place["normal/3<-0"], OPERATIONS.index("none")] = 5.0
    assert chosen.weights()["normal/3<-0"]["none"] > 0.9
    assert chosen.derive(None)[node] == ("none", "sep_conv_3x3", "sep_conv_3x3")
    with torch.no_grad():  # dropped, but were it kept it would have the same operation
        chosen.alpha[place["normal/3<-1"], OPERATIONS.index("none")] = 9.0
    assert chosen.derive(None)[node] == ("sep_conv_3x3", "none", "sep_conv_3x3")


# ---- DARTS ----------------------------------------------------------------------------------------------------------


def toy(rate, alpha=2.0, w=-2.0):
    """Figure 2 of the paper: the gradient by alpha."""
    alpha, w = torch.tensor(alpha, requires_grad=True), torch.tensor(w, requires_grad=True)
    (gradient,) = unrolled_gradient(
        lambda: w**2 - 2 * alpha * w + alpha**2, lambda: alpha * w - 2 * alpha + 1, [alpha], [w], rate=rate
    )
    assert w.item() == -2.0
    return gradient.item()


def test_the_papers_toy_has_its_gradients():
    assert toy(0.0) == pytest.approx(-4.0)
    assert toy(0.1) == pytest.approx(-2.8, abs=1e-3)
    assert toy(0.5) == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 2.0), (0.1, 5 / 3), (0.25, 4 / 3), (0.5, 1.0)])
def test_the_papers_toy_comes_to_rest_where_it_should(rate, expected):
    alpha = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    w = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)

    def train():
        return w**2 - 2 * alpha * w + alpha**2

    def valid():
        return alpha * w - 2 * alpha + 1

    for _ in range(1000):
        (gradient,) = unrolled_gradient(train, valid, [alpha], [w], rate=rate)
        with torch.no_grad():
            alpha -= 0.1 * gradient
            w.copy_(alpha)  # the weights that are best for this alpha
    assert alpha.item() == pytest.approx(expected, abs=1e-3)


def quadratic():
    a_matrix = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    b_matrix = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    target = torch.tensor([1.0, -1.0], dtype=torch.float64)
    w = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor([0.5, -0.5], dtype=torch.float64, requires_grad=True)
    return (
        lambda: 0.5 * w @ a_matrix @ w - w @ b_matrix @ alpha,
        lambda: 0.5 * (w - target).square().sum(),
        alpha,
        w,
    )


def test_the_second_order_gradient_of_a_quadratic_is_exact():
    train, valid, alpha, w = quadratic()
    (gradient,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1)
    assert gradient.tolist() == pytest.approx([0.265, 0.18], abs=1e-9)
    assert w.tolist() == [2.0, 1.0]


def test_the_second_order_gradient_agrees_with_an_exact_hessian_vector_product():
    torch.manual_seed(0)
    w = [
        torch.randn(3, 2, dtype=torch.float64, requires_grad=True),
        torch.randn(2, dtype=torch.float64, requires_grad=True),
    ]
    alpha = torch.randn(3, dtype=torch.float64, requires_grad=True)
    x, y = torch.randn(2, 16, 3, dtype=torch.float64), torch.randn(2, 16, 2, dtype=torch.float64)
    buffers = [torch.randn_like(each) for each in w]

    def loss(k, weights):
        return ((x[k] * alpha.sigmoid()) @ weights[0] + weights[1] - y[k]).square().mean()

    (found,) = unrolled_gradient(
        lambda: loss(0, w), lambda: loss(1, w), [alpha], w, rate=0.1, momentum=0.9, decay=3e-4, buffers=buffers
    )
    steps = torch.autograd.grad(loss(0, w), w, create_graph=True)
    ahead = [
        each - 0.1 * (0.9 * buffer + step + 3e-4 * each) for each, buffer, step in zip(w, buffers, steps, strict=True)
    ]
    (exact,) = torch.autograd.grad(loss(1, ahead), alpha)
    assert torch.allclose(found, exact, rtol=1e-3, atol=1e-7)


def test_the_difference_scheme_errs_by_the_second_order():
    """L_train = alpha w^3 at w = 1, v = 2: 6.0002 for the exact 6."""
    alpha = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = unrolled_gradient(lambda: alpha * w**3, lambda: 2 * w, [alpha], [w], rate=1.0)
    assert -gradient.item() == pytest.approx(2 * 3 * 1 + 2 * 0.005**2 / 1, abs=2e-4)
    assert -gradient.item() != pytest.approx(6.0, abs=1e-6)


def test_with_a_rate_of_zero_the_second_order_gradient_is_the_first():
    train, valid, alpha, w = quadratic()
    both = lambda: valid() + (alpha * w).sum()  # noqa: E731
    (second,) = unrolled_gradient(train, both, [alpha], [w], rate=0.0)
    (first,) = torch.autograd.grad(both(), alpha)
    assert torch.equal(second, first)


def test_a_second_order_step_puts_back_weights_momentum_and_statistics_to_the_bit():
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    chosen = policy("darts 2nd", SMALL)
    batch = (torch.randn(16, *SHAPE), torch.arange(16) % 3)
    training.descend(batch, chosen.route())
    before = {name: tensor.clone() for name, tensor in training.supernet.state_dict().items()}
    buffers = [training.optimizer.state[each]["momentum_buffer"].clone() for each in training.weights]
    assert any(buffer.abs().sum() > 0 for buffer in buffers)
    alpha = chosen.alpha.detach().clone()
    chosen.learn_from(training, batch, batch)
    assert not torch.equal(chosen.alpha, alpha)
    for name, tensor in training.supernet.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for each, buffer in zip(training.weights, buffers, strict=True):
        assert torch.equal(training.optimizer.state[each]["momentum_buffer"], buffer)


def test_the_momentum_enters_the_unrolled_step():
    train, valid, alpha, w = quadratic()
    buffer = torch.tensor([1.0, -1.0], dtype=torch.float64)
    (with_it,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1, momentum=0.9, buffers=[buffer])
    (without,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1)
    # v shifts by -0.1 * 0.9 * buffer, and the gradient is rate * B^T v
    shift = -0.09 * torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64) @ buffer * 0.1
    assert torch.allclose(with_it - without, shift, atol=1e-9)


def test_alpha_changes_only_in_its_own_step():
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    chosen = policy("darts", SMALL)
    before = chosen.alpha.detach().clone()
    training.descend((torch.randn(16, *SHAPE), torch.arange(16) % 3), chosen.route())
    chosen.optimizer.zero_grad()
    assert torch.equal(chosen.alpha, before)
    run(prepared(SupernetSearch(chosen)), 1)
    assert chosen.alpha.grad is None


# ---- SNAS -----------------------------------------------------------------------------------------------------------


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
    """And the supernet of DARTS, whose weights never saw a network of its own, is worth less as one."""

    def gap(kind):
        chosen = policy(kind, SMALL, learning_rate=0.05, weight_decay=0.0)
        search = prepared(SupernetSearch(chosen), recipe=replace(RECIPE, epochs=8))
        found = run(search)
        with torch.no_grad():
            mixed = search.training.accuracy(chosen.soft(chosen.draw() if kind == "snas" else chosen.probabilities()))
        return found, mixed, search.evaluation(found[-1])(tuple(found[-1])).values[0]

    found, mixed, child = gap("snas")
    assert found[-1].proposal["entropy"] < found[0].proposal["entropy"]
    assert abs(mixed - child) < 0.1
    _, mixed, child = gap("darts")
    assert mixed - child > 0.1


# ---- GDAS -----------------------------------------------------------------------------------------------------------


def ran(supernet, route, x):
    """(edge, operation) of the candidates that compute something on a route, `none` aside."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda module, args, out: seen.append(module.node) if out is not None else None)
        for module in supernet.modules()
        if hasattr(module, "node")
    ]
    supernet(x, route)
    for hook in hooks:
        hook.remove()
    own = (name for name in seen if "+" not in name)  # what several begin with is nobody's
    found = (re.match(r"(cell\d/\d-\d)/(\w+)", name) for name in own)
    return {each.groups() for each in found if each and each[2] != "none"}


def test_one_operation_an_edge_runs_whatever_the_batch():
    chosen, supernet = policy("gdas", CELLS), build(CELLS.decode(CELLS.open()))
    cells = {"normal": 1, "reduce": 2}  # of three
    for size in (2, 5):
        route = chosen.route()
        seen = ran(supernet, route, torch.randn(size, *SHAPE))
        drawn = {name: next(iter(of)) for name, of in route.items()}
        assert len(drawn) == 28
        assert len(seen) == sum(cells[name.split("/")[0]] for name, operation in drawn.items() if operation != "none")
        assert len({edge for edge, _ in seen}) == len(seen)


def test_what_gdas_draws_is_one_in_value_and_follows_the_softmax_at_any_temperature():
    chosen = policy("gdas", SMALL)
    with torch.no_grad():
        chosen.alpha.copy_(torch.tensor([0.5, -0.5, 0.0, 1.0, -1.0]).expand(6, 5))
    for temperature in (10.0, 0.1):
        chosen.temperature = temperature
        counts = torch.zeros(5, dtype=torch.float64)
        for _ in range(1500):
            route = chosen.route()
            for of in route.values():
                ((option, h),) = of.items()
                assert h.item() == 1.0
                counts[chosen.options[0].index(option)] += 1
        expected = chosen.probabilities()[0].detach().double() * counts.sum()
        assert ((counts - expected) ** 2 / expected).sum().item() < 18.5


def test_the_worked_gradient_of_gdas(monkeypatch):
    chosen = policy("gdas", NASBenchMacroSpace((1,), 4, 8, SHAPE))
    with torch.no_grad():
        chosen.alpha.zero_()
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    monkeypatch.setattr(chosen, "gumbel", lambda: logits - chosen.logits.log_softmax(1).detach())
    chosen.temperature = 1.0
    (of,) = chosen.route().values()
    ((option, h),) = of.items()
    assert option == 0
    (gradient,) = torch.autograd.grad(2 * h, chosen.alpha)
    p = torch.tensor([0.6652, 0.2447, 0.0900])
    by_noisy = 2 * p[0] * (torch.tensor([1.0, 0.0, 0.0]) - p)
    assert by_noisy.tolist() == pytest.approx([0.4454, -0.3256, -0.1198], abs=1e-3)
    assert gradient[0].tolist() == pytest.approx(by_noisy.tolist(), abs=1e-3)  # a log-softmax does not change it
    assert gradient.sum().item() == pytest.approx(0, abs=1e-6)


def test_the_temperature_of_gdas():
    chosen = policy("gdas", SMALL)
    found = []
    for epoch in (0, 124, 249):
        chosen.begin(epoch, 250)
        found.append(chosen.temperature)
    assert found == pytest.approx([10, 5.07, 0.1], abs=5e-3)


def test_gdas_moves_the_weights_before_alpha(monkeypatch):
    chosen = policy("gdas", SMALL)
    order = []
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench())
    monkeypatch.setattr(training, "descend", lambda batch, route: order.append("w") or torch.zeros(()))
    monkeypatch.setattr(chosen, "learn", lambda gradients: order.append("alpha"))
    batch = (torch.randn(8, *SHAPE), torch.arange(8) % 3)
    chosen.step(training, batch, lambda: batch)
    assert order == ["w", "alpha"]
    order.clear()
    first = policy("darts", SMALL)
    monkeypatch.setattr(first, "learn", lambda gradients: order.append("alpha"))
    first.step(training, batch, lambda: batch)
    assert order == ["alpha", "w"]


# ---- PC-DARTS -------------------------------------------------------------------------------------------------------


def test_without_partial_channels_and_edge_weights_pc_darts_is_darts():
    plain, edged = policy("darts", CELLS), PCDARTS(CELLS, rng=stream(0, "policy"))
    assert torch.equal(plain.alpha, edged.alpha)
    edged.scaled = edged.probabilities
    supernet, x = build(CELLS.decode(CELLS.open())), torch.randn(4, *SHAPE)
    with torch.no_grad():
        assert torch.equal(supernet(x, plain.route()), supernet(x, edged.route()))


def test_channels_that_go_by_are_copied_and_shuffled():
    space = DARTSSpace(1, 8, search=True, partial=4, input_shape=SHAPE)
    graph = space.decode(space.open())
    shuffle = next(node for node in graph.nodes if node.name.endswith("2-0/joined"))
    assert shuffle.combine == "concat"
    network = build(graph)
    module = network.get_submodule(shuffle.name.replace("/", "."))[-1]
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert module(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_bypassing_channels_come_through_to_the_bit():
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    supernet = build(space.decode(space.open())).eval()
    seen = {}
    for path in ("cell0.2-0.first", "cell0.2-0.rest", "cell0.2-0.joined"):
        supernet.get_submodule(path).register_forward_hook(lambda m, args, out, path=path: seen.update({path: out}))
    genome = space.genome(space.genotype_of("PC_DARTS_cifar"))
    with torch.inference_mode():
        supernet(torch.randn(2, *SHAPE), space.route(genome))
    joined = seen["cell0.2-0.joined"].unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)  # shuffled back
    assert torch.equal(joined[:, 2:], seen["cell0.2-0.rest"])


def test_edge_weights_of_a_node_sum_to_one_and_are_shared_by_the_cells_of_a_kind():
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    chosen = PCDARTS(space, rng=stream(0, "pc"))
    with torch.no_grad():
        chosen.beta.normal_()
    for of in chosen.edges().values():
        assert sum(of.values()).item() == pytest.approx(1.0, abs=1e-6)
    assert len(chosen.edges()) == 8


def test_constant_edge_weights_derive_what_alpha_alone_does():
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    edged = PCDARTS(space, rng=stream(0, "pc"))
    with torch.no_grad():
        edged.alpha.normal_(generator=torch.Generator().manual_seed(1))
        edged.beta.fill_(0.3)
        alone = space.likeliest(edged._with_closed(edged.probabilities()))
        assert edged.derive(None) == alone
        edged.beta[2:5] = torch.tensor([0.0, 9.0, 0.0])  # into normal/3
    assert edged.weights()["normal/3<-1"][OPERATIONS[4]] > edged.weights()["normal/3<-0"][OPERATIONS[4]]


def test_alpha_and_beta_rest_in_the_first_epochs():
    space = DARTSSpace(3, 8, search=True, partial=4, input_shape=SHAPE)
    chosen = PCDARTS(space, rng=stream(0, "pc"), beginning=2)
    before = [parameter.detach().clone() for parameter in chosen.parameters()]
    search = prepared(SupernetSearch(chosen))
    run(search, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, chosen.parameters(), strict=True))
    run(search, 1)
    assert not any(torch.equal(a, b) for a, b in zip(before, chosen.parameters(), strict=True))
    with pytest.raises(UserError, match="weighs edges"):
        PCDARTS(GeNetSpace(), rng=stream(0, "pc"))


# ---- ENAS -----------------------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(training, "accuracy_on", lambda batch, route: 0.5)
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
        training, "accuracy_on", lambda batch, route: sum(token == "nor_conv_3x3" for token in route.values()) / 6
    )
    for _ in range(60):
        chosen.learn_from(training, lambda: None)
    share = [of["nor_conv_3x3"] for of in chosen.weights().values()]
    assert sum(share) / 6 > 0.4  # a fifth at first; scores are bounded


def test_learning_rates_restart_after_cycles_that_double():
    recipe = Recipe(epochs=150, learning_rate=0.05, last_rate=0.0005, cycle=10)
    found = [recipe.rate(epoch) for epoch in (0, 5, 9, 10, 29, 30)]
    assert found == pytest.approx([0.05, 0.02525, 0.00171, 0.05, 0.0008, 0.05], abs=5e-6)


# ---- as a run -------------------------------------------------------------------------------------------------------


def searched(tmp_path, **options):
    return evonas.search(
        replace(SMALL, classes=10),
        "digits",
        strategy=lambda toolbox, rng: SupernetSearch(DARTS(toolbox.space, rng=rng)),
        settings={"epochs": 2, "batch_size": 128, "final.epochs": 1},
        out=tmp_path / "run",
        executor="serial",
        workers=1,
        progress=False,
        **options,
    )


def test_a_run_keeps_each_epochs_genome_and_trains_the_last(tmp_path):
    run = searched(tmp_path, baseline=True)
    records = [record for record in run.records() if record["phase"] == "search"]
    assert [record["status"] for record in records] == ["shared", "shared"]
    assert [record.get("provisional", False) for record in records] == [True, False]
    assert run.best.id == records[-1]["id"]
    assert run.summary["winner"]["code"] == records[-1]["code"]
    assert run.summary["ended_because"] == "2 epochs of the supernet"
    assert run.summary["random_search"]["test_accuracy"] is not None
    assert set(records[0]["proposal"]["weights"]) == {f"{t}<-{s}" for t in (1, 2, 3) for s in range(t)}
    assert run[records[0]["id"]].graph.parameters > 0  # and can be trained like any other
    assert (run.directory / "plots" / "relaxation.png").exists()


def test_a_supernet_is_not_trained_for_what_it_cannot_do(tmp_path):
    for options, why in (({"objectives": "accuracy,parameters"}, "several objectives"), ({"inherit": True}, "inherit")):
        with pytest.raises(UserError, match=why):
            evonas.search("darts", "digits", out=tmp_path / "refused", **options)
    with pytest.raises(UserError, match="multiple of twice partial"):
        evonas.search("pc-darts", "digits", settings={"channels": 4}, out=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UserError, match="several objectives"):
        searched(tmp_path, objectives="accuracy,parameters")


@pytest.mark.parametrize("name", ["darts", "snas", "gdas", "pc-darts", "enas"])
def test_every_preset_of_a_system_has_its_supernet(name):
    known = system(name)
    for setup in known.presets.values():
        strategy = known.strategy(known.toolbox(setup.space, setup.strategy, None), setup.strategy, stream(0, name))
        assert strategy.policy.space.search
        assert getattr(strategy.policy.space, "partial", 1) == (4 if name == "pc-darts" else 1)
        strategy.policy.check(setup.recipe)


SCRIPT = """
import sys
import evonas
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.supernets.enas import ENAS
from evonas.supernets.gdas import GDAS
from evonas.supernets.search import SupernetSearch

POLICIES = {"enas": lambda space, rng: ENAS(space, rng=rng, steps=5), "gdas": lambda space, rng: GDAS(space, rng=rng)}

if __name__ == "__main__":
    make = POLICIES[sys.argv[2]]
    evonas.search(
        NASBench201Space(4, 1, (1, 8, 8)), "digits",
        strategy=lambda toolbox, rng: SupernetSearch(make(toolbox.space, rng)),
        settings={"epochs": 12, "batch_size": 64, "final.epochs": 1},
        out=sys.argv[1], resume=True, executor="serial", workers=1, progress=False,
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gdas", "enas"])
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_alphas(tmp_path, kind):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def policy_of(name):
        return torch.load(tmp_path / name / "supernet.pt", weights_only=True)["policy"]["policy"]

    subprocess.run([sys.executable, script, tmp_path / "whole", kind], check=True)
    draws = stream(0, "kills")
    for _ in range(6):
        process = subprocess.Popen([sys.executable, script, tmp_path / "cut", kind])
        time.sleep(draws.uniform(4, 9))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, script, tmp_path / "cut", kind], check=True)
    expected, found = policy_of("whole"), policy_of("cut")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
