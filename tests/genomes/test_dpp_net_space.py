"""DPP-Net's growing cells against the counts of the paper, and CondenseNet's network around them."""

from dataclasses import replace
from math import prod

import pytest
import torch

from evonas.errors import UserError
from evonas.genomes.dpp_net import CONVOLUTIONS, NORMALISATIONS, DPPNetSpace
from evonas.genomes.growing import END
from evonas.individual import Individual
from evonas.network import build
from evonas.operations import AveragePool, GlobalAveragePool, ReLU, ShuffleChannels
from evonas.operators.by_decision import stepwise_toolbox
from evonas.scheduled import finished
from evonas.space import CodeError
from evonas.strategies.progressive import Progressive
from evonas.support.streams import stream

SPACE = DPPNetSpace()
SMALL = DPPNetSpace(cells=(2, 1), growth=4, groups=2, input_shape=(3, 8, 8))
CONDENSENET = ("bn_relu", "learned_group_1x1", "bn_relu", "group_3x3")


def expanded(space, parents):
    """What a progressive search makes of these."""
    rng = stream(0, "cells")
    strategy = Progressive(stepwise_toolbox(space, rng=rng), lambda: None, rng=rng)
    return strategy._expanded([Individual(parent) for parent in parents])


@pytest.mark.parametrize(("size", "number"), [(2, 12), (3, 24)])
def test_four_cells_have_twelve_larger_ones_behind_a_convolution_and_24_behind_a_normalisation(size, number):
    cells = list(SPACE.larger(()))[:4]
    if size == 3:
        cells = [next(SPACE.larger(cell)) for cell in cells]
    assert {SPACE.size(cell) for cell in cells} == {size}
    larger = expanded(SPACE, cells)
    assert len(larger) == len(set(map(tuple, larger))) == number
    assert {SPACE.size(cell) for cell in larger} == {size + 1}


def test_there_are_18_cells_of_a_pair_324_of_two_and_5832_of_three():
    counts, cells = {}, list(DPPNetSpace(layers=6).larger(()))
    while cells:
        counts[DPPNetSpace().size(cells[0])] = len(set(cells))
        cells = [larger for cell in cells for larger in DPPNetSpace(layers=6).larger(cell)]
    assert counts == {2: 18, 3: 54, 4: 324, 5: 972, 6: 5832}
    assert SPACE.count() == 18 + 54 + 324


def test_all_genomes_grow_from_the_smallest():
    found = [cell for pair in SPACE.larger(()) for three in SPACE.larger(pair)
             for cell in (pair, three, *SPACE.larger(three))]  # fmt: skip
    assert set(found) == set(SPACE.genomes())


def test_two_pools_make_a_picture_of_32x32_one_of_8x8_and_growth_doubles_at_each():
    graph = SPACE.decode(CONDENSENET)
    assert [graph.shapes[f"stage{stage}/cell14"] for stage in (1, 2, 3)] == [(8, 32, 32), (16, 16, 16), (32, 8, 8)]
    pools = [op for node in graph.nodes for op in node.operations if isinstance(op, AveragePool)]
    assert pools == [AveragePool(2, 2)] * 2


def test_condensenets_cell_is_in_the_space_and_has_its_published_size():
    """CondenseNet-86 (README of the published code): 0.52 M parameters and 65.8 M operations. Its code counts ReLUs,
    pools and biases too (utils.py)."""
    graph = SPACE.decode(CONDENSENET)
    assert round(graph.parameters / 1e6, 2) == 0.52
    steps = [(op, shape) for node in graph.nodes for _, op, shape in graph.steps(node)]
    further = sum(prod(shape) for op, shape in steps if isinstance(op, ReLU | AveragePool | GlobalAveragePool))
    assert round((graph.multiply_adds + further) / 1e6, 1) == 65.8


def test_a_cell_reads_the_stem_and_all_cells_before_it_across_stages():
    graph = SMALL.decode(("bn", "conv_3x3", END))
    sources = {node.name: [edge.source for edge in node.inputs] for node in graph.nodes}
    assert sources["stage1/cell2"] == ["stem", "stage1/cell1"]
    assert sources["stage2/pooled"] == ["stem", "stage1/cell1", "stage1/cell2"]
    assert sources["stage2/cell1"] == ["stage2/pooled"]
    assert sources["classifier"] == ["stage2/pooled", "stage2/cell1"]
    assert graph.shapes["stage2/pooled"] == (8 + 4 + 4, 4, 4)
    assert graph.shapes["stage2/cell1"] == (8, 4, 4)


def test_the_last_convolution_grows_the_network_and_those_before_it_are_wide():
    graph = DPPNetSpace(layers=6).decode(("bn", "conv_1x1", "none", "depthwise_3x3", "bn", "conv_3x3"))
    node = next(node for node in graph.nodes if node.name == "stage2/cell1")
    assert [op.channels for op in node.operations if hasattr(op, "channels")] == [64, 64, 64, 16]


def test_channels_are_shuffled_behind_every_group_convolution_and_no_other():
    for convolution in CONVOLUTIONS:
        graph = SMALL.decode(("bn_relu", convolution, END))
        kinds = [type(op) for node in graph.nodes for op in node.operations]
        assert kinds.count(ShuffleChannels) == (3 if "group" in convolution else 0)


def test_every_cell_is_built_and_counted_exactly():
    x = torch.zeros(2, 3, 8, 8)
    for genome in [*stream(0, "cells").sample(list(SMALL.genomes()), 60), ("none", "learned_group_1x1", END)]:
        graph = SMALL.decode(genome)
        network = finished(build(graph.simplified()))
        assert sum(weights.numel() for weights in network.parameters()) == graph.parameters
        assert network(x).shape == (2, 10)


def test_cells_of_one_network_have_one_key():
    pair = ("bn", "conv_1x1", END)
    same, other = ("bn", "conv_1x1", "none", END), ("bn", "conv_1x1", "bn", END)
    assert SPACE.key(pair) == SPACE.key(same) != SPACE.key(other)
    keys, digests = (
        [of(genome) for genome in SMALL.genomes()] for of in (SMALL.key, lambda g: SMALL.decode(g).digest())
    )
    assert len(set(keys)) == len(set(digests)) == len(set(zip(keys, digests, strict=True))) == 396 - 18


def test_units_are_the_layers():
    assert SPACE.units(("bn", "conv_1x1", "none", END)) == [
        (("layer", "bn"),), (("layer", "conv_1x1"),), (("layer", "none"),)
    ]  # fmt: skip
    assert set(NORMALISATIONS) == {"bn_relu", "bn", "none"}
    assert len(CONVOLUTIONS) == 6


def test_a_code_is_read_back_and_one_outside_the_space_refused():
    assert SPACE.parse("bn_relu group_3x3 end") == ("bn_relu", "group_3x3", END)
    with pytest.raises(CodeError, match="layer2 takes one of"):
        SPACE.parse("bn_relu bn")
    with pytest.raises(CodeError, match="layer2 comes next"):
        SPACE.parse("bn_relu")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"layers": 1}, "layers is 1; use 2 to 12"),
        ({"cells": ()}, "at least one in each stage"),
        ({"growth": 6}, "growth is 6, groups 4.*that the groups divide"),
        ({"input_shape": (1, 3, 3)}, "too small to be halved 2 times; use fewer stages"),
    ],
)
def test_fields_out_of_range_are_refused(fields, says):
    with pytest.raises(UserError, match=says):
        replace(SPACE, **fields)
