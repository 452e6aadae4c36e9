"""GeNet's encoding against the paper (Xie and Yuille 2017): section 3.1, figures 1 and 2."""

import re

import pytest

from evonas.errors import UserError
from evonas.genomes.genet import CIFAR10, DIGITS, MNIST, GeNetSpace
from evonas.network import build
from evonas.space import CodeError


def stage(nodes, **fields):
    return GeNetSpace((nodes,), (4,), first_kernel=5, input_shape=(3, 8, 8), **fields)


def drawn(code):
    """What a code of one stage means: edges, nodes fed by the input, nodes that feed the output, dropped nodes, and
    the number of convolutions."""
    nodes = code.count("-") + 2
    graph = stage(nodes).decode(stage(nodes).parse(code))
    sources = {node.name.removeprefix("stage1/"): [e.source.removeprefix("stage1/") for e in node.inputs]
               for node in graph.nodes}  # fmt: skip
    number = {f"node{j}": j for j in range(1, nodes + 1)}
    built = [name for name in sources if name in number]
    edges = {(number[s], number[t]) for t in built for s in sources[t] if s in number}
    fed_by_input = {number[t] for t in built if "input" in sources[t]}
    to_output = {number[s] for s in sources.get("output", [])}
    dropped = set(number.values()) - {number[t] for t in built}
    convolutions = sum(op.name == "conv" for node in graph.nodes for op in node.operations)
    return edges, fed_by_input, to_output, dropped, convolutions


ALL_SIX = {(1, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4)}


@pytest.mark.parametrize(
    ("code", "edges", "fed_by_input", "to_output", "dropped", "convolutions"),
    [
        ("1-01-100", {(1, 2), (2, 3), (1, 4)}, {1}, {3, 4}, set(), 6),
        ("1-00-111", {(1, 2), (1, 4), (2, 4), (3, 4)}, {1, 3}, {4}, set(), 6),  # figure 1, left
        ("0-10-000-0011", {(1, 3), (3, 5), (4, 5)}, {1, 4}, {5}, {2}, 6),  # figure 1, right
        ("1-01-001", {(1, 2), (2, 3), (3, 4)}, {1}, {4}, set(), 6),  # figure 2: VGG
        ("1-01-101", {(1, 2), (2, 3), (1, 4), (3, 4)}, {1}, {4}, set(), 6),  # ResNet
        ("1-11-111", ALL_SIX, {1}, {4}, set(), 6),  # DenseNet
        ("0-00-100", {(1, 4)}, {1}, {4}, {2, 3}, 4),
        ("0-00-000", set(), set(), set(), {1, 2, 3, 4}, 1),
    ],
)
def test_decode_gives_the_graphs_of_the_paper(code, edges, fed_by_input, to_output, dropped, convolutions):
    assert drawn(code) == (edges, fed_by_input, to_output, dropped, convolutions)


@pytest.mark.parametrize(
    ("stages", "bits"), [((3,), 3), ((4,), 6), ((5,), 10), ((1,), 0), ((3, 5), 13), ((3, 4, 5), 19)]
)
def test_length_is_the_number_of_pairs_in_each_stage(stages, bits):
    space = GeNetSpace(stages, (4,) * len(stages))
    assert len(space.names) == sum(space.lengths) == bits
    assert space.count() == 2**bits


@pytest.mark.parametrize(("nodes", "codes", "graphs"), [(3, 8, 6), (4, 64, 31), (5, 1024, 302)])
def test_distinct_graphs_after_dropping_isolated_nodes(nodes, codes, graphs):
    digests = [stage(nodes).decode(genome).digest() for genome in stage(nodes).genomes()]
    assert (len(digests), len(set(digests))) == (codes, graphs)


def test_two_codes_of_one_graph_build_equal_networks():
    space = stage(3)
    chain, same = (space.decode(space.parse(code)) for code in ("1-00", "0-01"))
    assert chain.digest() == same.digest()
    assert chain.parameters == same.parameters == sum(p.numel() for p in build(same).parameters())


def test_a_stage_with_more_nodes_contains_every_structure_of_a_smaller_one():
    small = {stage(3).decode(genome).digest() for genome in stage(3).genomes()}
    large = {stage(4).decode(genome).digest() for genome in stage(4).genomes()}
    assert small < large


def test_every_convolution_is_followed_by_batch_norm_and_relu_and_stages_end_in_pooling():
    graph = CIFAR10.decode(CIFAR10.parse("1-01 | 0-01-100 | 0-11-101-0001"))  # table 2, the winner of generation 50
    for node in graph.nodes:
        if node.name.endswith("pool"):
            assert [op.name for op in node.operations] == ["max_pool"]
        elif node.name != "classifier":
            assert [op.name for op in node.operations] == ["conv", "batch_norm", "relu"]
    assert [graph.shapes[f"stage{s}/pool"] for s in (1, 2, 3)] == [(8, 16, 16), (16, 8, 8), (32, 4, 4)]
    kernels = {node.name: node.operations[0].kernel for node in graph.nodes if node.operations[0].name == "conv"}
    assert {name for name, kernel in kernels.items() if kernel == 5} == {f"stage{s}/input" for s in (1, 2, 3)}


def test_the_winner_of_the_paper_has_its_depth():
    graph = CIFAR10.decode(CIFAR10.parse("1-01 | 0-01-100 | 0-11-101-0001"))
    depth = {"input": 0}
    for node in graph.nodes:
        weighted = sum(op.name in ("conv", "linear") for op in node.operations)
        depth[node.name] = max(depth[edge.source] for edge in node.inputs) + weighted
    assert depth["classifier"] == 17  # 15 convolutions and 2 dense layers, as the paper says


def test_presets_are_the_settings_of_the_paper():
    assert (MNIST.stages, MNIST.filters, MNIST.dense, MNIST.dropout) == ((3, 5), (20, 50), 500, 0.5)
    assert (CIFAR10.stages, CIFAR10.filters, CIFAR10.dense) == ((3, 4, 5), (8, 16, 32), 128)
    names = [str(op) for op in CIFAR10.decode((0,) * 19).nodes[-1].operations]
    assert names == ["flatten", "linear 128", "relu", "dropout 0.5", "linear 10"]


def test_code_round_trip():
    for code in ("1-01/1-01-100", "0-00/0-00-000", "1-11/1-11-111"):
        assert DIGITS.format(DIGITS.parse(code)) == code
    lone = GeNetSpace((1, 3), (4, 4))
    assert lone.format(lone.parse("/1-01")) == "/1-01"
    assert GeNetSpace((1,), (4,)).parse("") == ()


def test_a_stage_of_one_node_is_always_one_convolution():
    graph = stage(1).decode(())
    assert [node.name for node in graph.nodes] == ["stage1/input", "stage1/pool", "classifier"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1-01", "has 1 stages, not 2; a code for stages=3,4 looks like 0-00/0-00-000"),
        ("1-01/1-01-10", "stage 2 of code .* is '1-01-10', which is not a stage of 4 nodes"),
        ("1-01/1-01-1000", "not a stage of 4 nodes"),
        ("101/101100", "not a stage of 3 nodes"),
        ("1-0a/1-01-100", "has 'a' in stage 1; use 0, 1 and -"),
        ("1-02/1-01-100", "has '2' in stage 1"),
        ("", "has 1 stages, not 2"),
        ("1-01/", "not a stage of 4 nodes"),
    ],
)
def test_a_code_of_another_space_is_refused(code, says):
    with pytest.raises(CodeError, match=says):
        DIGITS.parse(code)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"stages": (3, 0), "filters": (4, 4)}, "give each stage at least 1 node"),
        ({"stages": (), "filters": ()}, "give each stage at least 1 node"),
        ({"stages": (3, 4), "filters": (4,)}, "one width of at least 1 for each stage"),
        ({"stages": (3,), "filters": (0,)}, "one width of at least 1 for each stage"),
        ({"kernel": 4}, "use odd ones"),
        ({"pool": 5}, "use 2, or 3"),
        ({"input_shape": (1, 3, 3)}, "too small to be halved by the pooling of 2 stages"),
        ({"outputs": 0}, "outputs must be at least 1"),
        ({"dropout": 1.0}, "below 1"),
    ],
)
def test_a_space_that_cannot_be_is_refused(fields, says):
    with pytest.raises(UserError, match=re.escape(says)):
        GeNetSpace(**fields)
