"""One-Shot's space as the sheet of the paper works it: sizes, codes, cells, and what the supernet shares."""

from dataclasses import replace
from itertools import product
from random import Random

import pytest
import torch
import torch.nn.functional as F

from evonas import contract
from evonas.errors import UserError
from evonas.genomes.one_shot import BITS, OPERATIONS, OneShotSpace
from evonas.network import build, extract
from evonas.operations import Convolution
from evonas.space import CodeError, Open
from evonas.support.streams import stream

SHAPE = (1, 8, 8)
CODE = "01:sep3+max 2:id 023:sep5+conv7 14:avg"
SMALL = OneShotSpace(3, 2, input_shape=SHAPE)
ONE = OneShotSpace(3, 2, 1, input_shape=SHAPE)


def inputs(graph):
    return {node.name: [edge.source for edge in node.inputs] for node in graph.nodes}


def operations(graph):
    return {node.name: list(map(str, node.operations)) for node in graph.nodes}


def route(space, on):
    """The route on which exactly these bits are on."""
    return {name: name in on for name in names(space)}


def names(space):
    return [f"{group.name}/{bit}" for group in space.groups for bit in group.bits]


# ---- genomes and codes --------------------------------------------------------------------------------------------


def test_there_are_as_many_cells_as_the_paper_counts():
    assert OneShotSpace().count() == 3 * 7 * 15 * 31 * 28**4 == 6_002_115_840


def test_a_block_has_some_of_its_inputs_and_one_or_two_of_seven_operations():
    legal = {bits for bits in product(BITS, repeat=2 + 7) if any(bits[:2]) and 1 <= sum(bits[2:]) <= 2}
    assert set(ONE.genomes()) == legal
    assert len(legal) == ONE.count() == 3 * 28


def test_a_space_keeps_its_contract():
    contract.check(SMALL, stream(0, "contract"))


def test_a_code_says_the_inputs_and_operations_of_each_block():
    genome = SMALL.parse(CODE)
    assert SMALL.format(genome) == CODE
    assert [name for name, on in SMALL.route(genome).items() if on] == [
        "block2/input/0", "block2/input/1", "block2/operation/sep3", "block2/operation/max",
        "block3/input/2", "block3/operation/id",
        "block4/input/0", "block4/input/2", "block4/input/3", "block4/operation/sep5", "block4/operation/conv7",
        "block5/input/1", "block5/input/4", "block5/operation/avg",
    ]  # fmt: skip
    assert SMALL.parse("  10:max+sep3\n2:id 320:conv7+sep5 41:avg ") == genome


def test_codes_of_random_genomes_are_read_back():
    for seed in range(100):
        genome = SMALL.random(stream(seed, "code"))
        assert SMALL.parse(SMALL.format(genome)) == genome


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "has 0 blocks; in this space a cell has 4"),
        ("01:id 2:id", "has 2 blocks; in this space a cell has 4"),
        (f"{CODE} 0:id", "has 5 blocks; in this space a cell has 4"),
        ("01:id 3:id 2:id 2:id", "block 3 is '3:id'; its inputs are some of 0 to 2, each once"),
        ("00:id 2:id 2:id 2:id", "block 2 is '00:id'; its inputs are some of 0 to 1"),
        ("01:sep9 2:id 2:id 2:id", "its operations are one or two of id, sep3, sep5, sep7, conv7, max, avg"),
        ("01:id 2:id+id 2:id 2:id", "block 3 is '2:id.id'; its operations are"),
        ("01:id+max+avg 2:id 2:id 2:id", "block 2 is '01:id.max.avg'; its operations are"),
        ("01:id+ 2:id 2:id 2:id", "block 2 is '01:id.'; its operations are"),
        ("id 2:id 2:id 2:id", "block 2 is 'id'; write its inputs and operations, as in 01:sep3"),
        (":id 2:id 2:id 2:id", "block 2 is ':id'; write"),
        ("²:id 2:id 2:id 2:id", "block 2 is '²:id'; write"),
        ("01: 2:id 2:id 2:id", "block 2 is '01:'; write"),
    ],
)
def test_codes_outside_the_space_are_refused_by_block(code, says):
    with pytest.raises(CodeError, match=says):
        SMALL.parse(code)


def test_genomes_outside_the_space_are_refused_by_bit():
    off = (False,) * 7
    with pytest.raises(CodeError, match="block2/input/1 takes one of True"):
        ONE.decisions((False, False, *off))
    with pytest.raises(CodeError, match="block2/operation/avg takes one of True"):
        ONE.decisions((True, False, *off))
    with pytest.raises(CodeError, match="block2/operation/avg takes one of False"):
        ONE.decisions((True, False, True, True, *off[:4], True))


def test_every_bit_of_the_supernet_is_open():
    assert SMALL.open() == (Open(BITS),) * len(names(SMALL))
    assert [decision.name for decision in SMALL.decisions(SMALL.open())] == names(SMALL)


def test_what_an_open_bit_may_still_be_is_not_asked_of_the_others():
    some = Open(BITS)
    for genome in ((some, False, *[False] * 6, True), (True, False, some, *[False] * 6), (True, True, *[some] * 7)):
        assert ONE.decode(genome).is_open
    with pytest.raises(CodeError, match="operation/sep5 takes one of False"):
        ONE.decisions((True, True, True, True, True, *[some] * 4))
    with pytest.raises(CodeError, match="close them"):
        ONE.format(ONE.open())


# ---- networks -----------------------------------------------------------------------------------------------------


def test_a_code_has_its_cell():
    graph = SMALL.decode(SMALL.parse(CODE))
    found, does = inputs(graph), operations(graph)
    assert found["cell2/block2/joined"] == ["cell2/block2/input0", "cell2/block2/input1"]
    assert found["cell2/block2/sum"] == ["cell2/block2/sep3", "cell2/block2/max"]
    assert found["cell2/block2/sep3"] == found["cell2/block2/max"] == ["cell2/block2/joined"]
    assert found["cell2/block4/input3"] == ["cell2/block3/sum"]
    assert found["cell2/block5/joined"] == ["cell2/block5/input1", "cell2/block5/input4"]
    assert found["cell2/output"] == [f"cell2/block{block}/sum" for block in (2, 3, 4, 5)]
    assert does["cell2/block4/input3"] == ["batch_norm", "relu", "conv 8 1x1"]
    once = ["batch_norm", "relu", "conv 8 3x3 8 groups", "conv 8 1x1"]
    assert does["cell2/block2/sep3"] == once * 2
    assert does["cell2/block4/conv7"] == ["batch_norm", "relu", "conv 8 1x7", "batch_norm", "relu", "conv 8 7x1"]
    assert does["cell2/block3/id"] == ["identity"]
    assert does["cell2/block5/avg"] == ["avg_pool 3x3 stride 1"]
    assert graph.shapes["cell2/output"] == (4 * 8, 2, 2)
    assert not any("zeros" in name for name in found)


@pytest.mark.parametrize(("cells", "reductions"), [(6, (2, 4)), (8, (2, 5)), (3, (1, 2)), (4, (1, 2)), (5, (1, 3))])
def test_two_cells_halve_the_size_by_average_pooling_and_double_the_channels(cells, reductions):
    space = OneShotSpace(cells, 2, input_shape=SHAPE)
    assert space.reductions == reductions
    graph = space.decode(space.parse("01:id 01:id 01:id 01:id"))
    for cell in range(cells):
        halvings = sum(at <= cell for at in reductions)
        assert graph.shapes[f"cell{cell}/output"] == (4 * 2 * 2**halvings, 8 >> halvings, 8 >> halvings)
        pooled = [operations(graph)[f"cell{cell}/input{n}"].count("avg_pool 2x2 stride 2") for n in (0, 1)]
        newer = cell in reductions
        assert pooled == [newer + (cell - 1 in reductions), newer]


def test_the_cells_before_the_first_are_the_two_layers_of_the_stem():
    graph = SMALL.decode(SMALL.parse("0:id 1:id 0:id 0:id"))
    found = inputs(graph)
    assert (found["cell0/input0"], found["cell0/input1"]) == (["stem0"], ["stem1"])
    assert (found["cell1/input0"], found["cell1/input1"]) == (["stem1"], ["cell0/output"])
    assert (found["cell2/input0"], found["cell2/input1"]) == (["cell0/output"], ["cell1/output"])
    assert operations(graph)["stem0"] == ["conv 2 3x3"]


def test_an_input_of_the_cell_that_no_block_takes_is_not_there():
    found = inputs(SMALL.decode(SMALL.parse("1:id 2:id 2:id 34:id")))
    assert "cell1/input0" not in found
    assert found["cell1/input1"] == ["cell0/output"]


def test_where_no_block_takes_the_newer_input_every_other_cell_is_left_out():
    space = OneShotSpace(4, 2, 1, input_shape=SHAPE)
    found = inputs(space.decode(space.parse("0:id")))
    assert {name.partition("/")[0] for name in found} == {"stem0", "stem1", "cell1", "cell3", "classifier"}
    assert (found["cell1/input0"], found["cell3/input0"]) == (["stem1"], ["cell1/output"])
    graph = ONE.decode(ONE.parse("0:id"))
    assert {name.partition("/")[0] for name in inputs(graph)} == {"stem0", "cell0", "cell2", "classifier"}
    assert operations(graph)["cell2/input0"].count("avg_pool 2x2 stride 2") == 2


def test_a_network_has_nothing_that_it_does_not_need():
    for seed in range(100):
        graph = SMALL.decode(SMALL.random(stream(seed, "needed")))
        assert graph.simplified().parameters == graph.parameters


def test_all_cells_have_the_genome_and_none_the_weights_of_another():
    graph = SMALL.decode(SMALL.parse(CODE))
    cells = [[name.partition("/")[2] for name in inputs(graph) if name.startswith(f"cell{n}/")] for n in range(3)]
    assert cells[0] == cells[1] == cells[2]
    pointers = {weights.data_ptr() for weights in build(graph).parameters()}
    assert len(pointers) == len(list(build(graph).parameters()))


def test_odd_sides_are_rounded_down():
    space = replace(SMALL, input_shape=(1, 7, 5))
    graph = space.decode(space.random(Random(4)))
    assert [graph.shapes[f"cell{n}/output"][1:] for n in range(3)] == [(7, 5), (3, 2), (1, 1)]


@pytest.mark.parametrize(("filters", "everything", "drawn"), [(32, 4.8, 1.7), (64, 18.5, 6.7), (128, 72.7, 26.4)])
def test_what_may_be_chosen_has_the_papers_parameters(filters, everything, drawn):
    """In millions, of the network with all on and of random ones in the mean: their difference depends on nothing that
    the paper leaves open. With all on there are 4 % fewer here."""
    graph = OneShotSpace(channels=filters).decode(OneShotSpace().open())
    missing = 0.0
    for node in graph.nodes:
        _, block, part = node.name.split("/") if node.name.count("/") == 2 else ("", "", "")
        chance = 1.0
        if part in OPERATIONS:
            chance = (7 + 2 * 21) / 28 / 7
        elif part.startswith("input"):
            chance = 2 ** (int(block[-1]) - 1) / (2 ** int(block[-1]) - 1)
        missing += (1 - chance) * sum(op.parameters(shape) for _, op, shape in graph.steps(node)) / 1e6
    assert missing == pytest.approx(everything - drawn, rel=0.01, abs=0.1)  # theirs is the mean of ten, rounded
    assert graph.parameters / 1e6 == pytest.approx(everything, rel=0.05)


# ---- the supernet -------------------------------------------------------------------------------------------------


def test_one_convolution_for_each_input_is_one_of_their_concatenation_with_zeros():
    supernet = build(SMALL.decode(SMALL.open()))
    block = supernet.get_submodule("cell1.block4")
    seen = {}
    for name, module in block.named_children():
        module.register_forward_hook(lambda _, given, output, name=name: seen.update({name: (given[1:], output)}))
    on = {"block2/input/0", "block3/input/1", "block4/input/0", "block4/input/2", "block4/operation/id"}
    on |= {"block2/operation/max", "block3/operation/avg", "block5/input/0", "block5/operation/id"}
    with torch.no_grad():
        supernet(torch.randn(8, *SHAPE), route(SMALL, on))
        taken = []
        for state in range(4):
            module = getattr(block, f"input{state}")
            here = seen[f"input{state}"][1] is not None
            assert here == (state in (0, 2))
            taken.append(F.relu(module.batch_norm(seen[f"input{state}"][0][0])) if here else torch.zeros(8, 4, 4, 4))
        together = torch.cat([getattr(block, f"input{state}").conv.weight for state in range(4)], 1)
        expected = F.conv2d(torch.cat(taken, 1), together)
    assert torch.allclose(seen["joined"][1], expected, atol=1e-5)


def test_a_network_alone_is_the_supernet_with_zeros_for_what_it_lacks(device):
    """In the mode in which genomes are judged: each batch has its own statistics."""
    supernet, images = build(SMALL.decode(SMALL.open())).to(device).train(), torch.randn(8, *SHAPE, device=device)
    with torch.no_grad():
        for seed in range(100):
            genome = SMALL.random(stream(seed, "alone"))
            alone = extract(supernet, SMALL.decode(genome)).to(device)
            assert alone.training
            assert torch.equal(supernet(images, SMALL.route(genome)), alone(images)), SMALL.format(genome)


def test_a_block_of_the_supernet_may_have_all_operations_and_adds_them():
    supernet = build(SMALL.decode(SMALL.open()))
    block, made = supernet.get_submodule("cell0.block3"), {}
    for name in (*OPERATIONS, "sum"):
        getattr(block, name).register_forward_hook(lambda _, given, output, name=name: made.update({name: output}))
    with torch.no_grad():
        supernet(torch.randn(8, *SHAPE), route(SMALL, names(SMALL)))
    total = made["id"]
    for name in list(OPERATIONS)[1:]:
        total = total + made[name]
    assert torch.equal(made["sum"], total)


def test_a_route_of_the_supernet_may_have_any_bits_on_and_none():
    supernet, images, rng = build(SMALL.decode(SMALL.open())), torch.randn(8, *SHAPE), Random(0)
    with torch.no_grad():
        for share in (0.0, 0.1, 0.3, 0.5, 0.9, 1.0):
            for _ in range(20):
                on = {name for name in names(SMALL) if rng.random() < share}
                assert supernet(images, route(SMALL, on)).isfinite().all()
        nothing = supernet(images, route(SMALL, set()))
    assert torch.equal(nothing, nothing[:1].expand_as(nothing))  # nothing of the images has come through


@pytest.mark.parametrize("wrong", [{"cells": 2}, {"channels": 0}, {"outputs": 0}, {"blocks": 0}, {"blocks": 9}])
def test_impossible_spaces_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        OneShotSpace(**wrong)
    with pytest.raises(UserError, match="at least 4 pixels"):
        OneShotSpace(input_shape=(1, 3, 8))


def test_no_convolution_of_a_cell_has_a_stride():
    graph = SMALL.decode(SMALL.open())
    assert {op.stride for node in graph.nodes for op in node.operations if isinstance(op, Convolution)} == {1}
