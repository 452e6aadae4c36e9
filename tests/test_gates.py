import itertools
import json

import pytest
import torch

from evonas.gates import Every, Is, No, Some, every, from_json, no, some, to_json, value

A, B = Is("a", 1), Is("b", 1)


def test_known_parts_fold_away():
    assert no(0) == 1
    assert no(1) == 0
    assert no(no(A)) == A
    assert every([]) == 1
    assert every([1, A, 1]) == A
    assert every([A, 0, B]) == 0
    assert some([]) == 0
    assert some([0, A]) == A
    assert some([A, 1]) == 1
    assert every([A, B]) == Every((A, B))
    assert some([A, B]) == Some((A, B))
    assert no(every([A, B])) == No(Every((A, B)))


@pytest.mark.parametrize("a", [0, 1])
@pytest.mark.parametrize("b", [0, 1])
def test_a_gate_on_a_hard_route_is_logic(a, b):
    route = {"a": a, "b": b}
    assert value(every([A, B]), route) == int(a and b)
    assert value(some([A, B]), route) == int(a or b)
    assert value(every([A, no(B)]), route) == int(a and not b)
    assert value(no(some([A, B])), route) == int(not (a or b))


def test_a_one_hot_soft_route_agrees_with_the_hard_one():
    gates = [every([A, B]), some([A, B]), no(A), every([no(A), some([A, B])]), some([every([A, no(B)]), B])]
    for a, b in itertools.product((0, 1), repeat=2):
        soft = {"a": {0: 1.0 - a, 1: float(a)}, "b": {0: torch.tensor(1.0 - b), 1: torch.tensor(float(b))}}
        for gate in gates:
            assert float(value(gate, soft)) == value(gate, {"a": a, "b": b})


def test_a_soft_gate_is_the_probability_of_independent_decisions():
    soft = {"a": {1: 0.5}, "b": {1: 0.2}}
    assert value(every([A, B]), soft) == pytest.approx(0.1)
    assert value(some([A, B]), soft) == pytest.approx(0.6)
    assert value(no(A), soft) == pytest.approx(0.5)


def test_an_option_that_a_sparse_route_leaves_out_is_known_to_be_closed():
    assert value(Is("a", "conv"), {"a": {"pool": torch.tensor(1.0)}}) == 0


def test_a_gradient_reaches_the_weights_through_the_gate():
    weight = torch.tensor(0.3, requires_grad=True)
    value(every([A, no(B)]), {"a": {1: weight}, "b": {1: 0.2}}).backward()
    assert weight.grad.item() == pytest.approx(0.8)


def test_a_route_without_the_decision_is_an_error():
    with pytest.raises(KeyError, match="b"):
        value(every([A, B]), {"a": 1})


@pytest.mark.parametrize("gate", [0, 1, A, no(A), every([A, B]), some([every([A, no(B)]), B])], ids=str)
def test_json_round_trip(gate):
    assert from_json(json.loads(json.dumps(to_json(gate)))) == gate
