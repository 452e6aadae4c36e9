"""Networks as rows of edits: what is offered can be made, and a child begins with what its parent had learnt."""

import json
from dataclasses import replace
from random import Random

import pytest
import torch

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation.candidate import Candidate, Origin
from evonas.evaluation.training import Training
from evonas.genomes.edits import EditSpace
from evonas.genomes.residual import ResidualSpace
from evonas.network import build
from evonas.operators.edits import toolbox
from evonas.recipe import DIGITS_RECIPE
from evonas.space import CodeError
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification
from evonas.training.train import evaluate
from evonas.training.weights import grow, inherit, saved

CHAIN = EditSpace("conv4-pool-conv6-fc8", 6, kinds=("widen", "deepen", "add", "concat"), input_shape=(1, 8, 8))


def test_the_network_without_edits_is_the_start():
    assert CHAIN.parse("start") == ("stop",)
    assert CHAIN.format(("stop",)) == "start"
    graph = CHAIN.decode(("stop",))
    assert [node.name for node in graph.nodes] == ["conv1", "pool2", "conv3", "fc4", "classifier"]
    assert graph.shapes["conv3"] == (6, 4, 4)
    assert graph.parameters == (9 * 4 + 8) + (4 * 6 * 9 + 12) + (96 * 8 + 8) + 90


def test_an_edit_is_a_kind_a_place_and_a_value_and_later_ones_see_those_before():
    first = CHAIN.next(())
    assert first.options == ("widen", "deepen", "add", "concat", "stop")
    assert CHAIN.next(("add",)).options == ("conv3",)  # what the first convolution gives, pooled by a skip of its own
    assert CHAIN.next(("add", "conv3")).options == ("conv1",)
    assert CHAIN.next(("widen",)).options == ("conv1.conv", "conv3.conv", "fc4.linear")
    assert CHAIN.next(("widen", "conv1.conv")).options == ("8",)
    begun = ("deepen", "conv1.relu", "3")
    assert "conv1.conv_2" in CHAIN.next((*begun, "widen")).options
    assert CHAIN.decode((*begun, "widen", "conv1.conv_2", "8", "stop")).shapes["conv1"] == (8, 8, 8)


def test_after_as_many_edits_as_there_may_be_the_genome_is_complete():
    space = EditSpace("conv4-fc8", 1, input_shape=(1, 8, 8))
    assert space.next(("widen", "conv1.conv", "8")) is None
    assert space.decode(("widen", "conv1.conv", "8")).shapes["conv1"] == (8, 8, 8)
    with pytest.raises(CodeError, match="complete after 3"):
        space.decode(("widen", "conv1.conv", "8", "stop"))


def test_widths_of_a_list_are_taken_one_after_the_other():
    space = EditSpace("conv4-fc8", 3, kinds=("widen",), widths=(4, 8, 12), input_shape=(1, 8, 8))
    assert space.next(("widen", "conv1.conv")).options == ("8",)
    begun = ("widen", "conv1.conv", "8")
    assert space.next((*begun, "widen", "conv1.conv")).options == ("12",)
    assert space.next((*begun, "widen", "conv1.conv", "12", "widen")).options == ("fc2.linear",)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "empty"),
        ("widen:conv1.conv", "KIND:PLACE:VALUE"),
        ("widen:conv1.conv:7", "takes one of 8"),
        ("widen:conv9.conv:8", "takes one of conv1.conv"),
        ("shrink:conv1.conv:8", "takes one of widen"),
        ("start widen:conv1.conv:8", "KIND:PLACE:VALUE"),
    ],
)
def test_codes_of_edits_that_cannot_be_made_say_what_can(code, words):
    with pytest.raises(CodeError, match=words):
        CHAIN.parse(code)


@pytest.mark.parametrize("start", ["conv", "conv16x4x", "pool4", "conv8 pool", "mean-conv3", "fc0", "{}", "{"])
def test_a_start_that_is_no_network_is_refused(start):
    with pytest.raises(UserError):
        EditSpace(start, input_shape=(1, 8, 8))


def test_any_graph_can_be_the_start():
    graph = ResidualSpace(widths=(4, 6), blocks=1, input_shape=(1, 8, 8)).decode(())
    space = EditSpace(json.dumps(graph.to_json()), 2, input_shape=(1, 8, 8))
    assert space.decode(space.parse("start")).digest() == graph.digest()
    with pytest.raises(UserError, match="give a graph of these shapes"):
        EditSpace(space.start, input_shape=(3, 8, 8))


def test_random_genomes_have_from_no_to_all_edits_each_kind_as_often_where_it_is_possible():
    rng = Random(0)
    genomes = [CHAIN.random(rng) for _ in range(300)]
    assert {len(CHAIN.texts(genome)) for genome in genomes} == set(range(7))
    first = [genome[0] for genome in genomes if genome[0] != "stop"]
    assert {kind: first.count(kind) > 40 for kind in CHAIN.kinds} == dict.fromkeys(CHAIN.kinds, True)


def test_a_child_is_its_parent_and_some_edits_more():
    box = toolbox(CHAIN, rng=stream(0), mutations=2)
    parent = box.individual()
    assert CHAIN.format(parent) == "start"
    for generation in range(1, 4):
        (child,) = box.mutate(box.clone(parent))
        assert CHAIN.texts(child)[: 2 * generation - 2] == CHAIN.texts(parent)
        assert len(CHAIN.texts(child)) == 2 * generation
        parent = child
    (last,) = box.mutate(box.clone(parent))  # there may be no more
    assert last == parent


def test_deeper_wider_and_skips_are_equally_frequent():
    box = toolbox(CHAIN, rng=stream(1))
    kinds = [box.mutate(box.individual())[0][0] for _ in range(600)]
    for group in (("deepen",), ("widen",), ("add", "concat")):
        assert 150 < sum(kinds.count(kind) for kind in group) < 250


# ---- weights --------------------------------------------------------------------------------------------------------


def task():
    return ImageClassification(Source("digits")).identified()


def test_a_child_begins_with_exactly_the_accuracy_of_its_parent():
    """Net2Net: at epoch 0 the student's accuracy is the teacher's."""
    data = task()
    splits = data.splits("cpu")
    space, rng = EditSpace("conv8-pool-conv8-fc16", 8, input_shape=(1, 8, 8)), stream(3)
    outcome = Training(data, DIGITS_RECIPE, seed=0)(
        Candidate(space.parse("start"), space, keeps=True, origin=Origin()), 0
    )
    parent = build(space.decode(space.parse("start")))
    assert inherit(parent, outcome.weights)[0] == len(parent.state_dict())
    taught = evaluate(parent, splits.validation)
    assert taught["accuracy"] > 0.6
    begun = ()
    for _ in range(8):
        begun = space.longer(begun, rng)
    child = space.stopped(begun)
    heritage = space.heritage(space.parse("start"), child, rng)
    network = build(space.decode(child).simplified(training=True), seed=5)
    batch = next(splits.train[:64].batches())[0]
    copied, tensors = grow(network, outcome.weights, heritage, build, batch, 0)
    assert evaluate(network, splits.validation)["accuracy"] == taught["accuracy"]
    assert copied <= tensors == len(network.state_dict())


def test_an_evaluation_trains_what_it_inherits_on_and_says_how_much_that_was():
    data, recipe = task(), DIGITS_RECIPE.lasting(1)
    space = EditSpace("conv8-pool-conv8-fc16", 2, input_shape=(1, 8, 8))
    train = Training(data, recipe, seed=0)
    start = space.parse("start")
    parent = train(Candidate(start, space, keeps=True), 0)
    origin = Origin("a", parent.weights, 0, start, 1)
    child = space.parse("widen:conv1.conv:16 deepen:conv3.relu:3")
    grown = train(Candidate(child, space, keeps=True, origin=origin), 0)
    drawn = train(Candidate(child, space, keeps=True), 0)
    assert grown.curve[0] > drawn.curve[0] + 0.1
    assert (grown.lineage["from"], grown.lineage["epochs"]) == (0, 2)
    assert grown.lineage["tensors"] - grown.lineage["copied"] == 6  # an inserted convolution and its norm
    assert train.identity(Candidate(child, space, keeps=True, origin=origin)) != train.identity(
        Candidate(space.parse("deepen:conv3.relu:3 widen:conv1.conv:16"), space, keeps=True, origin=origin)
    )
    again = train(Candidate(child, space, keeps=True, origin=origin), 0)
    assert again.weights == grown.weights


def test_a_genome_without_an_edit_of_its_parent_takes_what_agrees_by_name_and_shape():
    assert CHAIN.heritage(CHAIN.parse("widen:conv1.conv:8"), CHAIN.parse("deepen:conv1.relu:3"), stream(0)) is None
    whole = CHAIN.heritage(CHAIN.parse("start"), CHAIN.parse("start"), stream(0))
    assert (whole.rewrites, whole.names) == ((), ())


def test_noise_makes_a_child_differ_a_little():
    graph = CHAIN.decode(CHAIN.parse("start"))
    weights, batch = saved(build(graph, seed=1)), torch.randn(64, 1, 8, 8)
    child = CHAIN.parse("widen:conv1.conv:8 deepen:conv3.relu:3")

    def outputs(space):
        network = build(space.decode(child), seed=2)
        grow(network, weights, space.heritage(CHAIN.parse("start"), child, stream(0)), build, batch, 0)
        with torch.no_grad():
            return network.eval()(batch)

    exact, noisy = outputs(CHAIN), outputs(replace(CHAIN, noise=0.01))
    assert 0 < (exact - noisy).abs().max() < 0.1 * exact.abs().max()
