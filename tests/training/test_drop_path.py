"""Scheduled drop path: which paths, how often, and that nothing else changes."""

from dataclasses import replace

import pytest
import torch
from devices import agree

from evonas.data.sources import Source
from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genotype import published
from evonas.genomes.nasnet import NASNetSpace
from evonas.graph import INPUT, Draft, GraphError
from evonas.modules import DropPath
from evonas.network import build
from evonas.operations import Identity, ReLU
from evonas.recipe import RECIPES, Recipe
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.train import Training

SPACE = NASNetSpace(normals=1, channels=4, input_shape=(1, 8, 8))
GRAPH = SPACE.read("AmoebaNet-A-tpu")[1]
RECIPE = Recipe(epochs=2, batch_size=16, drop_path=0.4)


def split(device):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 1, 8, 8, generator=generator).to(device)
    return Split(images, (images.mean((1, 2, 3)) > 0).long(), ImageClassification(Source("digits")))


def weights(network):
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


def test_an_images_path_is_dropped_as_a_whole_and_the_expectation_stays(device):
    path, x = DropPath(1.0), torch.ones(20_000, 3, 2, 2, device=device)
    path.rate = 0.25
    y = path(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(y.amax((1, 2, 3)), y.amin((1, 2, 3)))
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(path.eval()(x), x)


def test_shares_grow_with_depth_to_one_and_identities_are_never_dropped():
    shares = {}
    for node in GRAPH.nodes:
        for operation in node.operations:
            if operation.name == "drop_path":
                shares.setdefault(node.name.split("/")[0], set()).add(operation.share)
                assert "skip_connect" not in node.name
    assert shares == {f"cell{n}": {(n + 1) / 5} for n in range(5)}


def test_the_rate_grows_from_nothing_to_the_recipes_at_the_last_cell(device):
    network = build(GRAPH, seed=0)
    paths = [module for module in network.modules() if isinstance(module, DropPath)]
    seen = []
    paths[-1].register_forward_pre_hook(lambda module, inputs: seen.append(module.rate))
    training = Training(network, split(device), RECIPE, seed=0)
    training.epoch()
    training.epoch()
    assert seen == pytest.approx([0.4 * (step + 0.5) / 8 for step in range(8)])
    assert all(path.rate == 0 for path in paths)


def test_without_a_rate_training_is_as_if_there_were_no_paths_to_drop(device):
    def trained(graph, recipe):
        network = build(graph, seed=0)
        Training(network, split(device), recipe, seed=0).epoch()
        return weights(network)

    bare = replace(GRAPH, nodes=tuple(
        replace(node, operations=tuple(op for op in node.operations if op.name != "drop_path")) for node in GRAPH.nodes
    ))  # fmt: skip
    plain = replace(RECIPE, drop_path=0.0)
    assert agree(trained(GRAPH, plain), trained(bare, plain), device)
    assert not agree(trained(GRAPH, RECIPE), trained(GRAPH, plain), device)
    assert bare.digest() == GRAPH.digest()
    assert bare.parameters == GRAPH.parameters


def test_a_training_that_goes_on_drops_the_same_paths(device):
    through = Training(build(GRAPH, seed=0), split(device), RECIPE, seed=1)
    through.epoch()
    state = through.state()
    copied = {"epochs": 1, "network": {k: v.clone() for k, v in state["network"].items()}, "optimizer": {
        **state["optimizer"],
        "state": {n: {k: v.clone() for k, v in each.items()} for n, each in state["optimizer"]["state"].items()},
    }}  # fmt: skip
    later = Training(build(GRAPH, seed=5), split(device), RECIPE, seed=1)
    later.load_state(copied)
    through.epoch()
    later.epoch()
    assert agree(weights(through.network), weights(later.network), device)


def test_darts_drops_paths_in_final_networks_alone():
    genotype = published()["DARTS_V2"].genotype
    final = DARTSSpace(3, 4, input_shape=(1, 8, 8)).decode_genotype(genotype)
    search = DARTSSpace(3, 4, input_shape=(1, 8, 8), search=True).decode_genotype(genotype)

    def dropped(graph):
        return {node.name for node in graph.nodes for op in node.operations if op.name == "drop_path"}

    assert not dropped(search)
    assert not any(
        isinstance(op, Identity) for node in final.nodes if node.name in dropped(final) for op in node.operations
    )
    assert len(dropped(final)) > 10
    assert (RECIPES["darts"].drop_path, RECIPES["amoebanet"].drop_path) == (0.2, 0.3)


def test_only_the_last_node_of_a_draft_can_go_on():
    draft = Draft((1, 4, 4))
    draft.node("a", [INPUT])
    draft.node("b", ["a"])
    with pytest.raises(GraphError, match="a is not the last node; that is b"):
        draft.then("a", ReLU())
    assert draft.then(None, ReLU()) is None
