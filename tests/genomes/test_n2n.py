"""N2N's space: what remains of a network without some layers and with others made smaller."""

import json
from random import Random

import pytest
import torch

from evonas import contract
from evonas.errors import UserError
from evonas.genomes.leaves import fewer, smaller
from evonas.genomes.n2n import KEEP, N2NSpace
from evonas.genomes.residual import ResidualSpace
from evonas.genomes.start import GivenGraph, start_graph
from evonas.graph import INPUT, Draft, Graph, GraphError
from evonas.network import build, extract
from evonas.operations import BatchNorm, Convolution, Flatten, Linear, MaxPool, ReLU
from evonas.systems.registry import system


def plain(width=20):
    """Two convolutions with batch norm and ReLU, a pool, and two linear layers."""
    draft = Draft((1, 8, 8))
    draft.node("one", [INPUT], Convolution(width, 3), BatchNorm(), ReLU(), MaxPool())
    draft.node("two", ["one"], Convolution(2 * width, 3), BatchNorm(), ReLU())
    draft.node("end", ["two"], Flatten(), Linear(50), ReLU(), Linear(10))
    return draft.graph()


def space_of(graph):
    return N2NSpace(json.dumps(graph.to_json()), input_shape=graph.input_shape, outputs=graph.output_shape[0])


PLAIN = space_of(plain())
RESIDUAL = space_of(ResidualSpace(widths=(16, 32), blocks=1, input_shape=(1, 8, 8)).decode(()))


def genome(space, **answers):
    """All layers as they are, but for these answers."""
    made = ()
    while (decision := space.next(made)) is not None:
        made += (answers.get(decision.name, KEEP if decision.kind == "keep" else 1.0),)
    assert set(answers) <= {decision.name for decision in space.decisions(made)}
    return made


def test_to_remove_nothing_and_shrink_nothing_is_the_network_itself():
    for space in (PLAIN, RESIDUAL, N2NSpace(input_shape=(1, 8, 8))):
        child = space.decode(space.smaller(1.0))
        assert child == space.whole
        teacher, images = build(space.whole, seed=3).eval(), torch.randn(4, 1, 8, 8)
        assert torch.equal(extract(teacher, child)(images), teacher(images))


def test_by_what_counts_are_multiplied():
    assert [smaller(5, a) for a in (0.1, 0.5, 0.9, 1.0)] == [1, 2, 4, 5]
    assert [smaller(1, a, 0) for a in (0.1, 0.9, 1.0)] == [0, 0, 1]
    assert [fewer(64, a) for a in (0.1, 0.2, 0.5, 1.0)] == [10, 12, 32, 64]
    assert (fewer(4, 0.1), fewer(4, 1.0)) == (4, 4)  # never more than there were
    assert smaller((3, 5), 0.5) == (1, 2)
    assert fewer(70, 0.7) == 49  # which floats have as 48.99...


def test_layers_are_the_operations_and_the_last_one_stays():
    names = [leaf.name for leaf in PLAIN.plan.leaves]
    assert names[:4] == ["one/conv", "one/batch_norm", "one/relu", "one/max_pool"]
    assert [leaf.name for leaf in PLAIN.plan.leaves if not leaf.removable] == ["end/flatten", "end/linear_2"]
    asked = {decision.name for decision in PLAIN.every_decision}
    assert {"one/conv.kernel", "one/conv.channels", "one/conv.padding", "one/max_pool.stride"} <= asked
    assert {"end/linear.channels"} <= asked
    assert not {"one/conv.stride", "end/linear_2.channels", "one/max_pool.padding"} & asked  # nothing would change


def test_what_goes_is_gone_and_what_follows_takes_what_comes():
    child = PLAIN.decode(genome(PLAIN, **{"one/conv.keep": "-", "two/batch_norm.keep": "-", "one/max_pool.keep": "-"}))
    assert [str(op) for op in child.nodes[0].operations] == ["batch_norm", "relu"]
    assert [str(op) for op in child.nodes[1].operations] == ["conv 40 3x3", "relu"]
    assert child.shapes["two"] == (40, 8, 8)
    shrunk = PLAIN.decode(
        genome(PLAIN, **{"two/conv.kernel": 0.5, "two/conv.channels": 0.5, "end/linear.channels": 0.2})
    )
    assert str(shrunk.nodes[1].operations[0]) == "conv 20 1x1 padding 1"
    assert shrunk.shapes["two"] == (20, 6, 6)  # a smaller kernel with the padding of the larger
    assert [str(op) for op in shrunk.nodes[2].operations] == ["flatten", "linear 10", "relu", "linear 10"]


def test_the_width_of_a_blocks_last_convolution_is_its_shortcuts():
    child = RESIDUAL.decode(
        genome(RESIDUAL, **{"stage2/block1/residual/conv_2.channels": 0.5, "stem/conv.channels": 0.7})
    )
    widths = {name: child.shapes[name][0] for name in child.shapes}
    assert widths["stage2/block1/residual"] == widths["stage2/block1/shortcut"] == widths["stage2/block1/sum"] == 16
    assert widths["stem"] == widths["stage1/block1/residual"] == widths["stage1/block1/sum"] == 11
    asked = {decision.name for decision in RESIDUAL.every_decision}
    assert "stage2/block1/shortcut/conv.channels" not in asked
    assert "stage1/block1/residual/conv_2.channels" not in asked  # the stem decides
    without = RESIDUAL.decode(genome(RESIDUAL, **{"stage2/block1/residual/conv_2.keep": "-"}))
    assert without.shapes["stage2/block1/sum"] == (32, 4, 4)


def test_beside_a_shortcut_a_layer_keeps_the_size_that_it_gives():
    asked = {decision.name: decision.options for decision in RESIDUAL.every_decision}
    assert "stage2/block1/residual/conv.keep" not in asked  # it halves the picture
    assert "stage2/block1/residual/conv.stride" not in asked
    assert "stage1/block1/residual/conv.padding" not in asked
    assert asked["stage1/block1/residual/conv.kernel"] == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)  # 1 or 3, and not 2
    child = RESIDUAL.decode(genome(RESIDUAL, **{"stage1/block1/residual/conv.kernel": 0.4}))
    assert str(next(n for n in child.nodes if n.name == "stage1/block1/residual").operations[0]) == "conv 16 1x1"


def test_channels_that_are_concatenated_are_free_and_those_that_are_counted_are_not():
    draft = Draft((1, 8, 8))
    draft.node("a", [INPUT], Convolution(20))
    draft.node("b", [INPUT], Convolution(12))
    draft.node("joined", ["a", "b"], Convolution(30), combine="concat")
    draft.node("grouped", ["joined"], Convolution(30, groups=3))
    draft.node("depthwise", ["grouped"], Convolution(30, groups=30), Flatten(), Linear(10))
    space = space_of(draft.graph())
    asked = {decision.name for decision in space.every_decision if decision.kind == "channels"}
    assert asked == {"a/conv.channels", "b/conv.channels"}
    child = space.decode(genome(space, **{"a/conv.channels": 0.5, "b/conv.keep": "-"}))
    assert child.shapes["a"][0] == 10
    assert child.shapes["b"][0] == 1


@pytest.mark.parametrize("space", [PLAIN, RESIDUAL], ids=["plain", "residual"])
@pytest.mark.parametrize("how", ["by decision", "uniformly"])
def test_every_child_runs_or_is_flagged(space, how):
    rng, flagged = Random(0), 0
    for _ in range(150):
        drawn = space.complete({}, rng) if how == "by decision" else space.random(rng)
        try:
            child = space.decode(drawn)
        except GraphError:
            flagged += 1
            continue
        assert build(child.simplified(training=True))(torch.randn(2, *child.input_shape)).shape == (2, 10)
    assert flagged < 150
    assert space is PLAIN or not flagged  # sums are legal by construction


SOME = ("genet", "dpp-net", "mnasnet", "nasbench201", "enas-macro", "block-qnn", "fbnet", "nas-rl")


@pytest.mark.parametrize("name", SOME)
def test_networks_of_other_spaces_are_made_smaller_too(name):
    preset = next(iter(system(name).presets.values()))
    space = space_of(preset.space.decode(preset.space.random(Random(1))))
    rng, fitting = Random(0), 0
    assert space.decode(space.smaller(1.0)).digest() == space.whole.digest()
    for _ in range(12):
        try:
            child = space.decode(space.complete({}, rng))
        except GraphError:
            continue
        fitting += 1
        assert (
            build(child.simplified(training=True))(torch.randn(2, *child.input_shape)).shape[1:] == child.output_shape
        )
    assert fitting


def test_what_cannot_be_has_no_graph():
    draft = Draft((1, 8, 8))
    draft.node("one", [INPUT], Convolution(900, 1), MaxPool(), Flatten(), Linear(10))
    space = space_of(draft.graph())
    with pytest.raises(GraphError, match=r"its linear layer has 57,600 inputs, more than 50,000"):
        space.decode(genome(space, **{"one/max_pool.keep": "-"}))
    draft = Draft((1, 4, 4))
    draft.node("one", [INPUT], Convolution(12, 3), Convolution(12, 3), Convolution(12, 3), Flatten(), Linear(10))
    space = space_of(draft.graph())
    paddings = {f"one/{step}.padding": 0.1 for step in ("conv", "conv_2", "conv_3")}
    with pytest.raises(GraphError, match="does not fit"):
        space.decode(genome(space, **paddings))


def test_uniform_shrinking_is_a_genome():
    half = RESIDUAL.smaller(0.5)
    assert [RESIDUAL.decode(half).shapes[name][0] for name in ("stem", "stage2/block1/sum")] == [10, 16]
    assert RESIDUAL.decode(half).parameters < 0.4 * RESIDUAL.whole.parameters


def test_it_keeps_the_contract_of_a_space():
    for space in (PLAIN, RESIDUAL):
        contract.check(space, Random(0))
        assert space.count() > 1e6
        assert space.parse(space.format(space.smaller(0.3))) == space.smaller(0.3)


def test_policies_read_seven_numbers_of_a_layer():
    leaves = {leaf.name: leaf.numbers for leaf in RESIDUAL.plan.leaves}
    assert leaves["stem/conv"] == (1, 3, 1, 16, 1, 0, 0)
    assert leaves["stage2/block1/shortcut/conv"][:5] == (1, 1, 2, 32, 0)
    names = list(leaves)
    begin, end = leaves["stage2/block1/residual/conv"][5:]
    assert (names[begin - 1], names[end - 1]) == ("stage1/block1/sum/relu", "stage2/block1/sum/relu")


def test_a_start_is_a_graph_of_the_shapes_of_the_space():
    assert start_graph("", (1, 8, 8), 10) == N2NSpace(input_shape=(1, 8, 8)).whole
    assert GivenGraph.of(plain()).decode(()) == plain()
    assert Graph.from_json(json.loads(PLAIN.start)) == start_graph(PLAIN.start, (1, 8, 8), 10)
    for text, why in (("{", "start is no graph"), ("{}", "the graph"), (PLAIN.start, r"start maps \(1, 8, 8\)")):
        with pytest.raises(UserError, match=why):
            N2NSpace(text, input_shape=(1, 9, 9))
    with pytest.raises(UserError, match="use numbers above 0 and up to 1, with 1"):
        N2NSpace(multipliers=(0.5,))
