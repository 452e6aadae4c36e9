"""The auxiliary classifier: where it stands, what it adds to the loss, and that nothing of it is left."""

from dataclasses import replace

import pytest
import torch
from devices import agree, like
from safetensors.torch import load

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation import training as by_training
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genotype import published
from evonas.genomes.nasnet import NASNetSpace
from evonas.graph import INPUT, Graph, GraphError, Node
from evonas.network import build, tapped
from evonas.recipe import RECIPES, Recipe
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.auxiliary import head
from evonas.training.train import Training

GRAPH = NASNetSpace(normals=1, channels=4, input_shape=(1, 8, 8)).read("AmoebaNet-A-tpu")[1]
RECIPE = Recipe(epochs=2, batch_size=16, auxiliary=0.4)
CLASSES = ImageClassification(Source("digits"))  # what is learnt of labels


def split(device):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 1, 8, 8, generator=generator).to(device)
    return Split(images, (images.mean((1, 2, 3)) > 0).long(), CLASSES)


def trained(device, recipe, graph=GRAPH, epochs=1):
    training = Training(build(graph, seed=0), split(device), recipe, seed=0)
    losses = [training.epoch() for _ in range(epochs)]
    return training, losses


def test_it_stands_two_thirds_down_the_network():
    darts = DARTSSpace(20, 36).decode_genotype(published()["DARTS_V2"].genotype)
    assert (darts.auxiliary, darts.shapes[darts.auxiliary]) == ("cell13/output", (576, 8, 8))
    nasnet = NASNetSpace(6, 32).read("NASNet-A-slim")[1]
    assert (nasnet.auxiliary, nasnet.shapes[nasnet.auxiliary][1:]) == ("cell12/output", (16, 16))
    pnas = NASNetSpace(3, 8, reduction="stride").read("PNASNet-5")[1]
    assert pnas.auxiliary == "cell5/output"
    assert DARTSSpace(8, 16, search=True).read("DARTS_V2")[1].auxiliary is None


def test_the_head_has_the_published_layers():
    made = head((576, 8, 8), 10)
    count = 576 * 128 + 2 * 128 + 128 * 768 * 2 * 2 + 2 * 768 + 768 * 10 + 10
    assert made.parameters == count
    for size in (1, 2, 4, 7, 16):
        assert build(head((8, size, size), 10))(torch.randn(2, 8, size, size)).shape == (2, 10)


def test_a_tapped_network_gives_the_same_output_and_the_node():
    network, images = build(GRAPH, seed=0).eval(), torch.randn(2, 1, 8, 8)
    logits, middle = tapped(network, GRAPH.auxiliary)(images)
    assert torch.equal(logits, network(images))
    assert middle.shape[1:] == GRAPH.shapes[GRAPH.auxiliary]


def test_its_loss_is_added_with_its_weight_and_reaches_the_cells_before_it(device):
    training = Training(build(GRAPH, seed=0), split(device), RECIPE, seed=0)
    plain = Training(build(GRAPH, seed=0), split(device), replace(RECIPE, auxiliary=0.0), seed=0)
    images, labels = split(device).inputs[:16], split(device).targets[:16]
    total, alone = training._loss(images, labels), plain._loss(images, labels)
    _, middle = training.tapped(images)
    second = torch.nn.functional.cross_entropy(training.head(middle), labels)
    assert total.item() == pytest.approx((alone + 0.4 * second).item(), rel=1e-4)
    total.backward()
    alone.backward()
    before = dict(training.network.named_parameters())["stem.conv.weight"].grad
    without = dict(plain.network.named_parameters())["stem.conv.weight"].grad
    assert not torch.allclose(before, without)


def test_nothing_of_it_is_left_in_the_network(device):
    training, _ = trained(device, RECIPE)
    assert set(training.network.state_dict()) == set(build(GRAPH).state_dict())
    assert training.network(split(device).inputs[:2]).shape == (2, 10)


def test_a_training_that_goes_on_keeps_its_head(device):
    through, losses = trained(device, RECIPE, epochs=2)
    first, _ = trained(device, RECIPE)
    later = Training(build(GRAPH, seed=5), split(device), RECIPE, seed=0)
    later.load_state(first.state())
    assert later.epoch() == like(losses[1], device, off=1e-3)
    for name, value in through.state()["auxiliary"].items():
        assert agree(value, later.state()["auxiliary"][name], device), name


def test_networks_without_a_place_for_it_are_trained_as_without_it(device):
    bare = replace(GRAPH, auxiliary=None)
    with_head, first = trained(device, RECIPE, bare)
    _, second = trained(device, replace(RECIPE, auxiliary=0.0), bare)
    assert with_head.head is None
    assert first == like(second, device, off=1e-3)


def test_the_place_travels_in_json_and_must_be_a_node():
    assert Graph.from_json(GRAPH.to_json()) == GRAPH
    with pytest.raises(GraphError, match="which is no node"):
        Graph((1, 4, 4), (Node("a", Graph.from_json(GRAPH.to_json()).nodes[0].inputs),), "b")
    assert GRAPH.nodes[0].inputs[0].source == INPUT


def test_the_papers_recipes_have_it():
    assert (RECIPES["darts"].auxiliary, RECIPES["amoebanet"].auxiliary) == (0.4, 0.5)
    with pytest.raises(UserError, match="auxiliary, restarts, last_rate and cycle must be at least 0"):
        Recipe(auxiliary=-1)


def test_searches_and_final_trainings_train_it_and_the_paths_to_be_dropped(monkeypatch, device):
    kept = GRAPH.simplified(training=True)
    assert kept.auxiliary == GRAPH.auxiliary
    assert any(op.name == "drop_path" for node in kept.nodes for op in node.operations)
    plain = GRAPH.simplified()
    assert plain.auxiliary is None
    assert not any(op.name == "drop_path" for node in plain.nodes for op in node.operations)
    assert set(build(kept).state_dict()) == set(build(plain).state_dict())

    space = NASNetSpace(normals=1, channels=4, input_shape=(1, 8, 8))
    genome = space.random(stream(0, "genome"))
    recipe = Recipe(epochs=1, batch_size=256)

    def weights(**changes):
        evaluator = by_training.Training(CLASSES, replace(recipe, **changes), seed=0, device=device, final=True)
        found = load(evaluator(Candidate(genome, space, keeps=True)).weights)
        return torch.cat([found[name].flatten() for name in sorted(found)])

    monkeypatch.setattr(by_training.Training, "identity", lambda self, candidate: "the same streams")
    assert agree(weights(), weights(), device)
    assert not agree(weights(auxiliary=0.4), weights(), device)
    assert not agree(weights(drop_path=0.4), weights(), device)
