"""Learned group convolutions: when they condense, what is left, and that a training is none the wiser."""

import copy
from dataclasses import replace

import pytest
import torch
from devices import agree
from safetensors.torch import load
from torch import nn

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training as ByTraining
from evonas.graph import Draft, Graph, GraphError
from evonas.individual import Individual
from evonas.model.export import export
from evonas.model.final_training import Request, train_to_the_end
from evonas.network import build, check
from evonas.operations import (
    BatchNorm,
    Call,
    Convolution,
    GlobalAveragePool,
    LearnedGroupConvolution,
    Linear,
    Operation,
    ReLU,
)
from evonas.recipe import Recipe
from evonas.scheduled import CondensedConv2d, LearnedGroupConv2d, Scheduled, finished
from evonas.space import Space
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.course import Course
from evonas.training.latency import latency
from evonas.training.memory import training_bytes
from evonas.training.train import Training

RECIPE = Recipe(epochs=6, batch_size=16, learning_rate=0.05, clip_norm=5)
LEARNED = LearnedGroupConvolution(12, groups=3, condensation=4)


def network_of(operation=LEARNED, shape=(1, 8, 8)) -> Graph:
    draft = Draft(shape)
    draft.node("stem", ["input"], Convolution(16), BatchNorm(), ReLU())
    draft.node("block", ["stem"], operation, BatchNorm(), ReLU())
    draft.node("classifier", ["block"], GlobalAveragePool(), Linear(10))
    return draft.graph()


GRAPH = network_of()


@pytest.fixture(scope="module")
def task():
    return ImageClassification(Source("digits"))


@pytest.fixture
def split(device):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 1, 8, 8, generator=generator).to(device)
    return Split(images, (images.mean((1, 2, 3)) > 0).long(), ImageClassification(Source("digits")))


class Fixed(Space):
    name = "fixed"

    def decode(self, genome):
        return GRAPH


def learned(network) -> LearnedGroupConv2d:
    (found,) = (module for module in network.modules() if isinstance(module, LearnedGroupConv2d))
    return found


def weights(network):
    return torch.cat([value.flatten().float() for value in network.state_dict().values()])


# ---- the schedule --------------------------------------------------------------------------------------------------


def test_each_of_the_stages_in_the_first_half_ends_with_a_part_of_the_inputs_less(split):
    """C - 1 = 3 stages of an epoch each, in the first three of six epochs; four steps an epoch."""
    network = build(GRAPH, seed=0).to(split.device)
    module, seen = learned(network), []
    module.register_forward_pre_hook(lambda module, inputs: seen.append(module.kept.sum(1).tolist()))
    training = Training(network, split, RECIPE, seed=0)
    for _ in range(6):
        training.epoch()
    assert [set(kept) for kept in seen] == [{16}] * 4 + [{12}] * 4 + [{8}] * 4 + [{4}] * 12
    assert training.settled


@pytest.mark.parametrize(("condensation", "left"), [(1, [16]), (2, [16, 8]), (4, [16, 12, 8, 4]), (8, [16, 14, 12])])
def test_every_stage_costs_a_cth_whatever_c(condensation, left):
    module = learned(build(network_of(LearnedGroupConvolution(12, 3, condensation))))
    found = []
    for step in range(24):
        module.keep(Recipe(epochs=24), step + 0.5)
        found.append(int(module.kept[0].sum()))
    assert sorted(set(found), reverse=True)[: len(left)] == left
    assert found[-1] == 16 // condensation
    assert found[12:] == [16 // condensation] * 12
    assert module.settled


def test_the_inputs_with_the_smallest_weights_of_a_group_go_and_do_not_come_back():
    module = learned(build(GRAPH))
    with torch.no_grad():
        module.weight.fill_(1.0)
        module.weight[4:8, [3, 5, 7, 9]] = -0.1  # of the second group alone
    module.keep(RECIPE, 1.0)
    assert module.kept[1].logical_not().nonzero()[:, 0].tolist() == [3, 5, 7, 9]
    gone = module.kept.logical_not()
    with torch.no_grad():
        module.weight[4:8, [3, 5, 7, 9]] = 9.0
    module.keep(RECIPE, 2.0)
    assert not module.kept[gone].any()
    module.keep(RECIPE, 0.0)
    assert module.kept[0].sum() == 8  # there is no way back but other weights


def test_a_recipe_by_epoch_condenses_within_its_only_epoch(split):
    network = build(GRAPH, seed=0)
    training = Training(network, split, replace(RECIPE, epochs=1, by_epoch=True), seed=0)
    training.epoch()
    assert training.settled


# ---- what is left --------------------------------------------------------------------------------------------------


def test_after_a_training_an_index_and_a_group_convolution_give_the_same_outputs(split):
    network = build(GRAPH, seed=0)
    training = Training(network, split, RECIPE, seed=0)
    for _ in range(6):
        training.epoch()
    end = finished(network.eval())
    module = learned(network)
    (last,) = (each for each in end.modules() if isinstance(each, CondensedConv2d))
    assert torch.allclose(end(split.inputs), network(split.inputs), rtol=1e-4, atol=1e-5)
    # exactly 1/C of the weights is left
    assert last.weight.numel() == module.weight.numel() // 4 == LEARNED.parameters((16, 8, 8))
    assert int((module._grouped() != 0).sum()) == module.weight.numel() // 4
    assert sum(each.numel() for each in end.parameters()) == GRAPH.parameters
    # and the convolution is PyTorch's own, on channels that are selected before it
    plain = nn.Conv2d(12, 12, 1, groups=3, bias=False).to(split.device)
    plain.weight.data.copy_(last.weight)
    x = torch.randn(3, 16, 4, 4, device=split.device)
    assert torch.allclose(plain(x[:, last.index]), module(x), rtol=1e-4, atol=1e-5)


def test_an_untrained_network_is_timed_as_it_would_be_in_the_end(monkeypatch):
    timed = []
    forward = CondensedConv2d.forward
    monkeypatch.setattr(CondensedConv2d, "forward", lambda self, x: (timed.append(1), forward(self, x))[1])
    assert latency(build(GRAPH), torch.zeros(1, 1, 8, 8)) > 0
    assert len(timed) == 35


def test_counts_are_those_of_the_end_and_memory_that_of_the_training():
    plain = network_of(Convolution(12, 1, groups=4))  # takes 1/4 of the inputs too
    assert (GRAPH.parameters, GRAPH.multiply_adds) == (plain.parameters, plain.multiply_adds)
    assert GRAPH.parameters_in_training == plain.parameters + 3 * 12 * 4
    assert training_bytes(GRAPH, RECIPE) > training_bytes(plain, RECIPE)


def test_its_graph_comes_back_from_json():
    assert Graph.from_json(GRAPH.to_json()) == GRAPH
    assert "conv 12 1x1 3 learned groups of 1/4" in str(GRAPH)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (LearnedGroupConvolution(12, 3, 5), "16 -> 12 channels do not divide: the first by the condensation of 5"),
        (LearnedGroupConvolution(12, 5, 4), "the second into 5 groups"),
    ],
)
def test_channels_that_do_not_divide_are_refused(operation, says):
    with pytest.raises(GraphError, match=says):
        network_of(operation)


def test_fields_out_of_range_are_refused():
    with pytest.raises(ValueError, match="lasso is not negative"):
        LearnedGroupConvolution(8, lasso=-1)


# ---- the training --------------------------------------------------------------------------------------------------


def test_the_group_lasso_is_a_part_of_the_loss(split):
    def first(lasso):
        graph = network_of(replace(LEARNED, lasso=lasso))
        return Training(build(graph, seed=0), split, replace(RECIPE, batch_size=64), seed=0).epoch()  # a single step

    module = learned(build(GRAPH, seed=0))
    groups = (module.weight.detach() * module.kept.repeat_interleave(4, 0)[:, :, None, None]).view(3, 4, 16)
    by_hand = sum(max(float(groups[g, :, j].norm()), 1e-3) for g in range(3) for j in range(16))
    assert module.penalty().item() == pytest.approx(1e-5 * by_hand, rel=1e-4)
    assert first(1.0) - first(0.0) == pytest.approx(by_hand, rel=1e-3)
    module.keep(RECIPE, 3)
    assert module.penalty() is None  # nothing is to go any more


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_training_that_goes_on_equals_one_that_never_stopped(split, average):
    recipe = replace(RECIPE, average=average)
    through = Training(build(GRAPH, seed=0), split, recipe, seed=1)
    through.epoch()
    through.epoch()
    state = copy.deepcopy(through.state())
    later = Training(build(GRAPH, seed=5), split, recipe, seed=1)
    later.load_state(state)
    for _ in range(4):
        through.epoch()
        later.epoch()
    assert agree(weights(through.judged), weights(later.judged), split.device.type)
    assert through.settled
    assert learned(later.judged).kept.sum() == 3 * 4


def test_a_restart_begins_with_all_inputs_again(split):
    course = Course(build(GRAPH, seed=0), split, replace(RECIPE, epochs=2, restarts=1), seed=0, validation=split)
    module = learned(course.network)
    module.keep(course.recipe, 1.0)
    course.network.load_state_dict(course.begun)
    module.keep(course.recipe, 1.0)
    assert module.kept.sum() == 3 * 4  # it is condensed anew, and does not take the moment that it knows for done


def test_a_final_training_keeps_no_epoch_before_the_last_stage_and_exports(task, tmp_path, monkeypatch):
    monkeypatch.setattr("evonas.training.train.evaluate", falling())  # earlier epochs are always better
    request = Request(GRAPH, "learned", task, replace(RECIPE, epochs=4, batch_size=256))
    trained = train_to_the_end(request, tmp_path / "trained")
    assert trained.facts["epoch"] == 3  # stages end within the second epoch; the third one begins settled
    assert trained.weights()["block.learned_group_conv.weight"].shape == (12, 4, 1, 1)
    assert trained.network()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert export(trained, tmp_path / "exported") <= 1e-5
    assert "learned_group_conv=CondensedConv2d(12, 3, 4)," in (tmp_path / "exported" / "network.py").read_text()


def falling():
    values = iter(range(100, 0, -1))
    return lambda *given, **how: {"accuracy": next(values) / 100}


def test_a_final_evaluation_hands_over_the_condensed_network(task):
    candidate = Candidate.of(Individual(("learned",)), Fixed())
    candidate.keeps = True
    outcome = ByTraining(task, replace(RECIPE, epochs=1), seed=0, final=True)(candidate)
    assert load(outcome.weights)["block.learned_group_conv.index"].shape == (12,)


# ---- the contract --------------------------------------------------------------------------------------------------


class Fading(Scheduled):
    """A user's own: noise that a training takes away."""

    exported = nn.Identity

    def __init__(self):
        super().__init__()
        self.seen, self.share = [], 1.0

    def keep(self, recipe, now):
        self.seen.append(now)
        self.share = 1 - now / recipe.epochs

    def pause(self):
        self.seen.append("pause")

    def forward(self, x):
        return x + self.share * torch.randn_like(x) if self.training else x


def test_modules_of_ones_own_hear_of_a_training_too(registry, split):
    fading = type("Own", (Operation,), {"name": "fading", "module": lambda self, shape: Call(Fading)})()
    graph = network_of(fading)
    check(network_of(fading))
    network = build(graph, seed=0)
    Training(network, split, replace(RECIPE, epochs=1, batch_size=32), seed=0).epoch()
    (module,) = (each for each in network.modules() if isinstance(each, Fading))
    assert module.seen == [0.25, 0.75, "pause"]
    assert finished(network) is network
