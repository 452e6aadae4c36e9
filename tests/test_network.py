import gc
import random
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from evonas.gates import Is, no
from evonas.genomes.genet import SMALL, GeNetSpace
from evonas.graph import INPUT, Draft, GraphError
from evonas.network import build, concatenated, extract
from evonas.operations import (
    AveragePool,
    BatchNorm,
    Convolution,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Identity,
    Linear,
    MaxPool,
    ReLU,
    Zero,
)
from evonas.space import Open
from evonas.support.streams import stream
from evonas.systems.registry import system

SPACE = GeNetSpace((3, 4), (4, 6), input_shape=(3, 8, 8), dense=12, dropout=0.3)
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def everything():
    draft = Draft((4, 12, 12))
    twice = (BatchNorm(), ReLU(), Convolution(8, 1), BatchNorm(False))
    a = draft.node("a", ["input"], Convolution(8, 3, 2, bias=True), *twice)
    b = draft.node("b", ["input"], AveragePool(3, 2, 1), Convolution(8, 5, groups=4, dilation=2))
    c = draft.node("c", ["input"], MaxPool(), Zero(), Convolution(8))
    d = draft.node("d", [a, b, c], Identity())
    e = draft.node("e", ["input"], Zero(2))
    f = draft.node("f", [d, e], ReLU(), combine="concat")
    g = draft.node("g", [f], Flatten(), Linear(7), Dropout(0.5), ReLU(), Linear(3))
    h = draft.node("h", [f], GlobalAveragePool(), Linear(3, bias=False))
    draft.node("out", [g, h])
    return draft.graph()


def test_counts_of_the_graph_are_those_of_the_network():
    for graph in (everything(), SPACE.decode(SPACE.open()), SMALL.decode(SMALL.open())):
        assert sum(p.numel() for p in build(graph).parameters()) == graph.parameters


def test_multiply_adds_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    graph = everything()
    with FlopCounterMode(display=False) as counter:
        build(graph)(torch.randn(1, 4, 12, 12))
    assert counter.get_total_flops() == 2 * graph.multiply_adds


def test_shapes_of_the_graph_are_those_of_the_network():
    graph = everything()
    assert build(graph)(torch.randn(2, 4, 12, 12)).shape == (2, *graph.output_shape)


def test_the_network_equals_one_written_by_hand():
    draft = Draft((3, 8, 8))
    draft.node("stem", ["input"], Convolution(4), BatchNorm(), ReLU())
    draft.node("deep", ["stem"], Convolution(4), BatchNorm(), ReLU())
    draft.node("head", ["stem", "deep"], MaxPool(), Flatten(), Linear(10))
    network = build(draft.graph(), seed=3).eval()

    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.linear = nn.Linear(64, 10)

        def forward(self, x):
            stem = self.norm1(self.conv1(x)).relu()
            deep = self.norm2(self.conv2(stem)).relu()
            return self.linear(nn.functional.max_pool2d(stem + deep, 2).flatten(1))

    by_hand = ByHand().eval()
    by_hand.load_state_dict(dict(zip(by_hand.state_dict(), network.state_dict().values(), strict=True)))
    assert torch.equal(network(IMAGES), by_hand(IMAGES))


def node_by_node(graph, network, x):
    """What the network gives, with each operation of each node carried out."""
    values = {INPUT: x}
    for node in graph.nodes:
        inputs = [values[edge.source] for edge in node.inputs]
        value = torch.cat(inputs, 1) if node.combine == "concat" else sum(inputs[1:], inputs[0])
        for name, operation, shape in graph.steps(node):
            path = f"{node.name.replace('/', '.')}.{name}"
            made = operation.module(shape).make() if operation.pure else network.get_submodule(path)
            value = made(value)
        values[node.name] = value
    return values[graph.output]


@pytest.mark.parametrize("name", ["darts", "amoebanet", "genet", "nas-rl", "mnasnet"])
def test_a_network_in_which_steps_are_shared_gives_what_all_of_them_give(name):
    space = next(iter(system(name).presets.values())).space
    for seed in range(3):
        graph = space.decode(space.random(stream(seed, "shared")))
        network = build(graph).eval()
        x = torch.randn(2, *graph.input_shape)
        with torch.inference_mode():
            assert torch.equal(network(x), node_by_node(graph, network, x))


def test_weights_depend_on_seed_and_name_alone():
    one, other = SPACE.parse("1-01/1-01-100"), SPACE.parse("1-11/0-01-001")
    first, second = (build(SPACE.decode(genome), seed=5).state_dict() for genome in (one, other))
    shared = set(first) & set(second)
    assert "stage2.node4.conv.weight" in shared
    assert all(torch.equal(first[name], second[name]) for name in shared)
    changed = build(SPACE.decode(one), seed=6).state_dict()
    assert not torch.equal(first["stage1.input.conv.weight"], changed["stage1.input.conv.weight"])
    assert not torch.equal(first["stage2.node4.conv.weight"], first["stage2.node1.conv.weight"])


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    build(everything(), seed=9)
    build(SPACE.decode(SPACE.open()))
    assert torch.equal(before, torch.get_rng_state())


def test_initial_convolutions_are_he_normal():
    draft = Draft((64, 8, 8))
    draft.node("a", ["input"], Convolution(256), ReLU())
    weight = build(draft.graph()).state_dict()["a.conv.weight"]
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


# ---- supernets ----------------------------------------------------------------------------------------------------


def test_gradients_reach_the_weights_of_a_soft_route():
    supernet = build(SPACE.decode(SPACE.open()))
    weights = {name: torch.full((2,), 0.5, requires_grad=True) for name in SPACE.names}
    supernet(IMAGES, {name: {0: w[0], 1: w[1]} for name, w in weights.items()}).sum().backward()
    assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in weights.values())


def test_a_half_open_genome_builds_only_what_may_be_reached():
    genome = list(SPACE.parse("1-01/0-00-000"))
    genome[0] = Open((0, 1))
    graph = SPACE.decode(genome)
    names = {node.name for node in graph.nodes}
    assert graph.is_open
    assert "stage1/node1" in names
    assert "stage2/node1" not in names
    supernet = build(graph).eval()
    for bit in (0, 1):
        closed = (bit, *genome[1:])
        alone = extract(supernet, SPACE.decode(closed))
        assert torch.equal(alone(IMAGES), supernet(IMAGES, {SPACE.names[0]: bit}))


def test_an_incomplete_route_is_an_error_that_names_the_decision():
    supernet = build(SPACE.decode(SPACE.open()))
    with pytest.raises(ValueError, match="nothing about the decision 'stage"):
        supernet(IMAGES, {})


def test_a_route_that_starves_a_needed_node_is_an_error():
    draft = Draft((3, 8, 8))
    draft.node("out", [("input", Is("keep", 1))], ReLU())
    with pytest.raises(ValueError, match="leaves it without an input"):
        build(draft.graph())(IMAGES, {"keep": 0})


def test_a_supernet_over_concatenations_skips_as_well():
    draft = Draft((3, 8, 8))
    a = draft.node("a", [("input", Is("way", "a"))], Convolution(4))
    b = draft.node("b", [("input", Is("way", "a"))], Convolution(4))
    ab = draft.node("ab", [a, b], combine="concat")
    c = draft.node("c", [("input", no(Is("way", "a")))], Convolution(8))
    draft.node("out", [(ab, Is("way", "a")), (c, no(Is("way", "a")))])
    supernet = build(draft.graph())
    assert supernet(IMAGES, {"way": "a"}).shape == supernet(IMAGES, {"way": "c"}).shape == (5, 8, 8, 8)


class Layouts(TorchDispatchMode):
    """Notes gradients that do not lie in memory as the tensor that they belong to."""

    def __init__(self):
        super().__init__()
        self.strange = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.native_batch_norm_backward, torch.ops.aten.threshold_backward):
            gradient, kept = args[:2]
            if gradient.dim() == 4 and gradient.stride() != kept.stride() and gradient.shape[2] > 1:
                self.strange.append((func, gradient.stride(), kept.stride()))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["amoebanet", "darts", "nsga-net", "hierarchical"])
def test_gradients_lie_in_memory_as_their_tensors(name):
    """Where they do not, batch norms and ReLUs take several times as long."""
    space = system(name).preset("small").space
    network = build(space.decode(space.random(stream(0, "layouts"))).simplified(training=True))
    network.to(memory_format=torch.channels_last)
    images = torch.randn(2, *space.input_shape).contiguous(memory_format=torch.channels_last)
    with Layouts() as found:
        network(images).sum().backward()
    assert found.strange == []


def test_a_gradient_through_a_concatenation_is_the_gradient():
    one, other = (torch.randn(2, channels, 3, 3, dtype=torch.float64, requires_grad=True) for channels in (2, 4))
    assert torch.autograd.gradcheck(lambda a, b: concatenated((a, b)), (one, other))
    assert torch.autograd.gradgradcheck(lambda a, b: concatenated((a, b)).square(), (one, other))


def test_a_network_that_nobody_holds_is_gone_at_once():
    gc.collect()
    gc.disable()  # its weights must not wait for the collector
    try:
        network = build(SPACE.decode(SPACE.random(random.Random(0))))
        weights = weakref.ref(next(network.parameters()))
        network(IMAGES).sum().backward()
        del network
        assert weights() is None
    finally:
        gc.enable()


THIN_POINTWISE = """
import torch
from evonas.graph import Draft
from evonas.network import build
from evonas.operations import Convolution

torch.set_num_threads(1)
draft = Draft((4, 8, 8))
draft.node("thin", ["input"], Convolution(2, 1, 2, 0))
network = build(draft.graph()).to(memory_format=torch.channels_last)
images = torch.randn(64, 4, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
for _ in range(300):
    network(images).sum().backward()
"""


def test_gradients_of_a_thin_strided_1x1_convolution_keep_to_their_memory():
    """oneDNN's own do not, with AVX2; the process is aborted sooner or later."""
    assert subprocess.run([sys.executable, "-c", THIN_POINTWISE], check=False).returncode == 0


def test_a_thin_strided_1x1_convolution_is_the_convolution():
    draft = Draft((4, 8, 7))
    draft.node("out", ["input"], Convolution(2, 1, (2, 1), 0, bias=True))
    network, plain = build(draft.graph()), nn.Conv2d(4, 2, 1, (2, 1))
    plain.load_state_dict(dict(network.named_modules())["out.conv"].state_dict())
    images = torch.randn(3, 4, 8, 7, requires_grad=True)  # contiguous: here oneDNN keeps to its memory
    ours = torch.autograd.grad(network(images).square().sum(), [images, *network.parameters()])
    theirs = torch.autograd.grad(plain(images).square().sum(), [images, *plain.parameters()])
    assert torch.allclose(network(images), plain(images), atol=1e-6)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["half", "stage/train/conv1", "meta", "stage/training/conv1", "shape_env", "_code"])
def test_a_node_named_like_a_method_or_field_of_modules_is_refused(name):
    draft = Draft((3, 8, 8))
    draft.node(name, ["input"], Convolution(2))
    with pytest.raises(GraphError, match=r"' is what PyTorch calls a method or field"):
        build(draft.graph())
