"""DARTS: its search networks, what it derives, and its gradients of both orders (Liu et al. 2019)."""

from dataclasses import replace

import pytest
import torch
from benches import CELLS, SHAPE, SMALL, batch, bench, policy, prepared, run
from devices import agree

from evonas.genomes.darts import OPERATIONS, DARTSSpace
from evonas.network import build
from evonas.supernets.darts import unrolled_gradient
from evonas.supernets.search import SupernetSearch
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream

# ---- search networks and derived cells ------------------------------------------------------------------------------


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


def test_one_hot_weights_give_the_function_of_the_derived_cell_with_the_weights_copied(device):
    final = replace(CELLS, search=False)
    search = build(CELLS.decode(CELLS.open())).to(device).eval()
    for seed in range(10):
        rng = stream(seed, "one-hot")
        genome = tuple(  # pools have a batch norm in a search alone
            rng.choice(OPERATIONS[3:]) if token.endswith("pool_3x3") else token for token in CELLS.random(rng)
        )
        alone = build(final.decode(genome)).to(device).eval()
        known = search.state_dict()
        alone.load_state_dict({name: known.get(name, tensor) for name, tensor in alone.state_dict().items()})
        hot = {
            d.name: {o: torch.tensor(float(o == t), device=device) for o in d.options}
            for d, t in zip(CELLS.decisions(CELLS.open()), genome, strict=True)
        }
        x = torch.randn(2, *SHAPE, device=device)
        with torch.inference_mode():
            assert torch.allclose(search(x, hot), alone(x), atol=1e-4)


@pytest.mark.parametrize("kind", ["darts", "gdas", "pc-darts"])
def test_there_is_an_alpha_for_each_of_eight_operations_on_28_edges(kind):
    chosen = policy(kind, CELLS)
    assert chosen.alpha.shape == (28, 8)
    assert chosen.there.all()


def test_a_constant_added_to_alpha_changes_neither_the_forward_pass_nor_the_genome(device):
    chosen = policy("darts", CELLS).to(device)
    supernet = build(CELLS.decode(CELLS.open())).to(device)
    x = torch.randn(4, *SHAPE, device=device)
    with torch.no_grad():
        before, genome = supernet(x, chosen.route()), chosen.derive(None)
        chosen.alpha[3] += 2.0
        assert torch.allclose(supernet(x, chosen.route()), before, atol=1e-4)
        assert chosen.derive(None) == genome


def test_none_is_never_derived_but_takes_weight_from_its_edge(device):
    chosen = policy("darts", CELLS, initial=1e-9).to(device)
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


# ---- gradients ------------------------------------------------------------------------------------------------------


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


def quadratic(device):
    kind = {"dtype": torch.float64, "device": device}
    a_matrix = torch.diag(torch.tensor([1.0, 2.0], **kind))
    b_matrix = torch.tensor([[1.0, 0.0], [1.0, 1.0]], **kind)
    target = torch.tensor([1.0, -1.0], **kind)
    w = torch.tensor([2.0, 1.0], **kind).requires_grad_()
    alpha = torch.tensor([0.5, -0.5], **kind).requires_grad_()
    return (
        lambda: 0.5 * w @ a_matrix @ w - w @ b_matrix @ alpha,
        lambda: 0.5 * (w - target).square().sum(),
        alpha,
        w,
    )


def test_the_second_order_gradient_of_a_quadratic_is_exact(device):
    train, valid, alpha, w = quadratic(device)
    (gradient,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1)
    assert gradient.tolist() == pytest.approx([0.265, 0.18], abs=1e-9)
    assert w.tolist() == [2.0, 1.0]


def test_the_second_order_gradient_agrees_with_an_exact_hessian_vector_product(device):
    draws = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=draws).to(device)

    w = [drawn(3, 2).requires_grad_(), drawn(2).requires_grad_()]
    alpha = drawn(3).requires_grad_()
    x, y = drawn(2, 16, 3), drawn(2, 16, 2)
    buffers = [drawn(*each.shape) for each in w]

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
    # eps = 0.01 / 2, so the probes are at 1.01 and 0.99: (1.01^3 - 0.99^3) / 0.01 = v (3 w^2 + (eps v)^2)
    assert -gradient.item() == pytest.approx(6.0002, abs=1e-9)


def test_with_a_rate_of_zero_the_second_order_gradient_is_the_first(device):
    train, valid, alpha, w = quadratic(device)
    both = lambda: valid() + (alpha * w).sum()  # noqa: E731
    (second,) = unrolled_gradient(train, both, [alpha], [w], rate=0.0)
    (first,) = torch.autograd.grad(both(), alpha)
    assert agree(second, first, device)


def test_a_second_order_step_puts_back_weights_momentum_and_statistics_to_the_bit(device):
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
    chosen, some = policy("darts 2nd", SMALL).to(device), batch(device)
    training.descend(some, chosen.route())
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    buffers = [training.optimizer.state[each]["momentum_buffer"].clone() for each in training.weights]
    assert any(buffer.abs().sum() > 0 for buffer in buffers)
    alpha = chosen.alpha.detach().clone()
    chosen.learn_from(training, some, some)
    assert not torch.equal(chosen.alpha, alpha)
    for name, tensor in training.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for each, buffer in zip(training.weights, buffers, strict=True):
        assert torch.equal(training.optimizer.state[each]["momentum_buffer"], buffer)


def test_the_momentum_enters_the_unrolled_step(device):
    train, valid, alpha, w = quadratic(device)
    buffer = torch.tensor([1.0, -1.0], dtype=torch.float64, device=device)
    (with_it,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1, momentum=0.9, buffers=[buffer])
    (without,) = unrolled_gradient(train, valid, [alpha], [w], rate=0.1)
    # v shifts by -0.1 * 0.9 * buffer, and the gradient is rate * B^T v
    shift = -0.09 * torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64) @ buffer.cpu() * 0.1
    assert torch.allclose((with_it - without).cpu(), shift, atol=1e-9)


def test_alpha_changes_only_in_its_own_step(device):
    training = SupernetTraining(SMALL.decode(SMALL.open()), bench(device))
    chosen = policy("darts", SMALL).to(device)
    before = chosen.alpha.detach().clone()
    training.descend(batch(device), chosen.route())
    chosen.optimizer.zero_grad()
    assert torch.equal(chosen.alpha, before)
    run(prepared(SupernetSearch(chosen), device), 1)
    assert chosen.alpha.grad is None
