from dataclasses import replace
from random import Random

import pytest

from evonas.errors import UserError
from evonas.genomes.blocks import BLOCKS, BlockSpace
from evonas.genomes.residual import reference
from evonas.operations import SqueezeExcite
from evonas.space import CodeError, Open

SPACE = BlockSpace()
BY_HAND = "stem16 basic3-16x2 basic3-32x2/2 basic3-64x2/2"
SHAPES = [(3, 32, 32), (1, 8, 8), (3, 64, 64), (1, 28, 28), (3, 5, 9), (1, 3, 3), (3, 224, 224)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_reference_network_is_in_the_space_of_every_size(shape):
    space = BlockSpace(input_shape=shape)
    by_hand = space.by_hand()
    assert space.decode(by_hand).digest() == reference(shape, 10).decode(()).digest()
    assert space.parse(space.format(by_hand)) == by_hand


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"layers": 1}, "stem16 basic3-16x1 basic3-32x1/2 basic3-64x1/2"),
        ({"blocks": ("inverted", "fused")}, "stem16 inverted3-16x2 inverted3-32x2/2 inverted3-64x2/2"),
        ({"kernels": (5,)}, "stem16 basic5-16x2 basic5-32x2/2 basic5-64x2/2"),
        ({"widths": (0.5, 2.0)}, "stem8 basic3-8x2 basic3-16x2/2 basic3-32x2/2"),
        ({"stages": 2}, "stem16 basic3-16x2 basic3-32x2/2"),
        ({"layers": 1, "kernels": (5,), "fixed": True}, "stem16 basic5-16x1 basic5-32x1/2 basic5-64x1/2"),
    ],
)
def test_a_space_without_the_reference_network_has_the_nearest_one(changes, code):
    space = replace(SPACE, **changes)
    assert space.format(space.by_hand()) == code


def test_a_code_says_what_the_layers_are():
    code = "stem8-pooled inverted5se-16x1 separable3-64x3/2"
    genome = SPACE.parse(code)
    assert genome == (0.5, "pooled", 1, "inverted", 5, True, 1.0, 1, 3, "separable", 3, False, 2.0, 2, 0)
    assert SPACE.format(genome) == code
    graph = SPACE.decode(genome)
    convolutions = [op for node in graph.nodes for op in node.operations if op.name == "conv"]
    assert [op.kernel for op in convolutions if op.groups > 1] == [5, 3, 3, 3, 3, 3, 3]
    assert sum(isinstance(op, SqueezeExcite) for node in graph.nodes for op in node.operations) == 1
    assert graph.nodes[-2].name == "stage2/layer3/sum"


def test_genomes_are_counted_and_each_code_is_read_back():
    small = BlockSpace(stages=2, layers=2, blocks=("basic",), kernels=(3,), widths=(0.5, 1.0), input_shape=(1, 8, 8))
    found = list(small.genomes())
    assert len(found) == small.count() == 2 * 2 * (2 * 2 * 2 * 2) * (1 + 2 * 2 * 2 * 2)
    codes = {small.format(genome) for genome in found}
    assert len(codes) == len(found)
    assert {small.parse(code) for code in codes} == set(found)


def test_different_genomes_are_different_networks():
    rng, digests = Random(0), {}
    for _ in range(300):
        genome = SPACE.random(rng)
        assert digests.setdefault(SPACE.decode(genome).digest(), genome) == genome


def test_pictures_are_not_halved_below_two_pixels():
    tiny = BlockSpace(input_shape=(1, 8, 8))
    halved_twice = tiny.parse("stem16 basic3-32x1/2 basic3-64x1/2 basic3-64x1")
    strides = [decision for decision in tiny.decisions(halved_twice) if decision.name == "stage3/stride"]
    assert strides[0].options == (1,)
    with pytest.raises(CodeError, match="takes one of 1"):
        tiny.parse("stem16 basic3-32x1/2 basic3-64x1/2 basic3-128x1/2")


def test_averages_halve_the_picture_where_the_shortcut_is_pooled():
    names = [
        [op.name for node in SPACE.decode(genome).nodes if "shortcut" in node.name for op in node.operations]
        for genome in (SPACE.parse(BY_HAND), SPACE.parse(BY_HAND.replace("stem16", "stem16-pooled")))
    ]
    assert names == [["conv", "batch_norm"] * 2, ["avg_pool", "conv", "batch_norm"] * 2]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_supernet_holds_each_network_of_its_skeleton(block):
    supernet = SPACE.supernet
    graph = supernet.decode(supernet.open())
    names = {node.name for node in graph.nodes}
    closed = supernet.parse(f"stem16 {block}5se-16x3 {block}3-32x1/2 basic3-64x2/2")
    assert {node.name for node in supernet.decode(closed).nodes} <= names
    assert SPACE.decode((*closed, 0)).digest() == supernet.decode(closed).digest()


@pytest.mark.parametrize("place", [0, 6, 7, 8], ids=["stem", "width", "stride", "whether there is a stage"])
def test_what_shapes_depend_on_cannot_be_open(place):
    genome = list(SPACE.by_hand())
    genome[place] = Open(SPACE.decisions(genome)[place].options)
    with pytest.raises(CodeError, match="shapes depend on it"):
        SPACE.decode(genome)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "begins with the stem"),
        ("stem17 basic3-16x2", "stem17 has 17 channels; in its place there may be 8, 12, 16, 20, 24, 32"),
        ("stem16", "takes one of 1, 2, 3, 4"),
        ("stem16 basic-16x2", "is no stage; write it as in"),
        ("stem16 basic3-16x2 basic3-20x2/2", "20 channels; in its place there may be 16, 24, 32, 40"),
        ("stem16 plain3-16x2", "takes one of basic, bottleneck"),
        ("stem16 " + "basic3-16x1 " * 5, "complete after"),
    ],
)
def test_a_code_of_another_space_is_refused(code, message):
    with pytest.raises(CodeError, match=message):
        SPACE.parse(code)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 0}, "must be at least 1"),
        ({"blocks": ("plain",)}, "use some of basic"),
        ({"kernels": (4,)}, "use odd numbers"),
        ({"widths": (1.0, 1.01)}, "must be different numbers"),
        ({"widths": (0.5,), "fixed": True}, "it has 1"),
    ],
)
def test_a_space_that_cannot_be_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        replace(SPACE, **fields)
