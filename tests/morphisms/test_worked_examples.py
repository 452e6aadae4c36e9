"""Numbers of the papers and of their worked examples."""

import numpy as np
import pytest
import torch

from evonas.graph import INPUT, Draft
from evonas.morphisms import parsed
from evonas.morphisms.morphism import widened
from evonas.morphisms.weights import carry_over
from evonas.network import build
from evonas.operations import BatchNorm, Convolution, GlobalAveragePool, Linear, ReLU
from evonas.support.streams import stream

# Net2Net: hidden = relu(x W1 + b1), output = hidden W2 + b2
W1, B1 = [[1.0, 2.0], [3.0, -1.0]], [0.5, -0.5]
W2, B2 = [[4.0], [9.0]], [1.0]
X = [[1.0, 1.0], [2.0, -1.0], [-1.0, 0.5]]


def perceptron():
    draft = Draft((2,))
    draft.node("net", [INPUT], Linear(2), ReLU(), Linear(1))
    graph = draft.graph()
    network = build(graph).double().eval()
    values = {"linear.weight": W1, "linear.bias": B1, "linear_2.weight": W2, "linear_2.bias": B2}
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    network.load_state_dict(
        {f"net.{name}": tensor.T.contiguous() if tensor.dim() > 1 else tensor for name, tensor in tensors.items()}
    )
    return graph, network


@torch.no_grad()
def outputs(network):
    return network(torch.tensor(X, dtype=torch.float64))[:, 0].tolist()


@pytest.mark.parametrize(
    ("index", "first", "second"),
    [
        ([0, 1, 1], [[1, 2, 2], [3, -1, -1]], [4, 4.5, 4.5]),
        ([0, 1, 1, 1, 0], [[1, 2, 2, 2, 1], [3, -1, -1, -1, 3]], [2, 3, 3, 3, 2]),
    ],
)
def test_net2wider_has_the_weights_of_its_worked_example(index, first, second):
    graph, network = perceptron()
    assert outputs(network) == [23.5, 41.5, 5]
    rewrite = widened(graph, "net", 0, index, "share")
    child = build(rewrite.graph).double().eval()
    carry_over(child, network.state_dict(), rewrite)
    assert child.net.linear.weight.T.tolist() == first
    assert child.net.linear.bias.tolist() == [B1[each] for each in index]
    assert child.net.linear_2.weight.tolist() == [second]
    assert child.net.linear_2.bias.tolist() == B2
    assert outputs(child) == [23.5, 41.5, 5]


def test_a_reader_of_a_dense_block_sees_the_copies_where_eas_puts_them():
    """EAS: 5 channels before a layer, the layer widened 2 -> 4 by G = (1, 2, 1, 1), 2 channels after: the reader's map
    is 1..5, 6, 7, 6, 6, 8, 9 with the counts 1, 1, 1, 1, 1, 3, 1, 3, 3, 1, 1."""
    draft = Draft((5, 4, 4))
    draft.node("before", [INPUT], Convolution(5, 1))
    draft.node("layer", ["before"], Convolution(2))
    draft.node("after", ["before"], Convolution(2))
    draft.node("all", ["before", "layer", "after"], combine="concat")
    draft.node("reader", ["all"], BatchNorm(), ReLU(), Convolution(3, 1), GlobalAveragePool())
    graph = draft.graph()
    rewrite = widened(graph, "layer", 0, [0, 1, 0, 0], "share")
    take = rewrite.sources["reader.conv"].tensors["weight"]
    expected = np.array([1, 2, 3, 4, 5, 6, 7, 6, 6, 8, 9]) - 1
    assert take.columns.tolist() == expected.tolist()
    assert np.bincount(expected)[expected].tolist() == [1, 1, 1, 1, 1, 3, 1, 3, 3, 1, 1]
    parent = build(graph, seed=1)
    child = build(rewrite.graph, seed=1)
    carry_over(child, parent.state_dict(), rewrite)
    weights = parent.reader.conv.weight[:, expected]
    assert torch.allclose(child.reader.conv.weight[:, 5], weights[:, 5] / 3)
    assert torch.equal(child.reader.conv.weight[:, 6], weights[:, 6])
    assert torch.equal(child.reader.batch_norm.weight, parent.reader.batch_norm.weight[expected])


def test_seven_channels_go_into_branches_of_three_two_and_two():
    draft = Draft((3, 4, 4))
    draft.node("layer", [INPUT], Convolution(7), BatchNorm(), ReLU())
    draft.node("head", ["layer"], GlobalAveragePool(), Linear(2))
    child = parsed("concat-copies:layer:3").apply(draft.graph(), stream(0)).graph
    assert [child.shapes[f"layer+{number}"][0] for number in (1, 2, 3)] == [3, 2, 2]
    assert child.shapes["layer"] == (7, 4, 4)


def test_two_levels_of_branches_are_a_tree():
    draft = Draft((3, 4, 4))
    draft.node("layer", [INPUT], Convolution(8), BatchNorm(), ReLU())
    draft.node("head", ["layer"], GlobalAveragePool(), Linear(2))
    graph = draft.graph()
    for text in ("add-copies:layer:2", "concat-copies:layer+2:2"):
        graph = parsed(text).apply(graph, stream(0)).graph
    assert [node.name for node in graph.nodes] == ["layer+1", "layer+2+1", "layer+2+2", "layer+2", "layer", "head"]
    assert graph.parameters == 3 * 8 * 9 * 2 + 2 * 8 * 2 + 18


def test_an_identity_is_a_kernel_with_a_one_in_its_middle_and_a_norm_that_undoes_itself():
    draft = Draft((3, 4, 4))
    draft.node("layer", [INPUT], Convolution(2), BatchNorm(), ReLU(), GlobalAveragePool())
    graph = draft.graph()
    rewrite = parsed("deepen:layer.relu:3").apply(graph, stream(0))
    child = build(rewrite.graph)
    carry_over(child, build(graph).state_dict(), rewrite)
    kernel = [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0] * 3] * 3]
    assert child.layer.conv_2.weight.tolist() == [kernel, kernel[::-1]]
    norm = child.layer.batch_norm_2
    assert norm.weight.tolist() == pytest.approx([(1 + 1e-5) ** 0.5] * 2)
    assert (norm.bias.tolist(), norm.running_mean.tolist(), norm.running_var.tolist()) == ([0, 0], [0, 0], [1, 1])
