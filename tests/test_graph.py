import json
import random

import networkx
import pytest

from evonas.gates import Is, no
from evonas.genomes.genet import GeNetSpace
from evonas.graph import Draft, Edge, Graph, GraphError, Node
from evonas.operations import (
    OPERATIONS,
    AveragePool,
    BatchNorm,
    Convolution,
    Dropout,
    FirstChannels,
    Flatten,
    GlobalAveragePool,
    Identity,
    LastChannels,
    LearnedGroupConvolution,
    Linear,
    MaxPool,
    PadChannels,
    PadSize,
    ReLU,
    Resize,
    Scale,
    ShuffleChannels,
    SqueezeExcite,
    Zero,
    from_json,
    to_json,
)


def small() -> Draft:
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(8), BatchNorm(), ReLU())
    draft.node("left", ["stem"], Convolution(8, 5), BatchNorm())
    draft.node("right", ["stem"], MaxPool(3, 1, padding=1))
    draft.node("join", ["left", "right"], ReLU())
    draft.node("head", ["join"], GlobalAveragePool(), Linear(10))
    return draft


# ---- shapes and counts, by hand -----------------------------------------------------------------------------------


def test_shapes_are_inferred_as_a_graph_is_made():
    shapes = small().graph().shapes
    assert shapes["stem"] == shapes["left"] == shapes["right"] == shapes["join"] == (8, 8, 8)
    assert shapes["head"] == (10,)


def test_parameters_and_multiply_adds_are_counted_by_hand():
    graph = small().graph()
    assert graph.parameters == (3 * 8 * 9 + 16) + (8 * 8 * 25 + 16) + (8 * 10 + 10)
    assert graph.multiply_adds == 64 * 3 * 8 * 9 + 64 * 8 * 8 * 25 + 8 * 10


def test_strides_groups_and_bias_are_counted():
    conv = Convolution(16, 3, stride=2, groups=4, bias=True)
    assert conv.shape((8, 32, 32)) == (16, 16, 16)
    assert conv.parameters((8, 32, 32)) == 16 * 2 * 9 + 16
    assert conv.multiply_adds((8, 32, 32)) == 16 * 16 * 16 * 2 * 9
    assert Convolution(4, 3, dilation=2).shape((4, 9, 9)) == (4, 9, 9)
    assert Convolution(4, 3, padding=0).shape((4, 9, 9)) == (4, 7, 7)
    assert MaxPool(3, 2, padding=1).shape((4, 32, 32)) == (4, 16, 16)
    assert Zero(2).shape((4, 7, 7)) == (4, 4, 4)
    assert Flatten().shape((4, 2, 3)) == (24,)


def test_concatenation_adds_channels():
    draft = Draft((3, 4, 4))
    a, b = draft.node("a", ["input"], Convolution(5)), draft.node("b", ["input"], Convolution(7))
    draft.node("joined", [a, b], combine="concat")
    assert draft.graph().output_shape == (12, 4, 4)


def test_an_open_graph_counts_all_candidates():
    draft = Draft((3, 4, 4))
    a = draft.node("a", [("input", Is("op", "a"))], Convolution(5))
    b = draft.node("b", [("input", Is("op", "b"))], Convolution(5, 1))
    draft.node("out", [(a, Is("op", "a")), (b, Is("op", "b"))])
    graph = draft.graph()
    assert graph.is_open
    assert graph.parameters == 3 * 5 * 9 + 3 * 5


# ---- what cannot be -----------------------------------------------------------------------------------------------


def node(name, *inputs, ops=(), combine="sum"):
    return Node(name, tuple(map(Edge, inputs)), tuple(ops), combine)


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([node("a", "input"), node("a", "input")], "a: two nodes have this name"),
        ([node("a", "input"), node("a/b", "a")], "'a' is a node and cannot be a folder"),
        ([node("a/b", "input"), node("a", "a/b")], "'a' is a node and cannot be a folder"),
        ([node("input/x", "input")], "'input' is a node and cannot be a folder"),
        ([node("class", "input")], "Python keyword"),
        ([node("self", "input")], "'self' means something else in the code of a network"),
        ([node("a/route_gates", "input")], "'route_gates' means something else in the code of a network"),
        ([node("a b", "input")], "letters, digits"),
        ([node("", "input")], "letters, digits"),
        ([node("a", "b")], "its input 'b' is not an earlier node"),
        ([node("a")], "needs an input"),
        ([node("a", "input", ops=[Convolution(4)]), node("b", "a", "input")], "a 4x8x8, input 3x8x8"),
        ([node("a", "input", ops=[MaxPool()]), node("b", "a", "input", combine="concat")], "differ in size"),
        ([node("a", "input", combine="mean")], "use one of sum, concat, attention"),
        ([node("a", "input", ops=[Linear(3)])], "flatten or pool it first"),
        ([node("a", "input", ops=[Flatten(), Convolution(3)])], "takes an image"),
        ([node("a", "input", ops=[Convolution(3, 11, padding=0)])], "does not fit into 8x8"),
        ([node("a", "input", ops=[Convolution(4, groups=2)])], "do not divide into 2 groups"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(nodes, says):
    with pytest.raises(GraphError, match=says):
        Graph((3, 8, 8), tuple(nodes))


def test_a_gate_before_a_concatenation_is_refused():
    open_edge = Edge("input", Is("d", 1))
    with pytest.raises(GraphError, match="gates stand on sums"):
        Graph((3, 8, 8), (Node("a", (open_edge, Edge("input")), (), "concat"),))


def test_an_even_kernel_needs_a_stated_padding():
    with pytest.raises(ValueError, match="odd one such as 3 or 5"):
        Convolution(4, 4)


# ---- drafts -------------------------------------------------------------------------------------------------------


def test_a_closed_gate_leaves_its_candidate_unbuilt():
    draft = Draft((3, 8, 8))
    a = draft.node("a", [("input", 0)], Convolution(4))
    b = draft.node("b", [a, ("input", 1)], Convolution(4))
    c = draft.node("c", [(a, Is("d", 1))], Convolution(4))
    assert (a, b, c) == (None, "b", None)
    assert [n.name for n in draft.graph().nodes] == ["b"]


# ---- simplified ---------------------------------------------------------------------------------------------------


def test_simplified_drops_dead_nodes_identities_and_zeros():
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(8))
    draft.node("dead", ["stem"], Convolution(8))
    draft.node("skip", ["stem"], Identity())
    draft.node("none", ["stem"], Zero())
    draft.node("scaled", ["none"], Convolution(8))  # without bias, zeros stay zeros
    draft.node("sum", ["skip", "none", "scaled"])
    draft.node("out", ["sum"], ReLU())
    simple = draft.graph().simplified()
    assert [(n.name, [e.source for e in n.inputs]) for n in simple.nodes] == [("stem", ["input"]), ("out", ["stem"])]


def test_a_shift_that_is_learned_from_zeros_is_kept():
    draft = Draft((3, 8, 8))
    draft.node("none", ["input"], Zero())
    draft.node("shifted", ["none"], BatchNorm())
    draft.node("out", ["input", "shifted"], ReLU())
    assert [n.name for n in draft.graph().simplified().nodes] == ["none", "shifted", "out"]


def test_an_output_that_does_nothing_ends_at_what_it_repeats():
    draft = Draft((3, 8, 8))
    draft.node("a", ["input"], Convolution(8))
    draft.node("out", ["a"], Identity())
    simple = draft.graph().simplified()
    assert simple.output == "a"


def test_simplifying_twice_changes_nothing():
    simple = small().graph().simplified()
    assert simple.simplified() == simple


def test_open_gates_survive_simplification():
    draft = Draft((3, 8, 8))
    skip = draft.node("skip", ["input"], Identity())
    conv = draft.node("conv", ["input"], Convolution(3))
    draft.node("out", [(skip, Is("op", "skip")), (conv, no(Is("op", "skip")))], ReLU())
    simple = draft.graph().simplified()
    assert simple.nodes[-1].inputs == (Edge("input", Is("op", "skip")), Edge("conv", no(Is("op", "skip"))))


# ---- shared -------------------------------------------------------------------------------------------------------


def rows(graph):
    return [(n.name, [edge.source for edge in n.inputs], [op.name for op in n.operations]) for n in graph.nodes]


def test_what_nodes_begin_with_in_common_is_done_once():
    draft = Draft((4, 8, 8))
    a = draft.node("a", ["input"], ReLU(), Convolution(8), ReLU(), BatchNorm())
    b = draft.node("b", ["input"], ReLU(), Convolution(8, 5))
    draft.node("out", [a, b])
    shared = draft.graph().shared()
    assert rows(shared) == [
        ("a+relu", ["input"], ["relu"]),
        ("a", ["a+relu"], ["conv", "relu", "batch_norm"]),
        ("b", ["a+relu"], ["conv"]),
        ("out", ["a", "b"], []),
    ]
    assert shared.shared() == shared
    assert shared.parameters == draft.graph().parameters


def test_sharing_goes_on_behind_what_is_shared():
    draft = Draft((4, 8, 8))
    left, right = (draft.node(name, ["input"], FirstChannels(2)) for name in ("left", "right"))
    a = draft.node("a", [left], ReLU(), Convolution(4))
    b = draft.node("b", [right], ReLU(), MaxPool(3, 1, 1), Convolution(4))
    draft.node("out", [a, b])
    assert rows(draft.graph().shared()) == [
        ("left+first_channels", ["input"], ["first_channels"]),
        ("left", ["left+first_channels"], []),
        ("right", ["left+first_channels"], []),
        ("a+relu", ["left+first_channels"], ["relu"]),
        ("a", ["a+relu"], ["conv"]),
        ("b", ["a+relu"], ["max_pool", "conv"]),
        ("out", ["a", "b"], []),
    ]


def test_weights_chance_gates_and_other_settings_are_not_shared():
    draft = Draft((4, 8, 8))
    ends = []
    for nth in range(2):
        for kind in (Convolution(4), BatchNorm(affine=False), Dropout(), MaxPool(3, 1 + nth, 1)):
            ends.append(draft.node(f"{kind.name}{nth}", ["input"], kind, Resize(8, 8)))
        ends.append(draft.node(f"gated{nth}", [("input", Is("a", nth))], ReLU()))
    draft.node("out", ends)
    assert draft.graph().shared() == draft.graph()


def test_a_name_that_is_taken_is_not_given_to_what_is_shared():
    draft = Draft((4, 8, 8))
    a = draft.node("a+relu", ["input"], Convolution(4))
    draft.node("out", [a, draft.node("a", ["input"], ReLU()), draft.node("b", ["input"], ReLU())])
    assert [name for name, _, _ in rows(draft.graph().shared())] == ["a+relu", "a+relu+", "a", "b", "out"]


# ---- digest -------------------------------------------------------------------------------------------------------


def test_names_and_order_do_not_count():
    draft = Draft((3, 8, 8))
    draft.node("begin", ["input"], Convolution(8), BatchNorm(), ReLU())
    draft.node("pool", ["begin"], MaxPool(3, 1, padding=1))
    draft.node("conv", ["begin"], Convolution(8, 5), BatchNorm())
    draft.node("sum", ["pool", "conv"], ReLU())
    draft.node("end", ["sum"], GlobalAveragePool(), Linear(10))
    assert draft.graph().digest() == small().graph().digest()


def test_operations_input_shape_and_gates_count():
    def one(*ops, shape=(3, 8, 8), gate=1):
        draft = Draft(shape)
        a = draft.node("a", ["input"], Convolution(3))
        draft.node("b", ["input", (a, gate)], *ops)
        return draft.graph().digest()

    different = [one(), one(ReLU()), one(MaxPool()), one(MaxPool(3)), one(shape=(3, 9, 9)), one(gate=Is("d", 1)),
                 one(gate=Is("d", 2))]  # fmt: skip
    assert len(set(different)) == len(different)


def test_a_shared_node_is_not_taken_for_two_equal_ones():
    def twice(shared):
        draft = Draft((3, 8, 8))
        a = draft.node("a", ["input"], Convolution(3))
        b = a if shared else draft.node("b", ["input"], Convolution(3))
        c, d = draft.node("c", [a], Convolution(3, 5)), draft.node("d", [b], Convolution(3, 5))
        draft.node("out", [c, d])
        return draft.graph().digest()

    assert twice(True) != twice(False)


def as_networkx(graph):
    drawn = networkx.MultiDiGraph()
    drawn.add_node("input", op="input")
    for n in graph.nodes:
        drawn.add_node(n.name, op=str((n.combine, n.operations)))
        drawn.add_edges_from((edge.source, n.name) for edge in n.inputs)
    return drawn


def same(first, second):
    return networkx.is_isomorphic(first, second, node_match=lambda a, b: a["op"] == b["op"])


def test_digests_agree_with_networkx_on_all_pairs_of_four_nodes():
    space = GeNetSpace((4,), (4,), input_shape=(3, 8, 8))
    graphs = [space.decode(genome) for genome in space.genomes()]
    drawn = [as_networkx(graph) for graph in graphs]
    digests = [graph.digest() for graph in graphs]
    for i in range(len(graphs)):
        for j in range(i):
            assert (digests[i] == digests[j]) == same(drawn[i], drawn[j]), (i, j)


def random_dag(rng):
    draft, names = Draft((4, 8, 8)), ["input"]
    for nth in range(7):
        inputs = rng.sample(names, min(len(names), rng.randint(1, 3)))
        names.append(draft.node(f"n{nth}", inputs, Convolution(4, rng.choice((1, 3)))))
    draft.node("out", names[1:])
    return draft.graph()


def test_digests_agree_with_networkx_on_random_graphs():
    rng = random.Random(5)
    graphs = [random_dag(rng) for _ in range(120)]
    drawn = [as_networkx(graph) for graph in graphs]
    for i in range(len(graphs)):
        for j in range(i):
            assert (graphs[i].digest() == graphs[j].digest()) == same(drawn[i], drawn[j]), (i, j)


# ---- text and JSON ------------------------------------------------------------------------------------------------


def test_json_round_trip_of_open_and_closed_graphs():
    space = GeNetSpace()
    for genome in (space.open(), space.parse("1-01/1-01-100"), space.parse("0-00/0-00-000")):
        graph = space.decode(genome)
        assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph


@pytest.mark.parametrize("kind", OPERATIONS.values(), ids=OPERATIONS)
def test_every_operation_has_a_json_form(kind):
    operation = {
        Convolution: lambda: Convolution(8, 5, 2, groups=2),
        Linear: lambda: Linear(7),
        PadSize: lambda: PadSize(9, 9),
        SqueezeExcite: lambda: SqueezeExcite(2),
        LearnedGroupConvolution: lambda: LearnedGroupConvolution(8, 4, 4),
        FirstChannels: lambda: FirstChannels(3),
        LastChannels: lambda: LastChannels(3),
        ShuffleChannels: lambda: ShuffleChannels(4),
        PadChannels: lambda: PadChannels(5),
        Resize: lambda: Resize(3, 4),
        Scale: lambda: Scale(0.5),
    }.get(kind, kind)()
    assert from_json(json.loads(json.dumps(to_json(operation)))) == operation


def test_unknown_operations_and_fields_are_refused():
    with pytest.raises(ValueError, match="is no operation"):
        from_json({"kind": "convulsion"})
    with pytest.raises(ValueError, match="is no operation"):
        from_json({"kind": "relu", "slope": 0.1})


def test_text_shows_nodes_inputs_operations_shapes_and_counts():
    lines = str(small().graph()).splitlines()
    assert lines[1].split("  ")[0] == "stem"
    assert "left + right" in lines[4]
    assert "8x8x8" in lines[4]
    assert lines[-1] == f"{small().graph().parameters:,} parameters, {small().graph().multiply_adds:,} multiply-adds"
    assert "max_pool 3x3 stride 1" in str(small().graph())


def test_average_pool_and_dropout_print_their_numbers():
    assert str(AveragePool(3, 1, 1)) == "avg_pool 3x3 stride 1"
    assert str(Dropout(0.3)) == "dropout 0.3"
    assert str(Convolution(8, 3, 2, groups=2, bias=True)) == "conv 8 3x3 stride 2 2 groups bias"
