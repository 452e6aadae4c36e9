"""Nodes that join their inputs by attention (Ilse et al. 2018, eq. 8)."""

import json

import pytest
import torch
from torch import nn

from evonas.gates import Is
from evonas.graph import INPUT, Draft, Graph, GraphError
from evonas.latency import Join, steps_of
from evonas.network import build, extract
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.training.measuring import measured

SHAPE = (3, 6, 6)


def fused(*kept, gates=(1, 1, 1)):
    """Three convolutions of an image, of which those at these places are joined by attention."""
    draft = Draft(SHAPE)
    made = [draft.node(f"branch{place}", [INPUT], Convolution(8), BatchNorm()) for place in kept or range(3)]
    pairs = [(name, gates[int(name[-1])]) for name in made]
    draft.node("joined", pairs, ReLU(), combine="attention")
    draft.node("classifier", ["joined"], GlobalAveragePool(), Linear(5))
    return draft.graph()


OPEN = tuple(Is(f"branch{place}", True) for place in range(3))


def test_it_is_the_mean_by_what_two_layers_make_of_the_means_of_channels():
    network, x = build(fused()).eval(), torch.randn(4, *SHAPE)
    own = network.joined.attention
    with torch.inference_mode():
        images = [network.get_submodule(f"branch{place}")(x) for place in range(3)]
        scores = [torch.tanh(image.mean((2, 3)) @ own.project.weight.T) @ own.score.weight.T for image in images]
        powers = [score.exp() for score in scores]
        expected = sum(power[:, :, None, None] * image for power, image in zip(powers, images, strict=True))
        expected = torch.relu(expected / sum(powers)[:, :, None, None])
        got = network.joined(images)
    assert torch.allclose(got, expected, atol=1e-6)
    assert (own.project.weight.shape, own.score.weight.shape) == ((4, 8), (1, 4))


def test_its_weights_and_multiply_adds_are_counted():
    graph, plain = fused(), fused(0)
    own = 8 * 4 + 4
    assert graph.parameters == sum(weight.numel() for weight in build(graph).parameters())
    branch = 8 * 27 + 16
    assert graph.parameters == plain.parameters + 2 * branch + own
    assert graph.multiply_adds == plain.multiply_adds + 2 * 8 * 27 * 36 + 3 * own


def test_one_input_is_handed_on_and_needs_no_weights():
    graph = fused(1)
    assert "attention" not in dict(build(graph).joined.named_children())
    assert graph.parameters == sum(weight.numel() for weight in build(graph).parameters())


@pytest.mark.parametrize("kept", [(0,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_the_network_of_some_inputs_is_its_route_through_the_supernet_to_the_bit(kept):
    supernet, x = build(fused(gates=OPEN)).eval(), torch.randn(4, *SHAPE)
    route = {f"branch{place}": place in kept for place in range(3)}
    with torch.inference_mode():
        assert torch.equal(supernet(x, route), extract(supernet, fused(*kept))(x))


def test_soft_weights_scale_the_shares_and_have_gradients():
    supernet, x = build(fused(gates=OPEN)), torch.randn(4, *SHAPE)
    weights = torch.tensor([1.0, 1.0, 0.0], requires_grad=True)
    route = {f"branch{place}": {True: weight} for place, weight in enumerate(weights.unbind())}
    hard = {"branch0": True, "branch1": True, "branch2": False}
    soft = supernet.eval()(x, route)
    assert torch.allclose(soft, supernet(x, hard), atol=1e-6)
    soft.square().sum().backward()
    assert (weights.grad != 0).all(), "also of what has no share yet"
    nothing = torch.zeros(3, requires_grad=True)
    empty = supernet(x, {f"branch{place}": {True: weight} for place, weight in enumerate(nothing.unbind())})
    assert empty.isfinite().all()


def test_it_is_written_and_read_shown_and_timed():
    graph = fused(gates=OPEN)
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph
    assert "branch0 ~ branch1 ~ branch2" in str(fused())
    assert fused().digest() != fused(0, 1).digest()
    steps = [step for step, _ in steps_of(fused())]
    assert Join("attention", 3) in steps
    table = measured([fused()], [fused()] * 4, device="cpu", precision="float32", batch=1)
    assert table.of(fused()) > 0


def test_it_joins_images_of_one_shape():
    draft = Draft(SHAPE)
    one, other = (draft.node(f"flat{size}", [INPUT], GlobalAveragePool(), Linear(4)) for size in (1, 2))
    draft.node("joined", [one, other], combine="attention")
    with pytest.raises(GraphError, match="attention joins images"):
        draft.graph()
    draft = Draft(SHAPE)
    one, other = (draft.node(f"wide{width}", [INPUT], Convolution(width)) for width in (4, 8))
    draft.node("joined", [one, other], combine="attention")
    with pytest.raises(GraphError, match="shapes differ"):
        draft.graph()
    draft = Draft(SHAPE)
    draft.node("joined", [INPUT], combine="max")
    with pytest.raises(GraphError, match="use one of sum, concat, attention"):
        draft.graph()


def test_a_training_moves_its_weights():
    network = build(fused())
    before = network.joined.attention.score.weight.clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    torch.manual_seed(0)
    nn.functional.cross_entropy(network(torch.randn(16, *SHAPE)), torch.arange(16) % 5).backward()
    optimizer.step()
    assert not torch.equal(network.joined.attention.score.weight, before)
