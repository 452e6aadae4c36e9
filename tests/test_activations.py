"""Activations act on each value by itself, cost no weights, and stand where a ReLU can stand."""

import random

import pytest
import torch
from morphing import TOLERANCE, deviation, outputs, settled
from torch.nn import functional as F

from evonas.graph import INPUT, Draft
from evonas.morphisms.morphism import Widen, not_negative
from evonas.morphisms.weights import carry_over
from evonas.network import build
from evonas.operations import (
    ACTIVATIONS,
    ELU,
    GELU,
    BatchNorm,
    Convolution,
    GlobalAveragePool,
    HardSwish,
    LeakyReLU,
    Linear,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)

FUNCTIONS = {
    LeakyReLU(0.2): lambda x: torch.where(x > 0, x, 0.2 * x),
    ELU(): F.elu,
    GELU(): F.gelu,
    SiLU(): lambda x: x * torch.sigmoid(x),
    HardSwish(): lambda x: x * (x + 3).clamp(0, 6) / 6,
    Tanh(): torch.tanh,
    Sigmoid(): torch.sigmoid,
}
BY_NAME = pytest.mark.parametrize("activation", FUNCTIONS, ids=str)


def network(activation):
    draft = Draft((3, 6, 6))
    draft.node("stem", [INPUT], Convolution(4), BatchNorm(), activation)
    draft.node("block", ["stem"], Convolution(6), BatchNorm(), activation)
    draft.node("classifier", ["block"], GlobalAveragePool(), Linear(5))
    return draft.graph()


def test_all_are_there():
    assert {type(each) for each in FUNCTIONS} == set(ACTIVATIONS)


@BY_NAME
def test_it_computes_its_function_and_costs_nothing(activation):
    draft = Draft((2, 3, 3))
    draft.node("out", [INPUT], activation)
    graph, x = draft.graph(), torch.randn(4, 2, 3, 3)
    assert torch.allclose(build(graph)(x), FUNCTIONS[activation](x), atol=1e-6)
    assert (graph.parameters, graph.multiply_adds) == (0, 0)


@BY_NAME
def test_its_gradient_is_right_behind_what_it_may_overwrite(activation):
    graph = network(activation)
    made = build(graph, seed=0).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: made.eval()(x), x)


@BY_NAME
def test_a_network_that_has_it_can_be_widened(activation):
    graph = network(activation)
    before = settled(build(graph, seed=0))
    rewrite = Widen("stem.conv", 7).apply(graph, random.Random(0))
    after = build(rewrite.graph, seed=1).double()
    carry_over(after, before.state_dict(), rewrite)
    assert deviation(outputs(after, rewrite.graph), outputs(before, graph)) < TOLERANCE


def test_only_what_is_never_negative_counts_as_such():
    signs = {str(each): ("block", 3) in not_negative(network(each)) for each in (*FUNCTIONS, ReLU())}
    assert [name for name, positive in signs.items() if positive] == ["sigmoid", "relu"]


def test_a_slope_is_above_zero():
    with pytest.raises(ValueError, match="use more than 0"):
        LeakyReLU(0.0)
