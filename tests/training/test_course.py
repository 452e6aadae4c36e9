"""A training that stops and goes on equals one that never stopped."""

from dataclasses import replace

import pytest
import torch

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS
from evonas.network import build
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification
from evonas.training.checkpoint import packed, unpacked
from evonas.training.course import Course
from evonas.training.train import final_test

RECIPE = Recipe(epochs=4, batch_size=64, learning_rate=0.05, warmup=1, crop=1, label_smoothing=0.1)
GENOME = tuple(int(bit) for bit in "100110110")


@pytest.fixture(scope="module")
def task():
    return ImageClassification(Source("digits")).identified()


def network(seed=3):
    return build(DIGITS.decode(GENOME).simplified(training=True), seed=seed)


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    "recipe",
    [RECIPE, replace(RECIPE, average=0.9), replace(RECIPE, optimizer="adam", learning_rate=1e-3)],
    ids=["sgd", "averaged", "adam"],
)
def test_a_course_that_stops_after_any_epoch_goes_on_to_the_same_weights(task, recipe):
    splits = task.splits("cpu")
    settings = {"seed": 5, "validation": splits.validation}
    whole = network()
    course = Course(whole, splits.train, recipe, **settings)
    course.go(recipe.epochs)
    state, parts = None, network()
    for reached in (1, 3, 4):
        parts = network()
        again = Course(parts, splits.train, recipe, **settings)
        if state is not None:
            again.load_state(unpacked(state))
        again.go(reached)
        state = packed(again.state())
    assert again.curve == course.curve
    assert again.losses == course.losses
    assert len(course.losses) == 4
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(parts).items())


def test_a_course_that_has_started_over_goes_on_with_its_lower_rate(task, monkeypatch):
    splits = task.splits("cpu")
    wild = replace(RECIPE, learning_rate=1e30, warmup=0, restarts=1)
    monkeypatch.setattr("evonas.training.course.RESTARTED", 5e-32)
    settings = {"seed": 5, "validation": splits.validation}
    course = Course(network(), splits.train, wild, **settings)
    course.go(4)
    first = Course(network(), splits.train, wild, **settings)
    first.go(2)
    state = packed(first.state())
    second = Course(network(), splits.train, wild, **settings)
    second.load_state(unpacked(state))
    second.go(4)
    assert second.recipe.learning_rate == pytest.approx(0.05)
    assert second.curve == course.curve


def test_an_evaluation_goes_on_from_its_state_and_costs_the_rest(task):
    evaluator = Training(task, RECIPE, seed=1, objectives=("accuracy", "parameters"))
    assert evaluator.epochs == 4
    whole = evaluator(Candidate(GENOME, DIGITS))
    assert (whole.status, whole.reached, whole.epochs, whole.state) == ("full", 0, 4, None)
    first = evaluator(Candidate(GENOME, DIGITS, epochs=1))
    assert (first.status, first.reached, first.epochs) == ("partial", 1, 1)
    assert first.curve == whole.curve[:1]
    assert first.values == (first.curve[0], whole.values[1])
    second = evaluator(Candidate(GENOME, DIGITS, epochs=4, state=first.state))
    assert (second.status, second.reached, second.epochs, second.state) == ("full", 4, 3, None)
    assert second.curve == whole.curve
    assert second.losses == whole.losses
    assert second.values == whole.values


def test_a_lost_state_costs_the_whole_and_gives_the_same(task):
    evaluator = Training(task, RECIPE, seed=1)
    anew = evaluator(Candidate(GENOME, DIGITS, epochs=3))
    on = evaluator(Candidate(GENOME, DIGITS, epochs=3, state=evaluator(Candidate(GENOME, DIGITS, epochs=2)).state))
    assert anew.curve == on.curve
    assert (anew.epochs, on.epochs) == (3, 1)
    assert unpacked(anew.state)["learning_rate"] == unpacked(on.state)["learning_rate"]


def test_a_final_training_in_pieces_reads_the_test_split_once_and_ends_as_a_whole_one(task, monkeypatch):
    evaluator = Training(task, RECIPE, seed=1, final=True)
    reads = []
    monkeypatch.setattr("evonas.training.train.final_test", counted(reads))
    whole = evaluator(Candidate(GENOME, DIGITS, keeps=True))
    assert len(reads) == 1
    first = evaluator(Candidate(GENOME, DIGITS, epochs=3, keeps=True))
    assert (first.status, first.values, first.weights, first.epochs) == ("partial", (), None, 3)
    assert len(reads) == 1
    second = evaluator(Candidate(GENOME, DIGITS, epochs=4, state=first.state, keeps=True))
    assert (second.status, second.epochs, len(reads)) == ("full", 1, 2)
    assert second.values == whole.values
    assert second.weights == whole.weights


def counted(reads):
    def counting(*arguments, **settings):
        reads.append(arguments)
        return final_test(*arguments, **settings)

    return counting
