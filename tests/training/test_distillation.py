"""A teacher in a training: what it adds to the loss, what it takes, and that it stays as it is."""

from dataclasses import replace
from math import exp, log

import pytest
import torch

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.genomes.residual import ResidualSpace
from evonas.network import build
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.distillation import Guide, differing, of_logits
from evonas.training.memory import training_bytes
from evonas.training.train import Training

TEACHER = ResidualSpace(widths=(8,), blocks=1, input_shape=(1, 8, 8)).decode(())
STUDENT = ResidualSpace(widths=(4,), blocks=1, input_shape=(1, 8, 8)).decode(())
RECIPE = Recipe(epochs=3, batch_size=16, optimizer="adam", learning_rate=5e-3, distill=1.0, hard=0.0)
CLASSES = ImageClassification(Source("digits"))


@pytest.fixture
def split():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 1, 8, 8, generator=generator)
    return Split(images, (images.mean((1, 2, 3)) > 0).long(), CLASSES)


def guide(graph=TEACHER, **given):
    return Guide(build(graph, seed=1), **given)


def test_squared_errors_are_means_over_pictures_and_classes():
    assert of_logits(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]), 0).item() == (1 + 4) / 2


def test_a_temperature_softens_both_and_keeps_the_size_of_gradients():
    own, theirs = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    p = 1 / (1 + exp(2.0))  # of 0 against 4, at temperature 2
    logs = [1 - log(1 + exp(1.0)), -log(1 + exp(1.0))]  # of 2 and 0, at temperature 2
    assert of_logits(own, theirs, 2.0).item() == pytest.approx(-4 * (p * logs[0] + (1 - p) * logs[1]), rel=1e-6)


def test_the_loss_is_that_of_labels_times_hard_and_of_the_teacher_times_distill(split):
    both = Training(build(STUDENT), split, replace(RECIPE, hard=0.3, distill=2.0), seed=0, teacher=guide())
    images, labels = split.inputs[:16], split.targets[:16]
    logits, theirs = both.network(images), guide()(images)[0]
    by_hand = 0.3 * torch.nn.functional.cross_entropy(logits, labels) + 2 * (logits - theirs).square().mean()
    assert both._loss(images, labels).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_features_are_compared_at_the_nodes_of_these_names(split):
    name = "stage1/block1/sum"
    recipe = replace(RECIPE, distill=0.0, features=(name,), imitate=0.5)
    training = Training(build(TEACHER, seed=3), split, recipe, seed=0, teacher=guide())
    images = split.inputs[:16]
    other = Training(build(TEACHER, seed=3), split, replace(recipe, imitate=1.0), seed=0, teacher=guide())
    once, twice = (each._loss(images, split.targets[:16]).item() for each in (training, other))
    assert twice == pytest.approx(2 * once)
    training.epoch()
    for key, weights in training.network.named_parameters():
        assert (weights.grad is None) == key.startswith("classifier"), key  # what comes after them learns nothing
    same = Training(build(TEACHER, seed=1), split, recipe, seed=0, teacher=guide())
    same.network.eval()
    assert same._loss(images, split.targets[:16]).item() < 1e-10


def test_what_cannot_be_compared_is_said():
    recipe = replace(RECIPE, features=("stage1/block1/sum",))
    assert differing(recipe, TEACHER, TEACHER) == ""
    assert differing(recipe, STUDENT, TEACHER) == "stage1/block1/sum gives (4, 8, 8), and the teacher's (8, 8, 8)"
    assert "has no node 'stem9'" in differing(replace(RECIPE, features=("stem9",)), STUDENT, TEACHER)


def test_a_teacher_is_frozen_and_sees_the_augmented_pictures(split):
    seen = []
    teacher = guide()
    teacher.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    training = Training(build(STUDENT), split, replace(RECIPE, crop=2), seed=0, teacher=teacher)
    own = []
    training.network.register_forward_pre_hook(lambda module, inputs: own.append(inputs[0]))
    teacher._tapped[()] = teacher.network
    teacher.network.forward_one, forward = None, teacher.network.forward
    teacher.network.forward = lambda x: (forward(x),)
    training.epoch()
    assert len(seen) == len(own) == 4
    assert all(torch.equal(one, other) for one, other in zip(seen, own, strict=True))
    assert not torch.equal(seen[0][0], split.inputs[0])
    for name, value in teacher.network.state_dict().items():
        assert torch.equal(value, before[name]), name  # statistics of batch norm included
    assert all(weights.grad is None for weights in teacher.network.parameters())


def test_pictures_that_a_teacher_knows_otherwise_normalised_are_normalised_for_it(split):
    scale, shift = torch.tensor([2.0]).view(1, 1, 1), torch.tensor([0.5]).view(1, 1, 1)
    plain, adapted = guide(), guide(affine=(scale, shift))
    images = split.inputs[:4]
    assert torch.equal(adapted(images)[0], plain(images * 2 + 0.5)[0])


def test_errors_of_logits_fall_from_epoch_to_epoch(split):
    training = Training(build(STUDENT), split, replace(RECIPE, epochs=8), seed=0, teacher=guide())
    losses = [training.epoch() for _ in range(8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


def test_a_training_that_goes_on_equals_one_that_never_stopped(split):
    through = Training(build(STUDENT), split, RECIPE, seed=0, teacher=guide())
    losses = [through.epoch() for _ in range(3)]
    first = Training(build(STUDENT), split, RECIPE, seed=0, teacher=guide())
    first.epoch()
    later = Training(build(STUDENT, seed=5), split, RECIPE, seed=0, teacher=guide())
    later.load_state(first.state())
    assert [later.epoch(), later.epoch()] == losses[1:]
    for name, value in through.network.state_dict().items():
        assert torch.equal(value, later.network.state_dict()[name])


def test_a_recipe_that_distils_wants_a_teacher_and_one_that_does_not_has_none_of_its_settings(split):
    with pytest.raises(UserError, match="distils, and there is no teacher"):
        Training(build(STUDENT), split, RECIPE, seed=0)
    for wrong in ({"hard": 0.0}, {"distill_temperature": 2.0}):
        with pytest.raises(UserError, match="are of trainings with a teacher; set distill"):
            Recipe(**wrong)
    with pytest.raises(UserError, match="must be at least 0"):
        Recipe(distill=-1.0)


def test_old_recipes_keep_their_identity_and_a_recipe_can_do_without_its_teacher():
    assert "distill" not in Recipe().to_json()
    whole = replace(RECIPE, features=("stem",))
    assert whole.to_json()["features"] == ["stem"]
    assert whole.by_labels() == Recipe(epochs=3, batch_size=16, optimizer="adam", learning_rate=5e-3)
    assert not whole.by_labels().distills


def test_the_memory_of_a_teacher_counts():
    large = ResidualSpace(widths=(64,), blocks=4, input_shape=(1, 8, 8)).decode(())
    alone = training_bytes(STUDENT, RECIPE)
    assert alone < training_bytes(STUDENT, RECIPE, teacher=TEACHER) < training_bytes(STUDENT, RECIPE, teacher=large)
    assert training_bytes(STUDENT, RECIPE, teacher=large) > alone + 4 * large.parameters
