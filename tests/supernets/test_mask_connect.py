"""MaskConnect: which modules read which, by the gradients of binary masks (Ahmed and Torresani 2018)."""

import re

import pytest
import torch
from benches import MASKS, SHAPE, SMALL, batch, bench, policy
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional as F

from evonas.errors import UserError
from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.network import build
from evonas.space import CodeError
from evonas.supernets.mask_connect import LEAST, MaskConnect
from evonas.supernets.training import SupernetTraining
from evonas.support.streams import stream

BRANCHED = MaskConnectSpace((4, 8), 2, fan_in=2, cardinality=3, inner=2, input_shape=SHAPE)


def norm(x, of):
    return F.batch_norm(x, of.running_mean, of.running_var, of.weight, of.bias)


def shortcut(x, width, stride):
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, width - x.shape[1]))


def by_hand(network, space, x, read):
    """The outputs of the modules of a network of whole modules, written out; `read` gives a module's input, of what was
    made so far."""
    made = [F.relu(norm(F.conv2d(x, network.stem.conv.weight, padding=1), network.stem.batch_norm))]
    for module in range(1, space.depth + 1):
        own = network.get_submodule(f"module{module}.residual")
        width, stride = own.conv.out_channels, own.conv.stride[0]
        x = made[0] if module == 1 else read(module, made[1:], own.conv.in_channels)
        inner = F.relu(norm(F.conv2d(x, own.conv.weight, stride=stride, padding=1), own.batch_norm))
        residual = norm(F.conv2d(inner, own.conv_2.weight, padding=1), own.batch_norm_2)
        made.append(F.relu(residual + shortcut(x, width, stride)))
    last = network.classifier.linear
    return F.linear(made[-1].mean((2, 3)), last.weight, last.bias)


def fitted(x, channels, side):
    return shortcut(x, channels, x.shape[2] // side)


def judging(space, genome, seed=0):
    network = build(space.decode(genome), seed=seed).eval()
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


# ---- the space ------------------------------------------------------------------------------------------------------


def test_the_papers_network_of_38_layers_has_its_size():
    space = MaskConnectSpace(fan_in=1, outputs=100)
    chain = space.parse(" ".join(map(str, range(1, 18))))
    assert space.decode(chain).parameters == 567_220  # 0.57M (table 1)


def test_a_chain_is_the_plain_residual_network():
    space = MaskConnectSpace((4, 8), 2, fan_in=1, input_shape=SHAPE)
    network, x = judging(space, space.parse("1 2 3")), torch.randn(3, *SHAPE)
    with torch.inference_mode():
        expected = by_hand(network, space, x, lambda module, made, channels: made[-1])
        assert torch.allclose(network(x), expected, atol=1e-6)


def test_all_bits_give_the_dense_sum():
    space = MaskConnectSpace((4, 8), 2, fan_in=9, input_shape=SHAPE)
    (genome,) = space.genomes()
    assert all(genome)
    network, x = judging(space, genome), torch.randn(3, *SHAPE)

    def read(module, made, channels):
        side = 8 if module <= 3 else 4  # the third module halves what it reads
        return sum(fitted(each, channels, side) for each in made)

    with torch.inference_mode():
        assert torch.allclose(network(x), by_hand(network, space, x, read), atol=1e-5)


def test_with_all_branches_it_is_resnext():
    space = MaskConnectSpace((4, 8), 2, fan_in=3, cardinality=3, inner=2, input_shape=SHAPE)
    (genome,) = space.genomes()
    network, given = judging(space, genome), torch.randn(3, *SHAPE)
    with torch.inference_mode():
        x = F.relu(norm(F.conv2d(given, network.stem.conv.weight, padding=1), network.stem.batch_norm))
        for module in range(1, 5):
            added = 0
            for branch in range(1, 4):
                own = network.get_submodule(f"module{module}.branch{branch}.residual")
                stride = own.conv_2.stride[0]
                inner = F.relu(norm(F.conv2d(x, own.conv.weight), own.batch_norm))
                inner = F.relu(norm(F.conv2d(inner, own.conv_2.weight, stride=stride, padding=1), own.batch_norm_2))
                added = added + norm(F.conv2d(inner, own.conv_3.weight), own.batch_norm_3)
            x = F.relu(added + shortcut(x, added.shape[1], stride))
        last = network.classifier.linear
        expected = F.linear(x.mean((2, 3)), last.weight, last.bias)
        assert torch.allclose(network(given), expected, atol=1e-5)


def test_what_nothing_reads_is_not_there_and_is_not_missed():
    space = MaskConnectSpace((4, 8), 2, fan_in=1, input_shape=SHAPE)
    genome = space.parse("1 1 3")  # nothing reads the second module
    graph = space.decode(genome)
    assert not any(node.name.startswith("module2") for node in graph.nodes)
    network, x = judging(space, genome), torch.randn(3, *SHAPE)
    supernet = build(space.decode(space.open())).eval()
    supernet.load_state_dict(network.state_dict(), strict=False)
    with torch.inference_mode():
        assert torch.equal(network(x), supernet(x, space.route(genome)))


def test_each_reader_reads_as_many_as_it_is_to():
    for space in (MASKS, BRANCHED):
        for seed in range(50):
            genome = space.random(stream(seed, "masks"))
            for reader, mask in zip(space.readers, space.masks(genome), strict=True):
                assert sum(mask) == reader.fan_in == min(space.fan_in, reader.sources)
            assert space.parse(space.format(genome)) == genome
    assert MASKS.count() == 1 * 1 * 3  # K = 2 of one, of two, and of three
    assert BRANCHED.count() == 3**9


@pytest.mark.parametrize(
    ("space", "code", "says"),
    [
        (MASKS, "1 1+2", "lists 2 modules"),
        (MASKS, "1 1+2 1+2+3", "module 4 reads '1+2+3'; name 2 of 1 to 3"),
        (MASKS, "1 1+2 1+1", "each once"),
        (MASKS, "1 1+2 1+4", "1 to 3"),
        (BRANCHED, "1+2 1+2 1+2", "module 2 lists 1 branches; in this space it has 3"),
    ],
)
def test_a_code_of_another_space_is_refused(space, code, says):
    with pytest.raises(CodeError, match=re.escape(says)):
        space.parse(code)


# ---- the policy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [MASKS, BRANCHED], ids=["modules", "branches"])
def test_each_step_draws_so_many_sources_of_each_reader(space):
    masks = policy("mask-connect", space)
    for _ in range(20):
        drawn = masks.draw()
        assert [int(bits.sum()) for bits in masks._apart(drawn)] == [reader.fan_in for reader in space.readers]


def test_sources_are_drawn_as_often_as_their_real_masks_say():
    space = MaskConnectSpace((4, 4), 2, fan_in=1, input_shape=SHAPE)
    masks = policy("mask-connect", space)
    masks.real.copy_(torch.tensor([0.5, 0.9, 0.1, 0.9, 0.2, 0.5]))
    drawn = sum(masks.draw() for _ in range(3000))[3:]
    share = torch.tensor([0.9, 0.2, 0.5]) / 1.6
    assert chisquare(drawn.numpy(), (3000 * share).numpy()).pvalue > 1e-3


def test_a_real_mask_goes_against_the_gradient_of_the_binary_one_and_is_clipped():
    space = MaskConnectSpace((4, 4), 2, fan_in=1, input_shape=SHAPE)
    masks = policy("mask-connect", space, rate=0.1)
    masks.real.copy_(torch.tensor([0.0, 1.0, 0.0, 0.9, 0.2, 0.5]))
    masks.learn(torch.tensor([3.0, -3.0, 0.0, 1.0, -2.0, 0.0]))
    assert masks.real.tolist() == pytest.approx([LEAST, 1.0, LEAST, 0.8, 0.4, 0.5])


def test_the_gradient_of_a_bit_is_that_of_its_readers_input_along_the_source(device):
    """dL/dm = <dL/dx, y>, also of what was not drawn."""
    training = SupernetTraining(MASKS.decode(MASKS.open()), bench(device))
    kept = {}
    network = training.network.train()
    for name in ("module1.sum", "module2.sum", "module3.sum", "module1.for_stage2", "module2.for_stage2",
                 "module4.input"):  # fmt: skip
        network.get_submodule(name).register_forward_hook(
            lambda module, given, output, name=name: (output.retain_grad(), kept.update({name: output}))[1]
        )
    mask = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0], device=device, requires_grad=True)
    names = [decision.name for decision in MASKS.decisions(MASKS.open())]
    route = {name: {True: bit} for name, bit in zip(names, mask.unbind(), strict=True)}
    training.loss(batch(device), route).backward()
    along = kept["module4.input"].grad
    for place, source in enumerate(("module1.for_stage2", "module2.for_stage2", "module3.sum"), 3):
        assert mask.grad[place].item() == pytest.approx((along * kept[source]).sum().item(), rel=1e-4)
    assert mask.grad[3] != 0, "of what was not drawn"


def test_the_largest_masks_are_kept():
    masks = policy("mask-connect", MASKS)
    masks.real.copy_(torch.tensor([0.1, 0.3, 0.2, 0.5, 0.1, 0.6]))
    assert MASKS.format(MASKS.likeliest(masks.weights())) == "1 1+2 1+3"


def test_what_is_drawn_more_often_has_a_larger_weight():
    masks = policy("mask-connect", MASKS)
    masks.real.copy_(torch.tensor([0.1, 0.3, 0.2, 0.5, 0.1, 0.4]))
    names = [decision.name for decision in MASKS.decisions(MASKS.open())]
    on = [masks.weights()[name][True] for name in names]
    assert on[:3] == [1.0, 1.0, 1.0], "where all sources are read"
    assert on[3:] == pytest.approx([1 - 0.5**2, 1 - 0.9**2, 1 - 0.6**2])
    drawn = torch.stack([masks.draw() for _ in range(500)]).mean(0)
    assert drawn[3:].argsort().tolist() == torch.tensor(on[3:]).argsort().tolist()


def test_a_space_without_masks_is_refused():
    with pytest.raises(UserError, match="mask-connect"):
        MaskConnect(SMALL, rng=stream(0, "policy"))
    with pytest.raises(UserError, match="every bit open"):
        MaskConnect(MASKS, rng=stream(0, "policy"), genome=[True, *MASKS.open()[1:]])
