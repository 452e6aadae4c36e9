"""Cells of Path-level EAS: trees that grow by legal decisions, and begin with what the start network has learnt."""

import json
from dataclasses import replace
from random import Random

import pytest
import torch
from morphing import TOLERANCE, deviation, images, outputs, settled

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation.candidate import Candidate, Origin
from evonas.evaluation.training import Training
from evonas.genomes.path_level import PathLevelSpace
from evonas.genomes.residual import ResidualSpace
from evonas.genomes.start import start_graph
from evonas.genomes.trees import Branch, Tree
from evonas.morphisms.paths import EDGES
from evonas.morphisms.weights import inherited
from evonas.network import build
from evonas.recipe import DIGITS_RECIPE
from evonas.space import CodeError
from evonas.support.streams import stream
from evonas.systems.path_level import PATH_LEVEL_EAS
from evonas.tasks.classification import ImageClassification
from evonas.training.imitation import imitate
from evonas.training.train import evaluate
from evonas.training.weights import grow, inherit

CHAIN = PathLevelSpace("conv8-pool-conv8-fc16", input_shape=(1, 8, 8))
RESIDUAL = PathLevelSpace(
    json.dumps(ResidualSpace(widths=(8, 16), blocks=1, input_shape=(3, 8, 8)).decode(()).to_json()),
    input_shape=(3, 8, 8),
)
DENSE = PathLevelSpace("dense2x8g4", input_shape=(3, 8, 8))
CONVOLUTIONS = ("sep3", "sep5", "sep7", "conv1", "identity")


def grown(space, genome, network, begun=None):
    """The network of a genome, grown from one whose genome is `begun`, or from the start."""
    begun = space.start_genome() if begun is None else begun
    heritage = space.heritage(begun, genome, stream(0))
    made, batch = (lambda graph: build(graph, seed=4).double()), images(heritage.rewrites[-1].graph, seed=9)
    weights, _ = inherited(heritage, network.state_dict(), made, batch, torch.Generator().manual_seed(0))
    child = made(space.decode(genome).simplified(training=True)).eval()
    child.load_state_dict({name: weights[name] for name in child.state_dict()})
    return child


def start_of(space):
    graph = space.decode(space.start_genome())
    return graph, settled(build(graph, seed=1))


# ---- decisions ------------------------------------------------------------------------------------------------------


def test_a_cell_is_asked_for_depth_first():
    asked, genome = [], ()
    answers = iter(["add", "2", "yes", "none", "sep3", "no", "no"])
    while (decision := CHAIN.next(genome)) is not None:
        asked.append((decision.name, decision.options))
        genome += (next(answers),)
    assert asked == [
        ("merge", ("none", "add", "concat")), ("branches", ("2", "3")), ("insert+1", ("no", "yes")),
        ("merge+1+then", ("none", "add", "concat")), ("edge+1+then", EDGES), ("insert+1+then", ("no", "yes")),
        ("insert+2", ("no", "yes")),
    ]  # fmt: skip
    assert CHAIN.format(genome) == "add(layer,layer:sep3)"


def test_where_branches_are_all_that_has_grown_a_node_is_inserted():
    assert CHAIN.next(("add", "2", "no")).options == ("yes",)
    assert CHAIN.next(("add", "2", "yes", "none", "sep3", "no")).options == ("no", "yes")
    assert CHAIN.next(("none",)).options == ("no", "yes")  # none, no: the start


@pytest.mark.parametrize("space", [CHAIN, replace(CHAIN, depth=2)])
def test_random_cells_keep_to_the_depth_and_to_the_numbers_of_branches(space):
    rng, heights, counts = Random(0), set(), set()
    for _ in range(300):
        genome = space.random(rng)
        root = space.flow(genome).root
        heights.add(max(branch.depth for branch in root.edges()))
        counts |= {(node.merge, len(node.branches)) for node in (root, *(b.node for b in root.edges())) if node}
        assert all((branch.edge == "layer") == (branch.depth == 1) for branch in root.edges())
        edges = [answer for name, answer in space.answers(genome).items() if name.startswith("edge")]
        assert len(edges) == sum(branch.depth > 1 for branch in root.edges())  # each is asked, and once
        assert max(b.depth for b in root.edges()) > 1 or genome == space.start_genome()
    assert heights == set(range(1, space.depth + 1))
    assert counts == {("none", 1), ("add", 2), ("add", 3), ("concat", 2)}


def test_all_cells_can_be_counted():
    """With depth 2 and identity edges alone there are 4 nodes below a branch: none, add of 2 or 3, concat; so a branch
    has 5 futures. One branch: 5. Two: 25 - 1, for add and concat. Three: 125 - 1."""
    assert replace(CHAIN, depth=2, edges=("identity",)).count() == 5 + 2 * 24 + 124


def test_equal_trees_have_equal_texts_and_these_are_read_back():
    one, other = CHAIN.parse("add(layer:sep3,layer)"), CHAIN.parse("add(layer,layer:sep3)")
    assert one != other
    assert CHAIN.format(one) == CHAIN.format(other)
    assert CHAIN.decode(one).digest() == CHAIN.decode(other).digest()
    rng = Random(3)
    for _ in range(100):
        code = CHAIN.format(CHAIN.random(rng))
        assert CHAIN.format(CHAIN.parse(code)) == code
    assert CHAIN.format(CHAIN.parse("concat(layer:sep3,layer)")) == "concat(layer:sep3,layer)"  # its order counts
    assert str(Tree([Branch("layer", "")])) == "layer"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "begins with no edge"),
        ("sep3", "this is the place of layer"),
        ("add(layer:sep3,layer", "where a branch ends"),
        ("add(layer,layer)", "takes one of yes"),
        ("add(layer:sep3)", "takes one of 2, 3"),
        ("concat(layer:sep3,layer,layer)", "it has two"),
        ("layer:sep3:sep3:sep3", "deeper than 3"),
        ("layer:layer", "this is the place of sep3"),
        ("layer:sep3)", "left over"),
    ],
)
def test_a_text_that_is_no_cell_is_refused_with_the_reason(code, words):
    with pytest.raises(CodeError, match=words):
        CHAIN.parse(code)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": "conv8-fc16"}, "no 3x3 convolution behind its first"),
        ({"start": "conv8-conv4"}, "too few for 3 concatenations"),
        ({"start": "dense1x9g3"}, "3 groups"),
        ({"start": "dense1x8g3"}, "the groups divide"),
        ({"depth": 1}, "use 2 to 4"),
        ({"edges": ("conv9",)}, "no edge"),
    ],
)
def test_a_space_without_meaning_is_refused(fields, words):
    with pytest.raises(UserError, match=words):
        replace(CHAIN, **fields)


# ---- networks -------------------------------------------------------------------------------------------------------


def test_the_cell_stands_in_place_of_every_3x3_convolution_but_the_first():
    assert [(each.name, each.order, each.width) for each in RESIDUAL.layers] == [
        ("stage1/block1/residual-1", "post", 8), ("stage1/block1/residual", "linear", 8),
        ("stage2/block1/residual-1", "post", 16), ("stage2/block1/residual", "linear", 16),
    ]  # fmt: skip
    assert [(each.order, each.groups) for each in DENSE.layers] == [("pre", 4)] * 6
    graph = RESIDUAL.decode(RESIDUAL.parse("add(layer,layer:sep5)"))
    assert [str(each) for node in graph.nodes if node.name == "stage2/block1/residual-1+2+then"
            for each in node.operations] == ["conv 16 5x5 16 groups", "conv 16 1x1", "batch_norm", "relu"]  # fmt: skip
    start = ResidualSpace(widths=(8, 16), blocks=1, input_shape=(3, 8, 8)).decode(())
    assert RESIDUAL.decode(RESIDUAL.start_genome()).parameters == start.parameters


def test_a_search_can_begin_with_a_trained_network_whose_nodes_are_those_of_the_start():
    assert CHAIN.unchanged == CHAIN.start_genome()
    assert RESIDUAL.unchanged is None


def test_the_dense_start_of_the_paper_has_16_layers():
    """L = 6N + 4: the stem, 3 blocks of N layers with two convolutions, two transitions, the classifier."""
    graph = start_graph("dense2x48g4", (3, 32, 32), 10)
    layers = [op for node in graph.nodes for op in node.operations if op.name in ("conv", "linear")]
    assert len(layers) == 6 * 2 + 4
    assert graph.shapes["block1/layer1"] == (48, 32, 32)
    assert graph.shapes["transition1"] == ((96 + 2 * 48) // 2, 16, 16)


@pytest.mark.parametrize("space", [CHAIN, RESIDUAL], ids=["chain", "residual"])
def test_cells_without_pooling_compute_what_the_start_does(space):
    graph, network = start_of(space)
    before, rng, space = outputs(network, graph), Random(4), replace(space, edges=CONVOLUTIONS)
    for code in ("add(layer,layer:sep3)", "concat(layer,layer:concat(sep3,identity:add(conv1,identity,sep7)))"):
        child = grown(space, space.parse(code), network)
        assert deviation(outputs(child, graph), before) < TOLERANCE, code
    for _ in range(6):
        genome = space.random(rng)
        assert space.inexact(genome) == ()
        if genome != space.start_genome():
            assert deviation(outputs(grown(space, genome, network), graph), before) < TOLERANCE, space.format(genome)


def test_branches_and_inserted_nodes_of_a_dense_net_are_exact_and_convolutions_before_which_a_relu_stands_are_not():
    graph, network = start_of(DENSE)
    before = outputs(network, graph)
    exact = DENSE.parse("concat(layer:concat(identity,identity),layer:add(identity:identity,identity))")
    assert DENSE.inexact(exact) == ()
    assert deviation(outputs(grown(DENSE, exact, network), graph), before) < TOLERANCE
    cut = DENSE.parse("layer:sep3")
    assert DENSE.inexact(cut) == tuple(f"replace:{layer.name}+then.identity:sep3-pre" for layer in DENSE.layers)
    assert deviation(outputs(grown(DENSE, cut, network), graph), before) > 1e-3


def test_pooling_is_said_to_be_approximate_and_is():
    genome = CHAIN.parse("add(layer,layer:max3)")
    assert CHAIN.inexact(genome) == ("replace:conv3+2+then.identity:max3",)
    graph, network = start_of(CHAIN)
    assert deviation(outputs(grown(CHAIN, genome, network), graph), outputs(network, graph)) > 1e-3


def test_a_cell_that_has_grown_from_another_one_goes_on_from_it():
    parent, child = (
        CHAIN.parse("add(layer,layer:sep3)"),
        CHAIN.parse("add(layer:conv1,layer:sep3:concat(sep5,identity))"),
    )
    graph, network = start_of(CHAIN)
    middle = settled(grown(CHAIN, parent, network))
    assert deviation(outputs(grown(CHAIN, child, middle, parent), graph), outputs(middle, graph)) < TOLERANCE
    assert CHAIN.heritage(child, parent, stream(0)) is None
    assert CHAIN.heritage(CHAIN.parse("layer:sep3"), parent, stream(0)) is None


def test_the_same_decisions_give_the_same_tree_and_the_same_weights():
    genome, (_, network) = CHAIN.random(Random(8)), start_of(CHAIN)
    space = replace(CHAIN, noise=6e-3)
    one, other = (grown(space, genome, network).state_dict() for _ in range(2))
    assert str(space.flow(genome).root) == str(space.flow(list(genome)).root)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_branches_that_begin_with_the_same_pooling_share_it():
    genome, (graph, network) = CHAIN.parse("layer:add(max3,max3:sep3)"), start_of(CHAIN)
    assert outputs(grown(CHAIN, genome, network), graph).isfinite().all()


def test_noise_of_a_kernel_with_a_single_weight_is_none():
    genome, (_, network) = (
        CHAIN.parse("concat(layer:concat(identity:concat(conv1,identity),identity),layer)"),
        start_of(CHAIN),
    )
    child = grown(replace(CHAIN, noise=6e-3), genome, network)
    assert child.get_submodule("conv3+1+then+1+then+1").conv.weight.tolist() == [[[[1.0]]]]


def test_noise_makes_copies_of_a_whole_layer_differ():
    genome, (_, network) = CHAIN.parse("add(layer,layer:sep3)"), start_of(CHAIN)
    for noise, same in ((0, True), (6e-3, False)):
        child = grown(replace(CHAIN, noise=noise), genome, network)
        weights = [child.get_submodule(f"conv3+{number}").conv.weight for number in (1, 2)]
        assert torch.equal(*weights) == same
        assert torch.equal(weights[0], network.conv3.conv.weight)  # the first is the one that was there
        assert torch.allclose(*weights, atol=0.05)


# ---- imitation ------------------------------------------------------------------------------------------------------


def test_what_is_not_exact_is_repaired_before_its_training():
    space, start = replace(CHAIN, imitation=30), CHAIN.start_genome()

    def epochs(parent, child):
        return space.heritage(space.parse(parent), space.parse(child), stream(0)).imitation

    assert epochs("layer", "layer:max3") == 30
    assert epochs("layer", "layer:sep3") == 0
    assert epochs("layer:max3", "layer:max3") == 0
    assert CHAIN.heritage(start, CHAIN.parse("layer:max3"), stream(0)).imitation == 0


@pytest.mark.slow
def test_a_cell_with_pooling_that_imitates_the_start_is_about_as_good_before_it_is_trained():
    """The squared error of logits falls to a tenth, and the accuracy is within a point, on held-out pictures."""
    data = ImageClassification(Source("digits")).identified()
    splits, space = data.splits("cpu"), PATH_LEVEL_EAS.presets["digits"].space
    start, cell = space.start_genome(), space.parse("add(layer,layer:max3)")
    trained = Training(data, PATH_LEVEL_EAS.presets["digits"].search, seed=0)(Candidate(start, space, keeps=True), 0)
    parent, child = (build(space.decode(each).simplified(training=True), seed=3) for each in (start, cell))
    inherit(parent, trained.weights)
    batch = next(splits.train[:64].batches())[0]
    grow(child, trained.weights, space.heritage(start, cell, stream(0)), build, batch, 0)

    @torch.no_grad()
    def error():
        inputs = next(splits.validation.batches())[0]
        return torch.nn.functional.mse_loss(child.eval()(inputs), parent.eval()(inputs)).item()

    before = error()
    imitate(child, parent, splits.train, 30, seed=1)
    assert error() < before / 10
    accuracies = [evaluate(network, splits.validation)["accuracy"] for network in (parent, child)]
    assert accuracies[0] > 0.9
    assert accuracies[1] > accuracies[0] - 0.01


def test_an_evaluation_imitates_first():
    data = ImageClassification(Source("digits")).identified()
    train = Training(data, DIGITS_RECIPE.lasting(1), seed=0)
    space, start = replace(CHAIN, first_epochs=8), CHAIN.start_genome()
    parent = train(Candidate(start, space, keeps=True), 0)
    origin, cell = Origin("a", parent.weights, 0, start, 8), space.parse("add(layer:max3,layer:avg3)")
    plain = train(Candidate(cell, space, keeps=True, origin=origin), 0)
    repaired = train(Candidate(cell, replace(space, imitation=10), keeps=True, origin=origin), 0)
    assert repaired.curve[0] > plain.curve[0] + 0.1
    assert repaired.lineage == plain.lineage


def test_an_imitation_ends_where_its_evaluation_has_no_more_time():
    data = ImageClassification(Source("digits")).identified()
    train = Training(data, DIGITS_RECIPE.lasting(1), seed=0)
    space, start = replace(CHAIN, first_epochs=1), CHAIN.start_genome()
    parent = train(Candidate(start, space, keeps=True), 0)
    cell = Candidate(space.parse("add(layer:max3,layer:avg3)"), replace(space, imitation=100_000),
                     origin=Origin("a", parent.weights, 0, start, 1))  # fmt: skip
    cut = replace(train, timeout_s=2.0)(cell, 0)
    assert cut.reason.startswith("time")
    assert cut.seconds < 60
