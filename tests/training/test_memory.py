"""The estimate of a training's memory, and what is done where it is too much."""

from dataclasses import replace

import pytest
import torch
from devices import asked_for, like

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation import training as by_training
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genet import DIGITS
from evonas.graph import Draft
from evonas.network import build
from evonas.operations import Convolution, GlobalAveragePool, Linear, ReLU
from evonas.recipe import Recipe
from evonas.supernets.darts import DARTS
from evonas.supernets.pc_darts import PCDARTS
from evonas.support.device import memory_of
from evonas.support.streams import stream
from evonas.systems.registry import system
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.course import train
from evonas.training.memory import SPARE, splits_within, supernet_bytes, training_bytes
from evonas.training.train import Training

RECIPE = Recipe(epochs=3, batch_size=16)
GENOME = DIGITS.parse("1-01/1-01-101")
CLASSES = ImageClassification(Source("digits"))  # what is learnt of labels


WORKSPACE = 256 << 20  # bytes that the kernels of a GPU may take to work in, beside what autograd asks for


def asked_of_the_allocator(graph, recipe, device):
    """Bytes that are alive at once in the second step, as torch counts them, with weights and momentum."""
    images = torch.rand(recipe.batch_size, *graph.input_shape, device=device)
    split = Split(images, torch.arange(recipe.batch_size, device=device) % 10, CLASSES)
    training = Training(build(graph.simplified(training=True)), split, recipe, seed=0)
    training.epoch()
    return asked_for(training.epoch, device) + 2 * 4 * graph.parameters


def check(estimate, found, device, *, rel):
    """Without what allocators take, an estimate is what is asked for on a CPU. A GPU's kernels ask for more, how much
    benchmarks/gpu.py measures."""
    estimate /= SPARE[device]["float32"]
    if device == "cpu":
        assert estimate == pytest.approx(found, rel=rel)
    else:
        assert (1 - 2 * rel) * estimate < found < (1 + 2 * rel) * estimate + WORKSPACE


@pytest.mark.parametrize(
    ("name", "seed"),
    [("genet", 0), ("genet", 1), ("amoebanet", 0), ("hierarchical", 0), ("nsga-net", 0), ("darts", 0)],
)
def test_the_estimate_is_what_autograd_asks_for(name, seed, device):
    space = system(name).preset("small").space
    graph = space.decode(space.random(stream(seed, "memory")))
    check(training_bytes(graph, RECIPE, device=device), asked_of_the_allocator(graph, RECIPE, device), device, rel=0.1)


def test_the_estimate_holds_for_operations_of_a_users(own, device):
    draft = Draft((3, 16, 16))
    draft.node("stem", ["input"], Convolution(16), own.Mish())
    draft.node("block", ["stem"], *[own.Depthwise(), own.Mish()] * 3)
    draft.node("head", ["block"], GlobalAveragePool(), Linear(10))
    graph = draft.graph()
    check(training_bytes(graph, RECIPE, device=device), asked_of_the_allocator(graph, RECIPE, device), device, rel=0.15)


def longest(space, device):
    one = torch.tensor(1.0, device=device)
    return {d.name: {"sep_conv_3x3": one.clone().requires_grad_()} for d in space.decisions(space.open())}


def test_the_estimate_holds_where_inputs_are_joined_by_attention(device):
    draft = Draft((3, 16, 16))
    images = ["input"]
    for depth in range(3):
        made = [draft.node(f"branch{depth}{side}", images[-1:], Convolution(16), ReLU()) for side in "abc"]
        images.append(draft.node(f"joined{depth}", made, combine="attention"))
    draft.node("head", images[-1:], GlobalAveragePool(), Linear(10))
    graph = draft.graph()
    check(training_bytes(graph, RECIPE, device=device), asked_of_the_allocator(graph, RECIPE, device), device, rel=0.1)


@pytest.mark.parametrize(
    ("partial", "route", "paths"),
    [
        (1, lambda space, device: DARTS(space, rng=stream(0, "route")).to(device).route(), None),
        (4, lambda space, device: PCDARTS(space, rng=stream(0, "route")).to(device).route(), None),
        (1, longest, 1),
    ],
    ids=["darts", "pc-darts", "the largest path"],
)
def test_the_estimate_of_a_supernet_is_what_autograd_asks_for(partial, route, paths, device):
    space = DARTSSpace(5, 8, search=True, partial=partial)
    graph, route = space.decode(space.open()), route(space, device)
    supernet = build(graph).to(device=device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(supernet.parameters(), 0.01, momentum=0.9)
    images = torch.rand(16, *graph.input_shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(16, device=device) % 10

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(supernet(images, route), labels).backward(retain_graph=True)
        optimizer.step()

    step()
    estimate = supernet_bytes(graph, RECIPE, paths=paths, device=device)
    check(estimate, asked_for(step, device) + 2 * 4 * graph.parameters, device, rel=0.15)


def test_larger_batches_adam_and_an_auxiliary_classifier_take_more():
    space = system("amoebanet").preset("small").space
    graph = space.decode(space.random(stream(0, "memory")))
    plain = training_bytes(graph, RECIPE)
    assert training_bytes(graph, replace(RECIPE, batch_size=32)) > 1.9 * plain
    assert training_bytes(graph, replace(RECIPE, optimizer="adam")) > plain
    assert training_bytes(graph, replace(RECIPE, auxiliary=0.4)) > plain
    assert training_bytes(graph, RECIPE, splits=2) < 0.6 * plain
    assert training_bytes(graph, RECIPE, precision="bfloat16") < 0.6 * plain


def test_batches_are_split_no_further_than_it_takes():
    graph = DIGITS.decode(GENOME)
    whole, half = (training_bytes(graph, RECIPE, splits=splits) for splits in (1, 2))
    assert splits_within(graph, RECIPE, whole) == 1
    assert splits_within(graph, RECIPE, half) == 2
    assert splits_within(graph, RECIPE, 1000) is None


def test_a_network_over_the_limit_is_a_failure_that_says_what_to_do(device):
    evaluator = by_training.Training(CLASSES, RECIPE, seed=0, device=device, memory=500_000)
    outcome = evaluator(Candidate(GENOME, DIGITS))
    assert outcome.failed
    assert outcome.error.startswith("memory: about ")
    assert "--accumulate" in outcome.error
    assert outcome.epochs == 0


def test_a_network_over_the_limit_is_trained_in_parts_where_that_is_allowed(device):
    needed = training_bytes(DIGITS.decode(GENOME), RECIPE, device=device)
    evaluator = by_training.Training(CLASSES, RECIPE, seed=0, device=device, memory=needed // 2, accumulate=True)
    candidate = Candidate(GENOME, DIGITS)
    outcome = evaluator(candidate)
    assert outcome.values[0] > 0.5
    whole = replace(evaluator, memory=needed)(candidate)
    assert whole.values == like(replace(evaluator, memory=None)(candidate).values, device)
    assert outcome.curve != whole.curve  # batch norms saw half a batch at a time
    assert replace(evaluator, memory=1000)(candidate).error.startswith("memory: ")


def test_gradients_of_the_parts_of_a_batch_are_those_of_the_whole(device):
    digits = ImageClassification(Source("digits")).splits(device).train[:64]
    found = []
    for splits in (1, 3):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        torch.manual_seed(0)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        train(network, digits, Recipe(epochs=3, batch_size=32, learning_rate=0.1), seed=0, splits=splits)
        found.append(network[1].weight.detach().clone())
    assert torch.allclose(*found, atol=1e-5)


def test_the_memory_of_the_device_is_known(device):
    assert 10**8 < memory_of(device) < 10**14
