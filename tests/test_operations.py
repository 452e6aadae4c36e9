"""An operation of a user's own: one registration, from which building, counts, memory, JSON and source follow."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from evonas.errors import UserError
from evonas.gates import Is
from evonas.graph import Draft, Graph
from evonas.network import build, check, extract
from evonas.operations import (
    Call,
    Convolution,
    GlobalAveragePool,
    Linear,
    Operation,
    Recorded,
    ReLU,
    Zero,
    from_json,
    is_own,
    to_json,
)
from evonas.recipe import Recipe
from evonas.support.call import Printed
from evonas.training.memory import supernet_bytes, training_bytes

ROOT = Path(__file__).parents[1]
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
RECIPE = Recipe(epochs=3, batch_size=16)


def chain(*operations, classes=3):
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(4))
    draft.node("block", ["stem"], *operations)
    draft.node("head", ["block"], GlobalAveragePool(), Linear(classes))
    return draft.graph()


def operation(**fields):
    return type("Mine", (Operation,), {"name": "mine", **fields})()


def both(own):
    return chain(own.Mish(), own.Depthwise(5), own.Mish())


# ---- registration -------------------------------------------------------------------------------------------------


def test_a_class_is_known_by_its_name_once_it_is_defined(own, registry):
    assert registry["mish"] is own.Mish
    assert registry["depthwise"] is own.Depthwise
    assert not is_own(own.Mish())
    assert is_own(ReLU())


def test_a_file_that_is_imported_again_replaces_what_it_defined(own, registry):
    first = own.Mish
    exec(compile(Path(own.__file__).read_text(), own.__file__, "exec"), {"__name__": "own_operations"})
    assert registry["mish"] is not first
    assert from_json({"kind": "mish"}) == registry["mish"]()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "relu"}, "Mine: evonas has an operation 'relu' of its own; choose another name"),
        ({"name": "mish"}, "Mine: Mish of own_operations has the name 'mish' already"),
        ({"name": "my relu"}, "'my relu' cannot be the name of an operation"),
        ({"name": "class"}, "'class' cannot be the name of an operation"),
        ({"name": "mine", "keeps": "all"}, "keeps is 'all'; use input, output, nothing"),
    ],
)
def test_names_that_are_taken_and_values_that_mean_nothing_are_refused(own, registry, fields, said):
    known = dict(registry)
    with pytest.raises(UserError, match=said):
        type("Mine", (Operation,), fields)
    assert registry == known


def test_operations_need_no_torch():
    script = "import sys, evonas.graph, evonas.operations, evonas.training.memory; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0


# ---- networks -----------------------------------------------------------------------------------------------------


def test_an_operation_is_built_under_its_name_and_counted(own):
    graph = both(own)
    network = build(graph)
    assert isinstance(network.get_submodule("block.mish_2"), nn.Mish)
    assert network.state_dict()["block.depthwise.depthwise.weight"].shape == (4, 1, 5, 5)
    assert sum(weight.numel() for weight in network.parameters()) == graph.parameters
    assert graph.multiply_adds == 64 * (3 * 9 * 4 + 4 * 25 + 4 * 4) + 4 * 3
    assert network(IMAGES).shape == (5, 3)
    assert "depthwise 5x5" in str(graph)


def test_parameters_are_those_of_the_module_where_a_class_does_not_say(registry):
    pointwise = type(
        "Own", (Operation,), {"name": "own", "module": lambda self, shape: Call(nn.Conv2d, shape[0], 4, 1)}
    )
    before = torch.get_rng_state()
    assert pointwise().parameters((4, 8, 8)) == 20
    assert pointwise().parameters((8, 8, 8)) == 36
    assert torch.equal(before, torch.get_rng_state())


def test_its_weights_depend_on_seed_and_name_and_leave_the_global_generator_alone(own):
    graph, before = both(own), torch.get_rng_state()
    first = build(graph, seed=1).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again, other = build(graph, seed=1).state_dict(), build(graph, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    name = "block.depthwise.pointwise.weight"
    assert not torch.equal(first[name], other[name])
    twice = build(chain(own.Depthwise(), own.Depthwise())).state_dict()
    assert not torch.equal(twice[name], twice["block.depthwise_2.pointwise.weight"])


def test_a_relu_behind_it_overwrites_nothing(own):
    relu = build(chain(own.Depthwise(), ReLU())).get_submodule("block.relu")
    assert not relu.inplace
    assert build(chain(Convolution(4), ReLU())).get_submodule("block.relu").inplace


def test_what_a_zero_becomes_in_it_is_not_taken_for_a_zero(own):
    draft = Draft((3, 8, 8))
    draft.node("nothing", ["input"], Zero(), own.Mish())
    draft.node("sum", ["input", "nothing"])
    assert [node.name for node in draft.graph().simplified().nodes] == ["nothing", "sum"]


def opened(own):
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(4))
    ways = {"mish": own.Mish(), "depthwise": own.Depthwise(), "relu": ReLU()}
    draft.node("sum", [draft.candidate(name, "stem", Is("way", name), op) for name, op in ways.items()])
    draft.node("head", ["sum"], GlobalAveragePool(), Linear(3))
    return draft.graph()


@pytest.mark.parametrize("way", ["mish", "depthwise"])
def test_a_supernet_has_it_as_a_candidate(own, way):
    graph = opened(own)
    supernet = build(graph).eval()
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(4))
    draft.node(way, ["stem"], {"mish": own.Mish(), "depthwise": own.Depthwise()}[way])
    draft.node("sum", [way])
    draft.node("head", ["sum"], GlobalAveragePool(), Linear(3))
    alone = extract(supernet, draft.graph())
    assert torch.equal(supernet(IMAGES, {"way": way}), alone(IMAGES))
    assert supernet_bytes(graph, RECIPE) > supernet_bytes(graph, RECIPE, paths=1) > 0
    shares = {name: torch.tensor(1 / 3, requires_grad=True) for name in ("mish", "depthwise", "relu")}
    supernet.train()(IMAGES, {"way": shares}).sum().backward()
    assert all(share.grad is not None for share in shares.values())


# ---- JSON, where the class is not there ---------------------------------------------------------------------------


def test_a_graph_comes_back_with_the_class_where_that_is_known(own):
    graph = both(own)
    back = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert back == graph
    assert type(back.nodes[1].operations[1]) is own.Depthwise
    assert back.digest() == graph.digest()


STRANGER = """
import json, sys
from evonas.graph import Graph
from evonas.model.source import network_source
from evonas.recipe import Recipe
from evonas.training.memory import training_bytes
data = json.load(open("graph.json"))
graph = Graph.from_json(data)
assert "own_operations" not in sys.modules
assert json.loads(json.dumps(graph.to_json())) == data
found = {
    "text": str(graph), "parameters": graph.parameters, "multiply_adds": graph.multiply_adds, "digest": graph.digest(),
    "memory": training_bytes(graph, Recipe(epochs=3, batch_size=16)), "source": network_source(graph),
    "unknown": graph.unknown, "shared": graph.shared().digest(), "torch": "torch" in sys.modules,
}
from evonas.network import build
try:
    build(graph)
except ValueError as error:
    found["refused"] = str(error)
import torch
torch.save(build(graph, seed=4, trust=True).state_dict(), "weights.pt")
print(json.dumps(found))
"""


def test_a_process_without_the_class_can_show_count_print_and_when_trusted_build(own, tmp_path):
    graph = both(own)
    (tmp_path / "graph.json").write_text(json.dumps(graph.to_json()))
    done = subprocess.run([sys.executable, "-c", STRANGER], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["text"] == str(graph)
    assert (found["parameters"], found["multiply_adds"]) == (graph.parameters, graph.multiply_adds)
    assert found["digest"] == graph.digest()
    assert found["memory"] == training_bytes(graph, RECIPE)
    assert "depthwise=DepthwiseBlock(4, kernel=5)," in found["source"]
    assert found["unknown"] == ["mish", "depthwise", "mish"]
    assert "the operation 'mish', which is not one of evonas's" in found["refused"]
    ours, theirs = build(graph, seed=4).state_dict(), torch.load(tmp_path / "weights.pt")
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_recorded_does_not_count_in_the_digest(own, registry):
    graph = both(own)
    data = json.loads(json.dumps(graph.to_json()))
    del registry["mish"], registry["depthwise"]
    for operation in data["nodes"][1]["operations"]:
        operation["recorded"]["defined"] = []
    assert Graph.from_json(data).digest() == graph.digest()
    assert chain(own.Mish(), own.Depthwise(3), own.Mish()).digest() != graph.digest()


def test_a_recorded_operation_is_known_for_one_shape(own, registry):
    data = to_json(own.Depthwise(), (4, 8, 8))
    del registry["depthwise"]
    operation = from_json(data)
    assert isinstance(operation, Recorded)
    assert operation.shape((4, 8, 8)) == (4, 8, 8)
    with pytest.raises(ValueError, match="known for an input of"):
        operation.shape((8, 8, 8))


def test_an_unknown_kind_of_which_nothing_is_recorded_is_refused(own, registry):
    del registry["mish"]
    with pytest.raises(ValueError, match="is no operation"):
        from_json(to_json(own.Mish()))


# ---- calls as source ----------------------------------------------------------------------------------------------


class Halves(nn.Module):
    def __init__(self, act=nn.ReLU, widths=()):
        super().__init__()
        self.act, self.widths = act(), widths

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x) / 2


LAYER = nn.ReLU()


class UsesAnObject(nn.Module):
    def forward(self, x):
        return LAYER(x)


class Network(nn.Module):
    def forward(self, x):
        return x


def test_calls_print_classes_other_calls_and_no_defaults():
    assert Call(nn.Conv2d, 3, 8, 1, bias=True, padding=0, stride=2).source() == "nn.Conv2d(3, 8, 1, stride=2)"
    call = Call(nn.Sequential, Call(Halves, nn.Mish), Call(Halves, widths=[nn.ReLU, (1, 2)]))
    assert call.source() == "nn.Sequential(Halves(nn.Mish), Halves(widths=[nn.ReLU, (1, 2)]))"
    assert list(call.definitions()) == ["Halves"]
    assert isinstance(call.make()[0].act, nn.Mish)


def test_what_a_class_needs_is_printed_before_it(own):
    needed = own.Depthwise().module((4, 8, 8)).definitions()
    assert list(needed) == ["SLOPE", "F", "leaky", "DepthwiseBlock"]
    assert needed["F"] == "import torch.nn.functional as F"
    assert needed["SLOPE"] == "SLOPE = 0.25\n"


def test_what_cannot_be_printed_is_refused_by_name():
    with pytest.raises(UserError, match="UsesAnObject uses LAYER, which cannot be printed"):
        Call(UsesAnObject).definitions()
    with pytest.raises(UserError, match="an exported file has a Network of its own; choose another name"):
        Call(Network).definitions()

    class Inner(nn.Module):
        pass

    with pytest.raises(UserError, match="has to stand at the top of a file"):
        Call(Inner).definitions()
    without_file = type("Made", (nn.Module,), {"__module__": __name__})
    with pytest.raises(UserError, match="there is no source of Made; define it in a file"):
        Call(without_file).definitions()


# ---- the check before a search ------------------------------------------------------------------------------------


def test_operations_that_keep_their_word_pass(own):
    check(both(own))
    check(opened(own))
    assert is_own(both(own).nodes[0].operations[0])


MISTAKES = {
    "no module": ({}, "'mine', for an input of .4, 8, 8.: its module cannot be made: Mine has no module"),
    "a module, not a call": ({"module": lambda self, shape: nn.ReLU()}, "made: `module` returns ReLU"),
    "not made": ({"module": lambda self, shape: Call(nn.Conv2d, "four", 4, 1)}, "its module cannot be made: TypeError"),
    "not run": ({"module": lambda self, shape: Call(nn.Linear, 99, 8), "parameters": lambda self, shape: 800},
                "its module cannot be run: RuntimeError"),
    "another shape": ({"module": lambda self, shape: Call(nn.MaxPool2d, 2)}, "gives .4, 4, 4., and `shape` says"),
    "another count": ({"module": lambda self, shape: Call(nn.PReLU), "parameters": lambda self, shape: 4},
                      "its module has 1 parameters, and `parameters` says 4"),
    "not printed": ({"module": lambda self, shape: Call(UsesAnObject)}, "it cannot be exported: UsesAnObject uses"),
    "kind is taken": (
        {"module": lambda self, shape: Call(nn.Mish), "written": lambda self: {"kind": "mine", "size": 3}},
        "it cannot be counted or written as JSON: ValueError: .* fields those of the class",
    ),
    "its input": ({"module": lambda self, shape: Call(nn.ReLU, inplace=True)}, "overwrites its input"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_operation_that_does_not_keep_its_word_is_refused_by_name(registry, mistake):
    fields, said = MISTAKES[mistake]
    with pytest.raises(UserError, match=said):
        check(chain(operation(**fields)))


def test_a_class_without_a_name_of_its_own_is_refused(own, registry):
    @dataclass(frozen=True)
    class Wider(own.Depthwise):
        factor: int = 2

    with pytest.raises(UserError, match="Wider: give it a `name` of its own"):
        check(chain(Wider()))


def test_a_name_that_modules_need_is_refused(registry):
    with pytest.raises(UserError, match="'train' is what PyTorch calls a method or field of modules"):
        check(chain(operation(name="train", module=lambda self, shape: Call(nn.Mish))))


def test_two_meanings_of_one_name_are_refused(registry):
    other = Printed("Halves()", {"Halves": "class Halves(nn.ReLU):\n    pass\n"})
    halves, doubled = (
        type(name.title(), (Operation,), {"name": name, "module": lambda self, shape, call=call: call})()
        for name, call in (("halves", Call(Halves)), ("doubled", other))
    )
    check(chain(halves, halves))
    with pytest.raises(UserError, match="Halves has two meanings"):
        check(chain(halves, doubled))
