"""Training-free scores, by values by hand, by invariances, and by what they leave as it was."""

import math
import random

import pytest
import torch
from torch import nn

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.genomes.genet import GeNetSpace
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.graph import INPUT, Draft
from evonas.network import build
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.scores import SCORES, score
from evonas.scores.ranks import rank_sum, ranks
from evonas.tasks.classification import ImageClassification


def value(name, network, inputs, targets=None, seed=0):
    targets = torch.zeros(len(inputs), dtype=torch.long) if targets is None else targets
    return score(name)(network, inputs, targets, torch.Generator().manual_seed(seed))


def images(count=8, shape=(3, 8, 8), seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, *shape, generator=generator)
    return inputs, torch.randint(4, (count,), generator=generator)


def cell(*genome, seed=0):
    space = NASBench201Space(channels=4, cells=1, input_shape=(3, 8, 8), outputs=4)
    return build(space.decode(genome), seed=seed)


CELL = ("nor_conv_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1")


class Square(nn.Module):
    """The gradient of the summed outputs by an image is the image itself."""

    def forward(self, x):
        return x**2 / 2


# ---- values by hand -------------------------------------------------------------------------------------------------


def test_naswot_is_the_determinant_of_the_agreements_of_codes():
    found = value("naswot", nn.ReLU(), torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]))
    assert found == pytest.approx(math.log(12))  # K = [[4, 2], [2, 4]]


def test_naswot_of_two_images_with_one_code_is_the_worst_there_is():
    assert value("naswot", nn.ReLU(), torch.tensor([[1.0, -1.0], [2.0, -3.0]])) == -math.inf


def test_naswot_counts_a_relu_that_several_nodes_share_as_often_as_the_graph_has_it():
    def network(branches):
        draft = Draft((3, 8, 8))
        draft.node("stem", [INPUT], Convolution(4))
        ends = [draft.node(f"branch{number}", ["stem"], ReLU(), Convolution(4)) for number in range(branches)]
        draft.node("end", ends, GlobalAveragePool(), Linear(4))
        return build(draft.graph())

    inputs, _ = images()
    one, three = network(1), network(3)
    assert sum(isinstance(module, nn.ReLU) for module in three.modules()) == 1
    found = value("naswot", three, inputs)
    assert found == pytest.approx(value("naswot", one, inputs) + 8 * math.log(3))
    assert value("naswot", nn.Sequential(three), inputs) == found


def test_jacov_of_images_with_uncorrelated_gradients_is_minus_one_an_image():
    rows = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
    each = -(math.log(1 + 1e-5) + 1 / (1 + 1e-5))
    assert value("jacov", Square(), rows) == pytest.approx(3 * each, abs=1e-9)


def test_jacov_of_two_images_with_one_gradient():
    rows = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    expected = -(math.log(2 + 1e-5) + 1 / (2 + 1e-5) + math.log(1e-5) + 1e5)  # v = 2, 0
    assert value("jacov", Square(), rows) == pytest.approx(expected, abs=1e-4)
    assert expected == pytest.approx(-99_989.7, abs=0.1)


def test_jacov_of_a_gradient_that_is_the_same_for_all_pixels_is_none():
    assert math.isnan(value("jacov", Square(), torch.ones(2, 3)))


@pytest.mark.parametrize("depth", [2, 5])
def test_synflow_is_the_same_for_each_layer_of_a_chain(depth):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 6, bias=False) for _ in range(depth)]
    ones = torch.ones(6, dtype=torch.float64)
    for layer in layers:
        ones = layer.weight.detach().double().abs() @ ones  # 1' |W2||W1| 1 in the end
    found = value("synflow", nn.Sequential(*layers), torch.zeros(1, 6))
    assert found == pytest.approx(math.log(depth * ones.sum().item()), rel=1e-12)


def test_synflow_bypasses_batch_norms_and_looks_at_no_data():
    torch.manual_seed(0)
    first, norm, last = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)
    nn.init.constant_(norm.weight, 7.0)
    inputs, _ = images()
    plain = value("synflow", nn.Sequential(first, nn.ReLU(), last), inputs)
    assert value("synflow", nn.Sequential(first, norm, nn.ReLU(), last), inputs) == plain
    assert value("synflow", nn.Sequential(first, nn.ReLU(), last), -3 * inputs) == plain


def test_synflow_of_a_chain_too_deep_for_float32_is_a_number():
    torch.manual_seed(0)
    layers = [nn.Linear(1000, 1000, bias=False) for _ in range(40)]
    found = value("synflow", nn.Sequential(*layers), torch.zeros(1, 1000))
    assert 100 < found < math.inf  # float32 ends at e^88


def test_snip_and_grad_norm_are_sums_over_the_weights_of_layers():
    network, (inputs, targets) = cell(*CELL), images()
    torch.nn.functional.cross_entropy(network(inputs), targets).backward()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    snip = sum((layer.weight * layer.weight.grad).abs().sum().item() for layer in layers)
    norm = sum(layer.weight.grad.norm().item() for layer in layers)
    assert value("snip", network, inputs, targets) == pytest.approx(snip, rel=1e-6)
    assert value("grad_norm", network, inputs, targets) == pytest.approx(norm, rel=1e-6)


def test_zen_of_one_layer_is_the_size_of_its_change_and_the_scale_of_its_norm():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    inputs, _ = images(16)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(4, 3, 3, 3, generator=generator)
    x, e = (torch.randn(inputs.shape, generator=generator) for _ in range(2))
    before, after = (nn.functional.conv2d(each, weight) for each in (x, x + 0.01 * e))
    a, b = (nn.functional.batch_norm(each, None, None, training=True) for each in (before, after))
    change = (a - b).abs().sum((1, 2, 3)).mean().log().item()
    scale = before.var((0, 2, 3), correction=0).mean().sqrt().log().item()
    assert value("zen", network, inputs, seed=3) == pytest.approx(change + scale, rel=1e-5)


# ---- what all have in common ----------------------------------------------------------------------------------------


def traces(network):
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grads = {name: None if each.grad is None else each.grad.clone() for name, each in network.named_parameters()}
    modes = {name: (module.training, len(module._forward_hooks)) for name, module in network.named_modules()}
    wanted = {name: each.requires_grad for name, each in network.named_parameters()}
    return state, grads, modes, wanted


def same(one, other):
    return one is other is None or (one is not None and other is not None and torch.equal(one, other))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SCORES)
def test_a_score_leaves_the_network_and_the_generators_as_they_were(name, training):
    inputs, targets = images()
    network = nn.Sequential(cell(*CELL), nn.Dropout(0.5), nn.Linear(4, 4))
    network(inputs).sum().backward()
    network.train(training)[2].weight.requires_grad_(False)
    called = []
    network[2].register_forward_hook(lambda *_: called.append(1))
    before, given = traces(network), inputs.clone()
    python, torchs = random.getstate(), torch.get_rng_state()
    assert math.isfinite(value(name, network, inputs, targets))
    after = traces(network)
    for kept, found in zip(before[:2], after[:2], strict=True):
        assert kept.keys() == found.keys()
        assert all(same(kept[key], found[key]) for key in kept)
    assert before[2:] == after[2:]
    assert torch.equal(inputs, given)
    assert inputs.grad is None
    assert not called, "a hook of the user's own is not called for the copy"
    assert torch.equal(torch.get_rng_state(), torchs)
    assert random.getstate() == python


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_repeatable_whatever_was_scored_before(name):
    inputs, targets = images()
    network = cell(*CELL)
    found = value(name, network, inputs, targets)
    torch.manual_seed(99)
    for other in SCORES:
        value(other, network, inputs, targets)
    assert value(name, network, inputs, targets) == found
    assert value(name, network.eval(), inputs, targets) == found
    with torch.no_grad():
        assert value(name, network, inputs, targets) == found


@pytest.mark.parametrize("name", SCORES)
def test_dropout_does_not_count(name):
    inputs, targets = images()
    network = cell(*CELL)
    dropped = nn.Sequential(nn.Dropout2d(0.5), network)
    plain = nn.Sequential(nn.Identity(), network)
    assert value(name, dropped, inputs, targets) == value(name, plain, inputs, targets)


@pytest.mark.parametrize("name", SCORES)
def test_a_relu_that_overwrites_its_input_spoils_no_score(name):
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(4))
    draft.node("plain", ["stem"], Convolution(4))
    draft.node("normed", ["stem"], BatchNorm(), ReLU(), Convolution(4))
    draft.node("end", ["plain", "normed"], GlobalAveragePool(), Linear(4))
    network, (inputs, targets) = build(draft.graph()), images()
    (relu,) = (module for module in network.modules() if isinstance(module, nn.ReLU))
    assert relu.inplace
    found = value(name, network, inputs, targets)
    relu.inplace = False
    assert math.isfinite(found)
    assert found == value(name, network, inputs, targets)


@pytest.mark.parametrize("name", ["grad_norm", "snip", "jacov", "naswot"])
def test_the_order_of_images_does_not_count(name):
    inputs, targets = images()
    network, order = cell(*CELL), torch.tensor([3, 1, 4, 0, 5, 7, 2, 6])
    assert value(name, network, inputs[order], targets[order]) == pytest.approx(
        value(name, network, inputs, targets), rel=1e-4
    )


@pytest.mark.parametrize("name", SCORES)
def test_an_untrained_network_of_a_real_space_has_a_finite_score(name):
    task = ImageClassification(Source("digits"))
    split = task.splits("cpu").train
    space = GeNetSpace(input_shape=task.input_shape, outputs=10)
    deep = space.parse("1-11/1-11-111")
    network = build(space.decode(deep).simplified(), seed=0)
    assert math.isfinite(value(name, network, split.normalised(split.inputs[:16]), split.targets[:16]))


def test_a_network_that_leads_nowhere_ranks_last():
    inputs, targets = images()
    nothing = cell(*["none"] * 6)
    assert value("synflow", nothing, inputs) == -math.inf
    assert not math.isfinite(value("jacov", nothing, inputs))
    found = [value("jacov", network, inputs, targets) for network in (cell(*CELL), nothing)]
    assert ranks(found).tolist() == [2, 1]


def test_a_score_that_there_is_not_is_named_with_those_that_there_are():
    with pytest.raises(UserError, match="no score 'nwot'; scores are grad_norm, snip, synflow, jacov, naswot, zen"):
        score("nwot")


# ---- ranks ----------------------------------------------------------------------------------------------------------


def test_ranks_grow_with_the_score_and_equal_ones_share_their_mean():
    assert ranks([0.5, 3.0, 0.5, -1.0]).tolist() == [2.5, 4, 2.5, 1]


def test_nan_and_minus_infinity_are_worst_together():
    assert ranks([math.nan, 0.0, -math.inf, -1e300]).tolist() == [1.5, 4, 1.5, 3]


def test_a_rank_sum_looks_at_the_order_of_each_score_alone():
    one, other = [1.0, 2.0, 3.0], [0.0, 100.0, -5.0]
    assert rank_sum([one, other]).tolist() == [3, 5, 4]
    assert rank_sum([one, [math.exp(each) for each in other]]).tolist() == [3, 5, 4]
