"""The chains of FBNet and ProxylessNAS: published networks, codes, and supernets that hold every network exactly."""

from dataclasses import replace
from random import Random

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.fbnet import PUBLISHED, FBNetSpace
from evonas.genomes.proxylessnas import PUBLISHED as MOBILE
from evonas.genomes.proxylessnas import ProxylessNASSpace
from evonas.network import build
from evonas.space import CodeError

FBNET = FBNetSpace((8, 16), (2, 2), (1, 2), 8, False, 0, 16, 0.0, (1, 8, 8), 10)
PROXYLESS = ProxylessNASSpace((8, 16), (2, 2), (1, 2), 8, False, 8, 16, 0.0, (1, 8, 8), 10)
WIDTHS = {  # of the authors' networks: stem, first block, stages, last convolution
    "ProxylessNAS-CPU": (40, 24, (32, 48, 88, 104, 216, 360), 1432),
    "ProxylessNAS-GPU": (40, 24, (32, 56, 112, 128, 256, 432), 1728),
    "ProxylessNAS-Mobile": (32, 16, (32, 40, 80, 96, 192, 320), 1280),
}


@pytest.mark.parametrize(
    ("name", "last", "parameters", "multiply_adds"),
    [
        ("FBNet-A", 1504, 4_321_464, 249e6),
        ("FBNet-B", 1984, 4_863_288, 306e6),
        ("FBNet-C", 1984, 5_572_200, 383e6),
    ],
)
def test_the_published_networks_of_fbnet_have_their_counts(name, last, parameters, multiply_adds):
    """249 and 383 M multiply-adds for A and C. The 296 M of B are those of the block that the paper's table names."""
    space = FBNetSpace(last=last)
    graph = space.decode(space.parse(name))
    assert graph.parameters == parameters
    assert graph.multiply_adds == pytest.approx(multiply_adds, rel=0.01)
    assert space.format(space.parse(name)) == PUBLISHED[name]


def test_fbnet_b_with_the_block_of_the_papers_table():
    space = FBNetSpace()
    graph = space.decode(space.parse(PUBLISHED["FBNet-B"].replace("| k5e6 k5e6 skip", "| k5e6 k5e1 skip")))
    assert graph.parameters == 4_813_048
    assert graph.multiply_adds == pytest.approx(296e6, rel=0.01)


def test_fbnets_layers_have_the_shapes_of_its_table():
    space = FBNetSpace()
    assert space.count() == 9**22
    assert {len(decision.options) for decision in space.every_decision} == {9}
    shapes = space.decode(space.parse("FBNet-C")).shapes
    after = {1: (16, 112), 5: (24, 56), 9: (32, 28), 13: (64, 14), 17: (112, 14), 21: (184, 7), 22: (352, 7)}
    for layer, (width, side) in after.items():
        assert shapes[f"layer{layer}/output"] == (width, side, side)


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("ProxylessNAS-CPU", 4_361_648, 439e6),
        ("ProxylessNAS-GPU", 7_119_848, 465e6),
        ("ProxylessNAS-Mobile", 4_080_512, 320e6),
    ],
)
def test_the_published_networks_of_proxylessnas_have_their_counts(name, parameters, multiply_adds):
    stem, first, widths, last = WIDTHS[name]
    space = ProxylessNASSpace(widths=widths, stem=stem, first=first, last=last)
    graph = space.decode(space.parse(name))
    assert graph.parameters == parameters
    assert graph.multiply_adds == pytest.approx(multiply_adds, rel=0.01)
    assert space.format(space.parse(name)) == MOBILE[name]


def test_layers_of_proxylessnas_can_be_left_out_where_they_have_a_shortcut():
    space = ProxylessNASSpace()
    assert space.count() == 7**15 * 6**6
    least = space.decode(space.parse("e3k3 zero zero zero | " * 5 + "e3k3")).simplified()
    assert not [node.name for node in least.nodes if node.name == "layer2/output"]
    with pytest.raises(CodeError, match="layer5 takes one of"):
        space.parse("e3k3 zero zero zero | zero")


@pytest.mark.parametrize("space", [FBNET, PROXYLESS], ids=lambda space: space.name)
def test_a_supernet_gives_what_each_network_gives_with_its_weights(space):
    supernet, rng = build(space.decode(space.open()), seed=0).train(), Random(0)
    x, state = torch.randn(4, 1, 8, 8), supernet.state_dict()
    for _ in range(100):
        genome = space.random(rng)
        own = build(space.decode(genome), seed=1).train()
        own.load_state_dict({name: state[name] for name in own.state_dict()})
        assert torch.equal(own(x), supernet(x, space.route(genome)))
        assert space.parse(space.format(genome)) == genome


def test_a_skip_is_nothing_where_shapes_stay_and_a_convolution_where_they_change():
    same, halved = (FBNET.decode(FBNET.parse(code)) for code in ("skip skip k3e1 k3e1", "k3e1 k3e1 skip skip"))
    kinds = {node.name: [op.name for op in node.operations] for node in same.simplified().nodes}
    assert not [name for name in kinds if name.startswith(("layer1", "layer2"))]
    (skip,) = (node for node in halved.simplified().nodes if node.name == "layer3/skip")
    assert [op.name for op in skip.operations] == ["conv", "batch_norm", "relu"]
    assert (skip.operations[0].kernel, skip.operations[0].stride) == (1, 2)


def test_groups_are_shuffled_between_their_convolutions():
    graph = FBNET.decode(FBNET.parse("k5e1g2 skip k3e1 skip"))
    (block,) = (node for node in graph.nodes if node.name == "layer1/k5e1g2")
    assert [op.name for op in block.operations].count("shuffle_channels") == 1
    assert [op.groups for op in block.operations if op.name == "conv"] == [2, 8, 2]


@pytest.mark.parametrize(
    ("space", "code", "said"),
    [
        (FBNET, "k3e1 k4e1 | skip skip", "'k4e1' is no layer"),
        (FBNET, "k3e1", "the genome ends after 1"),
        (PROXYLESS, "e3k3 e3k3 | zero e3k3", "layer3 takes one of"),
    ],
)
def test_a_faulty_code_is_refused(space, code, said):
    with pytest.raises(CodeError, match=said):
        space.parse(code)


@pytest.mark.parametrize("wrong", [{"depths": (1,)}, {"strides": (2, 3)}, {"first": -1}, {"input_shape": (3, 1, 1)}])
def test_a_skeleton_that_cannot_be_is_refused(wrong):
    with pytest.raises(UserError, match=r"use|give"):
        replace(FBNET, **wrong)
