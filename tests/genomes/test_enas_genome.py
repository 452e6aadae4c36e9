"""ENAS's spaces as the sheets of the paper and its code work them: codes, cells, what is shared."""

import math
import random
from dataclasses import replace

import pytest
import torch

from evonas import contract
from evonas.errors import UserError
from evonas.genomes.enas import MICRO, ENASMicroSpace
from evonas.genomes.enas_macro import MACRO, ENASMacroSpace
from evonas.genomes.genotype import published
from evonas.network import build
from evonas.operations import Convolution, DropPath
from evonas.space import CodeError, Open
from evonas.strategies.controllers import Recurrent
from evonas.support.streams import stream

SHAPE = (1, 8, 8)
NORMAL = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"
REDUCE = "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
PUBLISHED = f"{NORMAL} {REDUCE}"
TWO_NODES = "0 0 1 4 | 2 2 0 1"
FOUR_LAYERS = "0 | 3 0 | 0 1 0 | 2 0 0 1"
FIVE = ENASMicroSpace(1, 4, input_shape=SHAPE)
SMALL = ENASMicroSpace(1, 4, 3, search=True, input_shape=SHAPE)
FOUR = ENASMacroSpace(4, 4, input_shape=SHAPE)
SPACES = [FIVE, SMALL, replace(SMALL, search=False), FOUR, FOUR.supernet, ENASMacroSpace(6, 4, input_shape=SHAPE)]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda s: f"{s.name}-{s.layers}-{s.search}")


def inputs(graph):
    return {node.name: [edge.source for edge in node.inputs] for node in graph.nodes}


def adds(found, node):
    """What a node adds, as the part of the names behind its cell."""
    return [name.partition("/")[2] for name in found[node]]


def genome_of(space, nodes, kind="normal"):
    """The genome with these (first input, first operation, second input, second operation) for the nodes of one cell,
    and of the other one drawn."""
    drawn = space.random(stream(1, "rest"))
    half = len(drawn) // 2
    given = tuple(token for a, first, b, second in nodes for token in (a, b, MICRO[first], MICRO[second]))
    return given + drawn[half:] if kind == "normal" else drawn[:half] + given


# ---- micro: codes and cells ---------------------------------------------------------------------------------------


def test_the_published_code_has_its_cells():
    found = FIVE.genotype(FIVE.parse(PUBLISHED))
    sep3, sep5, average, largest, same = MICRO
    assert found.normal == (
        ((average, 0), (sep3, 0)), ((same, 0), (sep5, 0)), ((same, 0), (sep5, 1)), ((sep3, 1), (sep5, 0)),
        ((average, 0), (sep5, 1)),
    )  # fmt: skip
    assert found.normal_concat == (2, 3, 4, 5, 6)
    assert found.reduce == (
        ((sep3, 1), (sep3, 1)), ((largest, 0), (average, 0)), ((sep5, 1), (sep5, 3)), ((sep3, 1), (same, 0)),
        ((largest, 0), (sep5, 1)),
    )  # fmt: skip
    assert found.reduce_concat == (2, 4, 5, 6)


def test_the_published_code_has_its_network():
    graph = FIVE.decode(FIVE.parse(PUBLISHED))
    found = inputs(graph)  # N = 1: two reduction cells, then a normal one
    assert adds(found, "cell2/node2") == ["2x-0/avg_pool_3x3", "2y-0/sep_conv_3x3"]
    assert adds(found, "cell2/node5") == ["5x-1/sep_conv_3x3", "5y-0/sep_conv_5x5"]
    assert adds(found, "cell2/output") == ["node2", "node3", "node4", "node5", "node6"]
    assert adds(found, "cell1/node4") == ["4x-1/sep_conv_5x5", "4y-3/sep_conv_5x5"]
    assert found["cell1/4y-3/sep_conv_5x5"] == ["cell1/node3"]
    assert adds(found, "cell1/output") == ["node2", "node4", "node5", "node6"]


def test_the_published_network_has_about_the_papers_parameters():
    """4.6 M, at N = 6: 18 normal cells and 2 reductions; the code's 15 + 2 is smaller."""
    space = ENASMicroSpace(18, 36)
    assert round(space.decode(space.parse(PUBLISHED)).parameters / 1e6, 1) == 4.6


@pytest.mark.parametrize(
    ("cell", "second", "third"),
    [
        (TWO_NODES, [("sep_conv_3x3", 0), ("skip_connect", 1)], [("avg_pool_3x3", 2), ("sep_conv_5x5", 0)]),
        ("1 1 1 4 | 2 2 0 0", [("sep_conv_5x5", 1), ("skip_connect", 1)], [("avg_pool_3x3", 2), ("sep_conv_3x3", 0)]),
    ],
)
def test_two_nodes_of_which_the_second_takes_the_first(cell, second, third):
    """The second is the paper's own example (section 2.3), whose nodes 1 and 2 are states 0 and 1."""
    space = ENASMicroSpace(1, 4, nodes=2, input_shape=SHAPE)
    genome = space.parse(f"{cell} {cell}")
    found = space.genotype(genome)
    assert [list(node) for node in found.normal] == [second, third]
    assert found.normal_concat == (3,)  # in the first of them input 1 is taken too, in the second input 0
    for form in (space, space.supernet):
        (last,) = inputs(form.decode(genome))["cell2/output"]
        assert last in ("cell2/node3", "cell2/output-3")


def test_a_genome_has_the_controllers_order_and_a_code_the_published_one():
    space = ENASMicroSpace(1, 4, nodes=2, input_shape=SHAPE)
    genome = space.parse(f"{TWO_NODES} {TWO_NODES}")
    assert genome[:4] == (0, 1, "sep_conv_3x3", "skip_connect")
    assert [decision.name for decision in space.decisions(genome)][:5] == [
        "normal/2/input1", "normal/2/input2", "normal/2/operation1", "normal/2/operation2", "normal/3/input1",
    ]  # fmt: skip
    assert space.format(genome) == "0 0 1 4 2 2 0 1 0 0 1 4 2 2 0 1"
    assert FIVE.format(FIVE.parse(PUBLISHED)) == PUBLISHED


def test_sizes_of_the_micro_space():
    assert ENASMicroSpace().count() == (25**5 * math.factorial(6) ** 2) ** 2
    assert ENASMicroSpace().count() == pytest.approx(2.56e25, rel=0.01)
    assert len(ENASMicroSpace().open()) == 40
    one = ENASMicroSpace(1, 4, nodes=1)
    assert one.count() == (25 * 2**2) ** 2 == len(set(one.genomes()))


def test_loose_ends_are_what_no_node_takes():
    sources = ((0, 1), (0, 2), (1, 1), (3, 0), (0, 0))
    genome = genome_of(FIVE, [(a, 0, b, 4) for a, b in sources])
    assert FIVE.genotype(genome).normal_concat == (4, 5, 6)
    final, search = FIVE.decode(genome), FIVE.supernet.decode(genome)
    assert adds(inputs(final), "cell2/output") == ["node4", "node5", "node6"]
    assert final.shapes["cell2/output"] == (3 * 16, 2, 2)
    assert adds(inputs(search), "cell2/output") == ["output-4", "output-5", "output-6"]
    assert search.shapes["cell2/output"] == (16, 2, 2)


def test_an_input_that_no_node_takes_is_an_output_at_the_size_of_the_cell():
    genome = genome_of(FIVE, [(1, 4, 1, 3)] * 5, "reduce")
    graph = FIVE.decode(genome)
    assert FIVE.genotype(genome).reduce_concat == (0, 2, 3, 4, 5, 6)
    assert inputs(graph)["cell0/output"][0] == "cell0/output0/joined"
    assert graph.shapes["cell0/output"] == (6 * 8, 4, 4)
    assert inputs(FIVE.supernet.decode(genome))["cell0/output"][0] == "cell0/output-0"


def test_one_block_a_node_is_one_convolution_of_their_concatenation():
    network = build(SMALL.decode(genome_of(SMALL, [(0, 4, 1, 3)] * 3))).eval()
    blocks = [network.get_submodule(f"cell2.output-{state}") for state in (2, 3, 4)]
    images = [torch.randn(2, 16, 2, 2) for _ in blocks]
    together = torch.cat([block.conv.weight for block in blocks], 1)
    with torch.no_grad():
        added = sum(block(x) for block, x in zip(blocks, images, strict=True))
        expected = torch.nn.functional.conv2d(torch.cat(images, 1).relu(), together)
    assert torch.allclose(added, expected, atol=1e-5)


# ---- micro: the two forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "reductions"), [(6, (2, 5)), (15, (5, 11)), (1, (0, 1)), (2, (0, 1))])
def test_places_of_the_reduction_cells(layers, reductions):
    space = ENASMicroSpace(layers, 4, input_shape=SHAPE)
    assert space.reductions == reductions
    graph = space.decode(space.random(random.Random(0)))
    sizes = [graph.shapes[f"cell{cell}/output"][1] for cell in range(layers + 2)]
    assert sizes == [8 >> sum(at <= cell for at in reductions) for cell in range(layers + 2)]
    assert graph.auxiliary == f"cell{reductions[1] + 1}/output"


def test_in_a_search_a_reduction_stands_before_its_cell_and_nothing_has_a_stride_in_it():
    graph = FIVE.supernet.decode(FIVE.parse(PUBLISHED))
    strided = {
        node.name for node in graph.nodes for op in node.operations if isinstance(op, Convolution) and op.stride == 2
    }
    assert {name.rpartition("/")[0] for name in strided} == {
        "cell0/reduced", "cell0/input0", "cell1/reduced", "cell1/input0",
    }  # fmt: skip
    assert [graph.shapes[f"cell{n}/output"] for n in range(3)] == [(8, 4, 4), (16, 2, 2), (16, 2, 2)]
    assert inputs(graph)["cell2/2x-0/avg_pool_3x3"] == ["cell1/reduced/joined"]  # the newer input before is the older
    assert graph.auxiliary is None
    assert not any(isinstance(op, DropPath) for node in graph.nodes for op in node.operations)


def test_in_a_final_network_operations_on_the_inputs_of_a_reduction_cell_have_stride_2():
    graph = FIVE.decode(FIVE.parse(PUBLISHED))
    assert graph.shapes["cell0/input0"] == graph.shapes["cell0/base"] == (8, 8, 8)
    for name in ("2x-1/sep_conv_3x3", "3x-0/max_pool_3x3", "3y-0/avg_pool_3x3", "5y-0/skip_connect/joined"):
        assert graph.shapes[f"cell0/{name}"] == (8, 4, 4)
    assert inputs(graph)["cell0/4y-3/sep_conv_5x5"] == ["cell0/node3"]
    assert graph.shapes["cell0/output"] == (4 * 8, 4, 4)
    shares = {node.name: op.share for node in graph.nodes for op in node.operations if isinstance(op, DropPath)}
    assert shares["cell0/3x-0/max_pool_3x3"] == pytest.approx(1 / 3)
    assert not any("skip_connect" in name for name in shares)


def test_the_last_node_is_always_an_output_and_others_where_all_later_nodes_pass_them():
    graph = SMALL.decode(SMALL.open())
    (output,) = [node for node in graph.nodes if node.name == "cell2/output"]
    gates = {edge.source: str(edge.gate) for edge in output.inputs}
    assert list(gates) == [f"cell2/output-{state}" for state in range(5)]
    assert gates["cell2/output-4"] == "1"
    assert gates["cell2/output-3"] == "every(no(normal/4/input1=3), no(normal/4/input2=3))"


# ---- sharing ------------------------------------------------------------------------------------------------------


def used(space, supernet, genome):
    """The parameters of the supernet that a genome uses, and their names."""
    supernet.zero_grad(set_to_none=True)
    supernet(torch.randn(4, *space.input_shape), space.route(genome)).square().sum().backward()
    return {name: weights for name, weights in supernet.named_parameters() if weights.grad is not None}


def test_genomes_that_differ_in_one_operation_share_all_other_weights():
    supernet = build(SMALL.decode(SMALL.open()))
    nodes = [(0, 0, 1, 1), (2, 1, 0, 0), (1, 0, 3, 0)]
    one, other = (used(SMALL, supernet, genome_of(SMALL, [*nodes[:2], (*nodes[2][:3], op)])) for op in (0, 1))
    own = {name: "4y-3" in name and name.startswith("cell2.") for name in one | other}
    assert {name for name in one if not own[name]} == {name for name in other if not own[name]}
    assert all(one[name] is other[name] for name in one.keys() & other.keys())
    assert all(("sep_conv_3x3" if name in one else "sep_conv_5x5") in name for name in one.keys() ^ other.keys())
    assert {name for name in one | other if own[name]} == one.keys() ^ other.keys() != set()


def test_another_input_side_node_or_cell_has_other_weights():
    supernet = build(SMALL.decode(SMALL.open()))
    found = [
        {name for name in used(SMALL, supernet, genome_of(SMALL, [(a, 0, b, 0)] * 3, "reduce")) if "sep_conv" in name}
        for a, b in ((0, 1), (1, 0))
    ]
    assert {name for name in found[0] & found[1] if name.startswith(("cell0.", "cell1."))} == set()
    assert "cell0.2x-0.sep_conv_3x3.batch_norm.weight" in found[0]
    assert "cell0.2x-1.sep_conv_3x3.batch_norm.weight" in found[1]
    assert "cell1.2y-1.sep_conv_3x3.conv.weight" in found[0]


@pytest.mark.parametrize("space", [SMALL, FOUR.supernet], ids=lambda space: space.name)
def test_a_step_on_one_route_changes_what_is_on_it_and_nothing_else(space):
    supernet, genome = build(space.decode(space.open())), space.random(stream(5, "route"))
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for each in (space.random(stream(6, "route")), genome):  # the first leaves momentum behind
        before = {name: weights.clone() for name, weights in supernet.state_dict().items()}
        on_route = used(space, supernet, each)
        moving = {name for name, weights in on_route.items() if weights.grad.any()}
        optimizer.step()
        alone = build(space.decode(each))
        assert on_route.keys() == dict(alone.named_parameters()).keys()
        after = supernet.state_dict()
        changed = {name for name, weights in after.items() if not torch.equal(weights, before[name])}
        assert moving <= changed <= set(alone.state_dict())


# ---- macro --------------------------------------------------------------------------------------------------------


def test_four_layers_as_the_sheet_reads_them():
    genome = FOUR.parse(FOUR_LAYERS)
    assert len(genome) == 10
    assert FOUR.format(genome) == "0 3 0 0 1 0 2 0 0 1"
    assert genome == ("conv_3x3", "sep_conv_5x5", 0, "conv_3x3", 1, 0, "conv_5x5", 0, 0, 1)
    found = inputs(FOUR.supernet.decode(genome))  # reductions stand behind layers 0 and 1
    assert found["layer0/output"] == ["layer0/conv_3x3"]
    assert found["layer1/sep_conv_5x5"] == ["layer0/reduced1/joined"]
    assert found["layer2/conv_3x3"] == ["layer1/reduced2/joined"]
    assert found["layer2/output"] == ["layer2/conv_3x3", "layer1/reduced0/joined"]
    assert found["layer1/reduced0/even"] == ["layer0/reduced0/joined"]
    assert found["layer0/reduced0/even"] == ["stem"]
    assert found["layer3/conv_5x5"] == ["layer2/output"]
    assert found["layer3/output"] == ["layer3/conv_5x5", "layer1/reduced2/joined"]
    assert inputs(FOUR.decode(genome))["layer3/output"] == ["layer1/reduced2/joined", "layer3/conv_5x5"]


@pytest.mark.parametrize(("layers", "length"), [(4, 10), (12, 78), (24, 300)])
def test_sizes_of_the_macro_space(layers, length):
    space = ENASMacroSpace(layers)
    assert len(space.random(random.Random(0))) == len(space.open()) == length
    assert space.count() == 6**layers * 2 ** (layers * (layers - 1) // 2)


def test_the_macro_space_is_as_large_as_it_says():
    assert ENASMacroSpace(12).count() == pytest.approx(1.6e29, rel=0.01)
    assert ENASMacroSpace(3, 4).count() == len(set(ENASMacroSpace(3, 4).genomes())) == 1728


def test_widths_and_sizes_of_a_macro_network():
    space = ENASMacroSpace(12, 4, input_shape=(3, 16, 16))
    assert space.reductions == (3, 7)
    genome = space.parse(" ".join(f"{i % 6}" + " 1" * i for i in range(12)))
    final, search = space.decode(genome), space.supernet.decode(genome)
    shapes = {
        layer: (final.shapes[f"layer{layer}/output"], search.shapes[f"layer{layer}/output"]) for layer in (3, 4, 8)
    }
    assert shapes == {
        3: ((4, 16, 16), (4, 16, 16)), 4: ((8, 8, 8), (4, 8, 8)), 8: ((16, 4, 4), (4, 4, 4)),
    }  # fmt: skip
    assert len(inputs(final)["layer11/output"]) == 12
    assert "layer7/reduced0/joined" in inputs(search)["layer11/output"]


def test_outputs_that_no_later_layer_takes_are_not_reduced():
    names = inputs(FOUR.supernet.decode(FOUR.parse("0 | 0 0 | 0 0 0 | 0 0 0 0")))
    assert [name for name in names if name.endswith("joined")] == ["layer0/reduced1/joined", "layer1/reduced2/joined"]
    names = inputs(FOUR.supernet.decode(FOUR.open()))
    assert {name for name in names if name.endswith("joined")} == {
        "layer0/reduced0/joined", "layer0/reduced1/joined",
        "layer1/reduced0/joined", "layer1/reduced1/joined", "layer1/reduced2/joined",
    }  # fmt: skip


@pytest.mark.parametrize("operation", MACRO)
def test_branches_begin_with_a_pointwise_convolution(operation):
    number = MACRO.index(operation)
    graph = FOUR.supernet.decode(FOUR.parse(f"{number} | 0 0 | 0 0 0 | 0 0 0 0"))
    (node,) = [node for node in graph.nodes if node.name == f"layer0/{operation}"]
    assert [name for name, _ in node.steps][:3] == ["conv", "batch_norm", "relu"]
    assert [name for name, _ in node.steps][3:] == {
        "conv": ["conv_2", "batch_norm_2", "relu_2"], "sep": ["conv_2", "conv_3", "batch_norm_2", "relu_2"],
        "avg": ["avg_pool"], "max": ["max_pool"],
    }[operation.split("_")[0]]  # fmt: skip


# ---- both ---------------------------------------------------------------------------------------------------------


@every_space
def test_codes_and_json_round_trip_and_the_contract_holds(space):
    rng = random.Random(1)
    contract.check(space, rng)
    for _ in range(20):
        genome = space.random(rng)
        code = space.format(genome)
        assert space.parse(code) == genome
        assert space.read(code)[0] == code
        assert space.read(code)[1] == space.decode(genome)
    plain = space.to_json()
    assert plain.pop("name") == space.name
    assert type(space)(**plain | {"input_shape": tuple(plain["input_shape"])}) == space
    assert space.supernet.search
    assert space.supernet.decode(space.open()).is_open


@every_space
def test_a_closed_genome_has_no_gates_and_nothing_dead(space):
    for seed in range(10):
        graph = space.decode(space.random(stream(seed, "closed")))
        assert not graph.is_open
        taken = {edge.source for node in graph.nodes for edge in node.inputs}
        assert [node.name for node in graph.nodes if node.name not in taken] == ["classifier"]


@every_space
def test_the_likeliest_genome_takes_what_weighs_most(space):
    genome = space.random(stream(2, "likeliest"))
    weights = {
        d.name: {o: 0.7 if o == token else 0.1 for o in d.options}
        for d, token in zip(space.decisions(genome), genome, strict=True)
    }
    assert space.likeliest(weights) == genome


@every_space
def test_a_controller_that_points_writes_genomes_that_decode(space):
    controller = Recurrent(space, rng=random.Random(3), units=5, initial=0.8)
    assert controller.points
    episodes = controller.sample(20)
    for episode in episodes:
        assert space.decode(episode.genome).output == "classifier"
    now = controller.likelihood(episodes).log_probabilities
    drawn = torch.stack([episode.log_probabilities for episode in episodes])
    assert torch.allclose(now, drawn, atol=1e-5)
    now.sum().backward()
    assert all(weights.grad is not None and weights.grad.any() for weights in (controller.attention.weight,
                                                                              controller.earlier.weight))  # fmt: skip


def test_attention_tells_the_two_inputs_of_a_cell_apart():
    decisions = FIVE.decisions(FIVE.parse(PUBLISHED))
    assert [d.pointer for d in decisions[:2]] == [None, None]
    assert decisions[4].pointer.to == (0, 1, 3)
    assert decisions[4].pointer.at == 3
    assert decisions[20 + 17].pointer.to == (20, 21, 23, 27, 31, 35)
    assert {d.kind for d in decisions} == {"input", "operation"}


@pytest.mark.parametrize(
    "space", [SMALL, FOUR.supernet, FIVE, FOUR], ids=lambda space: f"{space.name} {space.search * 'search'}"
)
def test_networks_train(space):
    network = build(space.decode(space.random(stream(1, "train"))))
    images, labels = torch.randn(16, *SHAPE), torch.randint(10, (16,))
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_odd_sides_are_rounded_up():
    for space in (FIVE, FIVE.supernet, FOUR, FOUR.supernet):
        odd = replace(space, input_shape=(1, 7, 5))
        graph = odd.decode(odd.random(random.Random(4)))
        last = [node.name for node in graph.nodes][-2]
        assert graph.shapes[last][1:] == (2, 2)


def test_genotypes_of_other_systems_are_decoded_where_the_operations_are_known():
    code, graph = FIVE.read("normal 0:sep_conv_3x3 1:skip_connect reduce 0:max_pool_3x3 1:max_pool_3x3")
    assert code.startswith("{")  # one node: outside this space
    assert inputs(graph)["cell2/output"] == ["cell2/node2"]
    drawn = FIVE.cells_of(PUBLISHED)
    assert [len(cell.nodes) for cell in drawn.values()] == [5, 5]
    assert FIVE.parse(str(FIVE.genotype(FIVE.parse(PUBLISHED)))) == FIVE.parse(PUBLISHED)
    with pytest.raises(CodeError, match="unknown operation 'dil_conv_3x3'"):
        FIVE.decode_genotype(published()["DARTS_V2"].genotype)


@pytest.mark.parametrize(
    ("space", "code", "said"),
    [
        (FIVE, "0 1 2", "3 numbers"),
        (FIVE, PUBLISHED.replace("4", "5", 1), "number 6 of code .* is 5; operations are 0 sep_conv_3x3, "),
        (FIVE, "2" + PUBLISHED[1:], "node 2 has the input 2; use 0 to 1"),
        (FIVE, f"{TWO_NODES} {TWO_NODES}", "2 nodes; in this space it has 5"),
        (FIVE, "zero", "not a genotype"),
        (FOUR, "0 | 3 0 | 0 1 0 | 6 0 0 1", "number 7 of code .* is '6'; layer3/operation takes 0 conv_3x3"),
        (FOUR, "0 | 3 2", "layer1/skip0 takes 0 or 1"),
        (FOUR, "0 | 3 ²", "number 3 of code .* is '²'; layer1/skip0 takes 0 or 1"),
        (FOUR, "0 | 3 " + "9" * 5000, "number 3 of code .* layer1/skip0 takes 0 or 1"),
        (FOUR, "0 | 3 0 | 0 1 0", "layer3/operation comes next"),
        (FOUR, FOUR_LAYERS + " 1", "behind number 10"),
    ],
)
def test_codes_outside_the_space_are_refused_by_place(space, code, said):
    with pytest.raises(CodeError, match=said):
        space.parse(code)


def test_open_tokens_need_the_supernet_and_have_no_code():
    for space in (FIVE, FOUR):
        with pytest.raises(CodeError, match="search=True"):
            space.decode(space.open())
        with pytest.raises(CodeError, match="close them"):
            space.format(space.supernet.open())
    half = (Open((0, 1)), *SMALL.random(stream(0, "half"))[1:])
    assert SMALL.decode(half).is_open


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"channels": 0}, {"nodes": 0}, {"outputs": 0}])
def test_impossible_micro_spaces_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ENASMicroSpace(**wrong)


@pytest.mark.parametrize("wrong", [{"layers": 2}, {"channels": 1}, {"outputs": 0}])
def test_impossible_macro_spaces_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        ENASMacroSpace(**wrong)


@pytest.mark.parametrize("kind", [ENASMicroSpace, ENASMacroSpace])
def test_tiny_images_are_refused(kind):
    with pytest.raises(UserError, match="at least 4 pixels"):
        kind(input_shape=(1, 3, 3))
