"""What every morphism promises: a network computes what it did, whatever its space, weights and statistics."""

from copy import deepcopy

import pytest
import torch
from morphing import TOLERANCE, deviation, images, outputs, settled
from small_spaces import SMALL

from evonas.errors import UserError
from evonas.graph import INPUT, Draft
from evonas.morphisms import EXACT, KINDS, MorphismError, offers, parsed
from evonas.morphisms.branches import Branches
from evonas.morphisms.morphism import width_of
from evonas.morphisms.skips import Skip
from evonas.morphisms.weights import calibrate, carry_over
from evonas.network import build
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Flatten,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    ReLU,
    SqueezeExcite,
)
from evonas.support.streams import stream
from evonas.systems.own import imported
from evonas.systems.registry import SPACES

LENGTH = 10


def morphed(parent, graph, text, rng, **options):
    """The child's graph and network; it was built anew from the graph as a file would keep it."""
    rewrite = parsed(text).apply(graph, rng)
    child = build(type(graph).from_json(rewrite.graph.to_json()), seed=3).double().eval()
    carry_over(child, parent.state_dict(), rewrite, **options)
    return rewrite.graph, child


def offered(graph, kind):
    """Texts of all morphisms of a kind that are possible."""
    morphism = KINDS[kind]
    if issubclass(morphism, Skip):
        places = offers.skips(graph, morphism)
    elif issubclass(morphism, Branches):
        places = offers.branches(graph, morphism, (2, 3))
    elif kind == "deepen":
        places = offers.deeper(graph, (1, 3))
    elif kind == "insert":
        places = offers.insertions(graph)
    elif kind == "replace":
        places = offers.replacements(graph)
    else:
        places = offers.wider(graph, lambda layer: (width_of(layer) + 1, width_of(layer) + 3))
    return [f"{kind}:{place}:{value}" for place, values in places.items() for value in values]


@pytest.mark.parametrize("name", SMALL)
def test_ten_random_morphisms_of_any_kind_leave_the_function_as_it_was(name):
    space = imported(SPACES[name])(**SMALL[name][0])
    rng = stream(4, name)
    graph = space.decode(space.random(rng)).simplified(training=True)
    network = settled(build(graph, seed=1))
    before, made = outputs(network, graph), []
    while len(made) < LENGTH:
        if texts := offered(graph, rng.choice(EXACT)):
            count = graph.parameters
            graph, network = morphed(network, graph, rng.choice(texts), rng)
            made.append(graph)
            assert deviation(outputs(network, graph), before) < TOLERANCE
            assert graph.parameters >= count
    assert len({each.digest() for each in made}) > 1


@pytest.mark.parametrize("kind", EXACT)
def test_every_morphism_that_is_offered_is_exact(kind):
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(7), BatchNorm(), ReLU())
    draft.node("spread", ["stem"], Convolution(7, groups=7), BatchNorm(), ReLU(), AveragePool(3, 1, 1))
    draft.node("nothing", ["stem"], Identity())
    draft.node("sum", ["stem", "spread", "nothing"], ReLU())
    draft.node("smaller", ["sum"], Convolution(6, stride=2), BatchNorm(), ReLU(), SqueezeExcite(2))
    draft.node(
        "head", ["smaller"], Convolution(5, 1, bias=True), ReLU(), GlobalAveragePool(), Linear(6), ReLU(), Linear(4)
    )
    graph = draft.graph()
    network, rng = settled(build(graph, seed=1)), stream(0, kind)
    texts = offered(graph, kind)
    assert texts
    before = outputs(network, graph)
    for text in texts:
        child, made = morphed(network, graph, text, rng)
        assert deviation(outputs(made, child), before) < TOLERANCE, text
        assert str(parsed(text)) == text


def chain(*operations, shape=(3, 8, 8)):
    draft = Draft(shape)
    draft.node("net", [INPUT], *operations)
    return draft.graph()


def block(*operations):
    return (*operations, GlobalAveragePool(), Linear(4))


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (chain(Linear(5), ReLU(), Linear(3), shape=(6,)), "widen:net.linear:9"),
        (chain(*block(Convolution(5), BatchNorm(), ReLU(), Convolution(4))), "widen:net.conv:9"),
        (chain(*block(Convolution(5), BatchNorm(), ReLU(), MaxPool(), Convolution(4))), "widen:net.conv:9"),
        (chain(Convolution(5), ReLU(), MaxPool(), Flatten(), Linear(6), ReLU(), Linear(4)), "widen:net.conv:9"),
        (chain(*block(Convolution(5, bias=True), Convolution(5, groups=5), ReLU())), "widen:net.conv:9"),
        (chain(*block(Convolution(8), ReLU(), SqueezeExcite(2), ReLU())), "widen:net.conv:13"),
        (chain(*block(Convolution(5), ReLU())), "widen:net.conv:17"),
    ],
)
@pytest.mark.parametrize("kind", ["widen", "extend"])
def test_what_reads_a_wider_layer_follows_it(graph, text, kind):
    network = settled(build(graph, seed=1))
    child, made = morphed(network, graph, text.replace("widen", kind), stream(0))
    assert child.parameters > graph.parameters
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE


def dense_and_residual():
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(4), BatchNorm(), ReLU())
    draft.node("inner", ["stem"], Convolution(6), BatchNorm(), ReLU(), Convolution(4), BatchNorm())
    draft.node("sum", ["stem", "inner"], ReLU())
    draft.node("branch", ["sum"], Convolution(5), BatchNorm(), ReLU())
    draft.node("both", ["sum", "branch", "stem"], combine="concat")
    draft.node("reader", ["both"], BatchNorm(), ReLU(), Convolution(6))
    draft.node("other", ["both"], Convolution(6, 1), BatchNorm())
    draft.node("head", ["reader", "other"], GlobalAveragePool(), Linear(4))
    return draft.graph()


@pytest.mark.parametrize(
    ("place", "widened"),
    [
        ("inner.conv", ["inner.conv"]),  # within a residual block
        ("stem.conv", ["inner.conv_2", "stem.conv"]),  # what is added is as wide
        ("branch.conv", ["branch.conv"]),  # its reader sees it in the middle of others
        ("reader.conv", ["other.conv", "reader.conv"]),
    ],
)
def test_all_that_is_added_becomes_wider_by_the_same_channels(place, widened):
    graph = dense_and_residual()
    network = settled(build(graph, seed=1))
    child, made = morphed(network, graph, f"widen:{place}:11", stream(0))
    wide = [name for name, module in made.named_modules() if getattr(module, "out_channels", 0) == 11]
    assert sorted(wide) == widened
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE


def test_whatever_is_not_widened_keeps_its_weights_to_the_bit_and_the_parent_is_left_alone():
    graph = dense_and_residual()
    network = settled(build(graph, seed=1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    _, made = morphed(network, graph, "widen:branch.conv:9", stream(0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    touched = {"branch.conv", "branch.batch_norm", "reader.batch_norm", "reader.conv", "other.conv"}
    changed = [name for name, tensor in made.state_dict().items()
               if tensor.shape != before[name].shape or not torch.equal(tensor, before[name])]  # fmt: skip
    assert {name.rpartition(".")[0] for name in changed} == touched


def test_copies_get_equal_gradients_and_stay_copies_where_there_is_no_noise():
    graph = chain(*block(Convolution(4), ReLU(), Convolution(5), ReLU()))
    parent = build(graph, seed=1).double()

    def after_ten_steps(noise):
        child, made = morphed(parent, graph, "widen:net.conv:8", stream(0), noise=noise,
                              generator=torch.Generator().manual_seed(0))  # fmt: skip
        difference = deviation(outputs(made, child), outputs(parent, graph))
        optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
        for step in range(10):
            optimizer.zero_grad()
            made(images(graph, seed=step)).square().sum().backward()
            optimizer.step()
        first, second = made.net.conv.weight, made.net.conv_2.weight
        copies = [(new, old) for new in range(4, 8) for old in range(4)
                  if torch.equal(first[new], first[old]) and torch.equal(second[:, new], second[:, old])]  # fmt: skip
        return difference, len(copies)

    assert after_ten_steps(noise=0) == (pytest.approx(0, abs=TOLERANCE), 4)
    difference, copies = after_ten_steps(noise=1e-2)
    assert copies == 0
    assert 0 < difference < 0.05


def test_new_outputs_are_read_as_nothing_first_and_learn_from_the_first_step_on():
    """NASH, type II: weights into them get a gradient once those out of them are no longer 0."""
    graph = chain(*block(Convolution(4), ReLU(), Convolution(5), ReLU()))
    _, made = morphed(build(graph, seed=1).double(), graph, "extend:net.conv:6", stream(0))
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        made(images(graph)).square().sum().backward()
        assert made.net.conv_2.weight.grad[:, 4:].abs().max() > 0
        assert (made.net.conv.weight.grad[4:].abs().max() > 0) == (step > 0)
        optimizer.step()


def test_what_is_added_by_a_skip_gets_its_gradient_once_lambda_has_moved():
    """NASH, type IV: the gradient of h is multiplied by 1 - lambda, which is 0 at first."""
    draft = Draft((3, 8, 8))
    draft.node("h", [INPUT], Convolution(4))
    draft.node("x", [INPUT], Convolution(4))
    draft.node("head", ["x"], GlobalAveragePool(), Linear(4))
    draft.node("rest", ["h"], GlobalAveragePool(), Linear(4))
    draft.node("sum", ["head"])
    graph = draft.graph()
    network = build(graph, seed=1).double()
    _, made = morphed(network, graph, "add:head:h", stream(0))
    share = made.get_submodule("head+blend1.blend").share
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    for step in range(2):
        assert (share.item() == 1) == (step == 0)
        optimizer.zero_grad()
        made(images(graph)).square().sum().backward()
        assert share.grad.abs() > 0
        assert (made.h.conv.weight.grad.abs().max() > 0) == (step > 0)
        optimizer.step()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("deepen:net.conv:3", "behind a ReLU"),
        ("deepen:net.batch_norm_2:3", "behind a ReLU"),
        ("deepen:net.relu:4", "even"),
        ("deepen:net.global_avg_pool:3", "negative"),
        ("widen:net.conv:4", "has 4 channels already"),
        ("widen:net.linear:9", "the network's outputs"),
        ("widen:net.relu:9", "no convolution"),
        ("widen:net.conv_9:9", "no step 'conv_9'; it has conv, "),
        ("widen:nett.conv:9", "no node 'nett'"),
        ("widen:net.conv:many", "no whole number"),
        ("widen:net.conv", "KIND:PLACE:VALUE"),
        ("shrink:net.conv:3", "KIND:PLACE:VALUE"),
        ("add:net:stem", "'stem' is no node before net"),
        ("concat:nett:input", "no node 'nett'"),
        ("concat-copies:net:2", "mixes the outputs"),
        ("concat-split:net:2", "mixes channels"),
        ("add-copies:net:1", "at least 2"),
        ("insert:nett:identity", "no node 'nett'"),
        ("insert:net:conv", "inserted as identity"),
        ("replace:net.relu:sep3", "does something"),
        ("replace:net.relu:sep4", "use sep3, sep5, sep7, conv1, max3, avg3"),
        ("replace:net.relu:max3-pre", "cannot stand there"),
    ],
)
def test_what_would_change_the_function_is_refused_with_the_reason(text, words):
    graph = chain(Convolution(4), ReLU(), Convolution(4), BatchNorm(), BatchNorm(), GlobalAveragePool(), Linear(4))
    graph = graph if not text.startswith("concat-copies") else chain(Convolution(4), SqueezeExcite(2))
    with pytest.raises(UserError, match=words):
        parsed(text).apply(graph, stream(0))


def test_channels_that_are_not_one_with_others_as_a_whole_stay_as_they_are():
    draft = Draft((3, 8, 8))
    draft.node("a", [INPUT], Convolution(4))
    draft.node("b", [INPUT], Convolution(4))
    draft.node("both", ["a", "b"], combine="concat")
    draft.node("c", [INPUT], Convolution(8))
    draft.node("sum", ["both", "c"], GlobalAveragePool(), Linear(4))
    graph = draft.graph()
    with pytest.raises(MorphismError, match="only some of its channels are joined with others in a"):
        parsed("widen:c.conv:9").apply(graph, stream(0))
    network = settled(build(graph, seed=1))
    child, made = morphed(network, graph, "widen:b.conv:6", stream(0))  # c follows
    assert made.c.conv.out_channels == 10
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE


def test_weights_of_another_network_are_refused():
    graph = chain(*block(Convolution(4), ReLU()))
    rewrite = parsed("widen:net.conv:6").apply(graph, stream(0))
    child = build(rewrite.graph)
    with pytest.raises(MorphismError, match=r"no tensor net\.conv\.weight"):
        carry_over(child, {}, rewrite)
    with pytest.raises(MorphismError, match="another network"):
        carry_over(child, build(chain(*block(Convolution(3), ReLU()))).state_dict(), rewrite)


@pytest.mark.parametrize("norm", [(), (BatchNorm(),)])
@pytest.mark.parametrize("place", ["net.relu:3", "net.relu:5", "net.relu_2:1"])
def test_a_layer_behind_a_relu_hands_on_what_it_gets(norm, place):
    graph = chain(Convolution(4), *norm, ReLU(), MaxPool(), GlobalAveragePool(), Linear(6), ReLU(), Linear(3))
    network = settled(build(graph, seed=1))
    child, made = morphed(network, graph, f"deepen:{place}", stream(0))
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE
    assert len(child.nodes[0].operations) == len(graph.nodes[0].operations) + (3 if norm and "relu:" in place else 2)


def test_calibrated_norms_compute_the_same_and_normalise_from_the_first_step_of_training():
    graph = chain(*block(Convolution(4), BatchNorm(), ReLU()))
    network, batch = build(graph, seed=1).double(), images(graph, seed=8) * 2 + 1
    with torch.no_grad():
        for _ in range(200):  # until its statistics are those of the batch
            network(batch)
    child, made = morphed(network, graph, "deepen:net.relu:3", stream(0))
    child, made = morphed(made, child, "deepen:net.relu_2:3", stream(0))

    @torch.no_grad()
    def in_training(network):
        return deepcopy(network).train()(batch)

    before = in_training(network)
    jump = deviation(in_training(made), before)
    calibrate(made, ["net.batch_norm_2", "net.batch_norm_3"], batch)
    assert not made.training
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE
    assert made.net.batch_norm_2.running_mean.abs().max() > 0
    assert deviation(in_training(made), before) < jump / 2


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ((Identity(),), "concat-split:layer:2"),
        ((Identity(),), "concat-split:layer:3"),
        ((AveragePool(3, 1, 1),), "concat-split:layer:2"),
        ((Convolution(12, groups=4), BatchNorm(), ReLU()), "concat-split:layer:2"),
        ((BatchNorm(), ReLU(), Convolution(16, groups=4, bias=True)), "concat-split:layer:4"),
        ((Convolution(7), BatchNorm(), ReLU()), "concat-copies:layer:3"),  # 3, 2 and 2 channels
        ((Convolution(7), BatchNorm(), ReLU()), "add-copies:layer:3"),
    ],
)
def test_a_layer_becomes_branches(operations, text):
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(8), BatchNorm())
    draft.node("layer", ["stem"], *operations)
    draft.node("head", ["layer"], GlobalAveragePool(), Linear(4))
    graph = draft.graph()
    network = settled(build(graph, seed=1))
    child, made = morphed(network, graph, text, stream(0))
    assert child.parameters >= graph.parameters
    assert deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE
    assert len(child.nodes) == len(graph.nodes) + int(text[-1])


def test_groups_that_do_not_divide_are_not_split():
    graph = chain(Convolution(6, groups=3), GlobalAveragePool(), Linear(4))
    with pytest.raises(MorphismError, match="mixes channels"):
        parsed("concat-split:net:2").apply(graph, stream(0))


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("edge", ["sep3", "sep7-pre", "conv1", "conv1-linear", "max3", "avg3"])
def test_a_layer_in_place_of_an_identity_is_exact_where_it_says_so_and_only_there(edge, relu):
    draft = Draft((3, 8, 8))
    draft.node("stem", [INPUT], Convolution(5), BatchNorm(), *(ReLU(),) * relu)
    draft.node("nothing", ["stem"], Identity())
    draft.node("head", ["nothing"], GlobalAveragePool(), Linear(4))
    graph = draft.graph()
    network, morphism = settled(build(graph, seed=1)), parsed(f"replace:nothing.identity:{edge}")
    child, made = morphed(network, graph, str(morphism), stream(0))
    assert morphism.exact(graph) == (edge not in ("max3", "avg3") and (relu or edge == "conv1-linear"))
    assert (deviation(outputs(made, child), outputs(network, graph)) < TOLERANCE) == morphism.exact(graph)
