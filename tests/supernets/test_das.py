"""DAS: filter sizes, input channels and groups, scaled by parameters that learn (Shin, Packer and Song 2018)."""

import pickle
import re
from dataclasses import replace
from itertools import product

import pytest
import torch
from benches import CHAIN, SMALL, batch, bench, prepared, run
from devices import like
from torch.nn import functional as F

from evonas.errors import UserError
from evonas.genomes.das import DASSpace
from evonas.network import build
from evonas.operations import Convolution, Linear
from evonas.space import CodeError
from evonas.supernets.das import DAS
from evonas.supernets.scaled import Scaled, clamp, exclusive_lasso, group_lasso, sparsemax
from evonas.supernets.search import SupernetSearch
from evonas.support.streams import stream

COLOURS = DASSpace((4, 5), (4, 3), (1, 2), (6,), input_shape=(3, 8, 9), outputs=3)
FIRST = replace(COLOURS, individual=False)
SIZES = list(product(range(1, 6), repeat=2))


def das(space=CHAIN, **fields):
    return DAS(space, rng=stream(0, "policy"), **fields)


def untrained(search, device):
    training = search.new_training(search.graph(), bench(device), statistics="batch")
    search.to(training.device)
    return training


def layer(inputs=6, sizes=SIZES, seed=0, **fields):
    """The parameters of a layer, drawn at random."""
    scaled = Scaled(sizes, inputs, generator=torch.Generator().manual_seed(seed), **fields).double()
    torch.manual_seed(seed)
    for parameter in scaled.parameters():
        parameter.data.uniform_(0.1, 1)
    return scaled


def ordinary(x, weight, size, channels):
    """The convolution of this size on these channels alone, with weights cut from the middle of the largest one; what
    an even size has beyond the middle comes behind it."""
    (height, width), middle = size, weight.shape[2] // 2
    top, left = (height - 1) // 2, (width - 1) // 2
    cut = weight[:, channels, middle - top : middle - top + height, middle - left : middle - left + width]
    return F.conv2d(F.pad(x[:, channels], (left, width // 2, top, height // 2)), cut)


def single(x, weight):
    """The one convolution of the largest size."""
    return F.conv2d(F.pad(x, (2, 2, 2, 2)), weight)


@pytest.fixture
def given():
    torch.manual_seed(1)
    return torch.randn(2, 6, 7, 8).double(), torch.randn(4, 6, 5, 5).double()


# ---- the effective weights (section 2) ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (4, 5), (5, 2), (5, 5)])
@pytest.mark.parametrize("individual", [True, False])
def test_one_hot_parameters_are_an_ordinary_convolution(size, individual, given):
    x, weight = given
    scaled = layer(individual=individual)
    scaled.alpha.data = torch.tensor([each == size for each in SIZES]).double()
    scaled.raw_beta.data = torch.tensor([0, 0, 0, 1, 0, 0]).double()
    channels = [3] if individual else [0, 1, 2, 3]
    expected = ordinary(x, weight, size, channels)
    assert expected.shape[2:] == x.shape[2:], "the output keeps its size"
    assert torch.allclose(single(x, scaled.scales().applied(weight)), expected, atol=1e-6)


@pytest.mark.parametrize("individual", [True, False])
def test_the_sum_of_all_convolutions_is_one_with_effective_weights(individual, given):
    x, weight = given
    scaled = layer(individual=individual)
    total = 0
    for alpha, size in zip(scaled.alpha, SIZES, strict=True):
        for at, beta in enumerate(scaled.beta):
            channels = [at] if individual else list(range(at + 1))
            total = total + alpha * beta * ordinary(x, weight, size, channels)
    assert torch.allclose(single(x, scaled.scales().applied(weight)), total, atol=1e-9)


def test_scales_of_the_worked_example():
    scaled = layer(2, [(1, 1), (3, 3)], individual=False)
    scaled.alpha.data, scaled.raw_beta.data = torch.tensor([0.2, 0.5]), torch.tensor([0.3, 0.4])
    scales = scaled.float().scales()
    around = [[0.5] * 3, [0.5, 0.7, 0.5], [0.5] * 3]
    assert torch.allclose(scales.kernel, torch.tensor(around))
    assert scales.channels.tolist() == pytest.approx([0.7, 0.4])
    first, second = scales.applied(torch.ones(1, 2, 3, 3))[0]
    assert (first[1, 1].item(), first[0, 0].item()) == pytest.approx((0.49, 0.35))
    assert (second[1, 1].item(), second[0, 0].item()) == pytest.approx((0.28, 0.20))


def test_patterns_make_a_convolution_in_groups():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(4, 4, 3, 3)
    scaled = Scaled([(3, 3)], 4, filters=4, patterns=2)
    scaled.P.data = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    scaled.S.data = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    of_groups = torch.cat([weight[:2, :2], weight[2:, 2:]])
    expected = F.conv2d(x, of_groups, padding=1, groups=2)
    assert torch.allclose(F.conv2d(x, scaled.scales().applied(weight), padding=1), expected, atol=1e-6)


def test_sparsemax_of_the_worked_example():
    assert sparsemax(torch.tensor([1.0, 0.5, -1.0])).tolist() == pytest.approx([0.75, 0.25, 0.0])
    drawn = torch.randn(20, generator=torch.Generator().manual_seed(0)).double()
    on_simplex = sparsemax(drawn)
    assert on_simplex.sum().item() == pytest.approx(1)
    assert on_simplex.min() == 0
    assert torch.allclose(sparsemax(drawn + 3), on_simplex)
    assert torch.autograd.gradcheck(sparsemax, [drawn.requires_grad_()])


def test_mixed_norms_of_a_worked_example():
    groups = torch.tensor([[3.0, -4.0], [0.0, 0.0], [1.0, 0.0]])
    assert group_lasso(groups).item() == pytest.approx(6, abs=1e-5)
    assert exclusive_lasso(groups).item() == pytest.approx(49 + 1)
    scaled = Scaled([(1, 1), (3, 3)], 3, filters=2, patterns=2)
    scaled.alpha.data, scaled.raw_beta.data = torch.tensor([-1.0, 2.0]), torch.tensor([1.0, -1.0, 0.5])
    scaled.P.data, scaled.S.data = groups, torch.tensor([[2.0, 0.0], [0.0, -1.0]])
    of_P, of_S = 49 + 1 + (10**0.5 + 4), 4 + 1 + 2 + 1
    assert scaled.penalty(0.5, 0.1).item() == pytest.approx(0.5 * 5.5 + 0.1 * (of_P + of_S), rel=1e-5)


@pytest.mark.parametrize("simplex", [False, True])
def test_gradients_of_architecture_parameters_agree_with_central_differences(simplex, given):
    x, weight = given
    scaled = layer(simplex=simplex, filters=4, patterns=3)

    def loss():
        return single(x, scaled.scales().applied(weight)).square().mean() + scaled.penalty(0.1, 0.01)

    loss().backward()
    assert {name for name, _ in scaled.named_parameters()} == {"alpha", "raw_beta", "P", "S"}
    for name, parameter in scaled.named_parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for place in range(0, len(flat), max(len(flat) // 8, 1)):
            was, step, sides = flat[place].item(), 1e-6, []
            for sign in (1, -1):
                flat[place] = was + sign * step
                sides.append(loss().item())
            flat[place] = was
            assert gradient[place].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4, abs=1e-7), name


def learned(steps=400, gamma=0.0, eta=0.0, patterns=0):
    """Parameters of a layer of eight channels that learn to copy a convolution in two groups on four of them, by plain
    gradient descent."""
    torch.manual_seed(0)
    x = torch.randn(32, 8, 5, 5)
    target = F.conv2d(x[:, :4], torch.randn(4, 2, 1, 1), groups=2)
    scaled = Scaled([(1, 1), (3, 3)], 8, filters=4, patterns=patterns, generator=torch.Generator().manual_seed(0))
    weight = torch.nn.Parameter(torch.randn(4, 8, 3, 3) / 6)
    optimizer = torch.optim.SGD([weight, *scaled.parameters()], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        made = F.conv2d(x, scaled.scales().applied(weight), padding=1)
        (F.mse_loss(made, target) + scaled.penalty(gamma, eta) + 1e-3 * weight.square().sum()).backward()
        optimizer.step()
    return scaled


def test_a_larger_gamma_leaves_fewer_parameters():
    left = []
    for gamma in (0.0, 0.1, 1.0):
        scaled = learned(gamma=gamma)
        left.append(sum(int((each.abs() >= 0.05).sum()) for each in (scaled.alpha, scaled.beta)))
    assert left[0] > left[1] > left[2], left


def test_a_larger_eta_leaves_fewer_connections():
    left = []
    for eta in (0.0, 0.03, 0.3):
        scaled = learned(eta=eta, patterns=3)
        left.append(sum(int((each.abs() >= 0.05).sum()) for each in (scaled.P, scaled.S)))
    assert left[0] > left[1] > left[2], left


# ---- clamping -------------------------------------------------------------------------------------------------------


def test_what_is_below_the_threshold_is_0_and_the_largest_stays():
    values = torch.tensor([0.3, -0.2, 0.05, -0.01])
    assert clamp(values, 0.05).tolist() == pytest.approx([0.3, -0.2, 0.05, 0])
    assert clamp(values, 0.4).tolist() == pytest.approx([0.3, 0, 0, 0])
    scaled = layer(3)
    scaled.alpha.data = torch.zeros(25).double()
    scaled.alpha.data[SIZES.index((2, 5))], scaled.alpha.data[SIZES.index((3, 1))] = 0.5, -0.2
    assert scaled.size(0.1) == (3, 5), "the kernel that holds both"
    assert scaled.size(0.3) == (2, 5)
    scaled.raw_beta.data = torch.tensor([0.01, -0.03, 0.02]).double()
    assert scaled.channels(0.015) == (1, 2)
    assert scaled.channels(1.0) == (1,)


def test_a_channel_without_a_pattern_is_not_taken():
    scaled = layer(3, filters=2, patterns=2)
    scaled.P.data = torch.tensor([[1.0, 0], [0, 0.01], [0, 1]]).double()
    scaled.S.data = torch.tensor([[1.0, 1], [0.01, 0]]).double()
    assert scaled.channels(0.1) == (0,)
    scaled.raw_beta.data = torch.tensor([0.01, 1, 0.2]).double()  # where only the first has a pattern
    assert scaled.channels(0.1) == (0,), "the strongest one stays"
    assert scaled.clamped(0.1).strength.nonzero().tolist() == [[0]]


@pytest.mark.parametrize("fields", [{}, {"simplex": True}, {"patterns": 2, "eta": 1e-3}], ids=str)
@pytest.mark.parametrize("space", [CHAIN, COLOURS, FIRST], ids=["grey", "colours", "first"])
def test_the_compact_network_is_the_clamped_one(space, fields):
    search = das(space, threshold=0.2, **fields)
    training = untrained(search, "cpu")
    torch.manual_seed(0)
    for parameter in (*search.parameters(), *(bias for bias in training.weights if bias.dim() == 1)):
        parameter.data.uniform_(-0.4, 0.4)
    derived = search.derive(training)
    assert derived != space.largest
    x = torch.randn(4, *space.input_shape)
    for genome in (derived, space.largest, *(space.random(stream(seed, "compact")) for seed in range(20))):
        alone = search.compact(training, genome)
        with torch.inference_mode():
            expected = training.outputs(x, space.route(genome)).float()
            assert torch.allclose(alone(x), expected, atol=1e-5), space.format(genome)
    with torch.inference_mode():  # of the derived genome, nothing is cut but what is 0
        whole = training.outputs(x, space.route(space.largest))
        assert torch.allclose(search.compact(training, derived)(x), whole, atol=1e-5)
        assert whole.std() > 0


# ---- the search -----------------------------------------------------------------------------------------------------


def test_weights_keep_their_norm_and_effective_ones_begin_with_it(device):
    search = prepared(SupernetSearch(das()), device)
    network = search.training.network
    before = {name: weight.norm().item() for name, weight in network.named_parameters() if weight.dim() > 1}
    for name, weight in search.policy.weights_on(network, {}).items():
        assert weight.norm().item() == pytest.approx(before[name], rel=0.2), name
    run(search)
    for name, length in before.items():
        assert network.get_parameter(name).norm().item() == pytest.approx(length, rel=1e-5), name


def test_weights_and_architecture_learn_from_one_loss_of_the_training_split(device):
    search = das(sparsity=0.1, patterns=2, eta=0.01)
    training = untrained(search, device)
    some = batch(device)

    def held_out():
        raise AssertionError("there is no validation split in it")

    expected = training.loss(some, {}).item()
    before = [each.clone() for each in (*training.weights, *search.parameters())]
    assert search.step(training, some, held_out).item() == like(expected, device)
    assert all(not torch.equal(*pair) for pair in zip(before, (*training.weights, *search.parameters()), strict=True))


def test_a_larger_gamma_finds_a_smaller_network(device):
    sizes = []
    for gamma in (0.0, 0.1, 0.15):
        recipe = replace(bench(device).recipe, epochs=15)
        found = run(prepared(SupernetSearch(das(sparsity=gamma, rate=2.0)), device, recipe=recipe))[-1]
        sizes.append(CHAIN.decode(tuple(found)).multiply_adds)
    assert sizes[0] > sizes[1] > sizes[2], sizes


def test_a_space_of_another_form_is_refused():
    with pytest.raises(UserError, match="space `das`"):
        DAS(SMALL, rng=stream(0, "policy"))
    with pytest.raises(UserError, match="everything open"):
        DAS(CHAIN, rng=stream(0, "policy"), genome=[1, *CHAIN.open()[1:]])
    with pytest.raises(UserError, match="threshold 0; use more"):
        das(threshold=0)


# ---- the space ------------------------------------------------------------------------------------------------------


def test_the_largest_network_is_the_papers_base_with_zeros_around_images():
    space = DASSpace()
    graph = space.decode(space.largest)
    convolutions = 5 * 5 * (3 * 24 + 24 * 36 + 36 * 48) + 3 * 3 * (48 * 64 + 64 * 64) + 24 + 36 + 48 + 64 + 64
    linear = 9 * 25 * 64 * 100 + 100 * 50 + 50 * 10 + 10 + 100 + 50 + 10 + 1
    assert graph.parameters == convolutions + linear
    assert graph.shapes["conv5"] == (64, 9, 25)


def test_what_nothing_reads_is_not_there():
    graph = COLOURS.decode(COLOURS.parse("4x2:1,3 3x3:2 1-2,5 1-6"))
    found = [op for node in graph.nodes for op in node.operations if isinstance(op, Convolution | Linear)]
    assert [getattr(op, "channels", None) or op.features for op in found] == [1, 3, 6, 3]
    assert graph.shapes["conv1"] == (1, 8, 9)
    assert graph.shapes["conv2"] == (3, 4, 5)
    assert graph.parameters == (2 * 8 + 1) + (9 + 1) * 3 + (3 * 4 * 5 + 1) * 6 + 7 * 3


def test_genomes_are_counted_and_read_back():
    tiny = DASSpace((2,), (3,), (1,), (), input_shape=(3, 4, 4), outputs=2)
    assert tiny.count() == len(list(tiny.genomes())) == 9 * 7 * 3
    assert replace(tiny, individual=False).count() == 9 * 3 * 2
    assert pickle.loads(pickle.dumps(tiny)).count() == tiny.count(), "in another process"
    for space in (COLOURS, FIRST):
        for seed in range(50):
            genome = space.random(stream(seed, "chain"))
            assert space.parse(space.format(genome)) == genome
            assert space.genome(space.chosen(genome)) == genome
            build(space.decode(genome))(torch.randn(2, 3, 8, 9))


def test_uniform_shrinking_is_easily_said():
    assert COLOURS.format(COLOURS.shrunk(0.5)) == "4x4:1-3 3x3:1-2 1-2 1-3"
    assert FIRST.format(FIRST.shrunk(0.1)) == "4x4:1-3 3x3:1 1 1"
    with pytest.raises(UserError, match="share is 0"):
        COLOURS.shrunk(0)


@pytest.mark.parametrize(
    ("space", "code", "says"),
    [
        (COLOURS, "4x4:1-3 3x3:1", "has 2 layers; in this space a network has 4"),
        (COLOURS, "4x4:1-3 1 1 1", "conv2 is '1'"),
        (COLOURS, "4x4:1-3 3x3:1 3x3:1 1", "linear1 is '3x3:1'"),
        (COLOURS, "4x5:1-3 3x3:1 1 1", "kernel of 4x5; use 1 to 4"),
        (COLOURS, "4x4:1-4 3x3:1 1 1", "conv1 reads '1-4'; it has the channels 1 to 3"),
        (COLOURS, "4x4:3,1 3x3:1 1 1", "in their order"),
        (COLOURS, "4x4:1,1 3x3:1 1 1", "each channel once"),
        (FIRST, "4x4:2-3 3x3:1 1 1", "the first channels"),
    ],
)
def test_a_code_of_another_space_is_refused(space, code, says):
    with pytest.raises(CodeError, match=re.escape(says)):
        space.parse(code)
