"""Classes that are not equally frequent: metrics that count each class as much as any other, weights and a sampler."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics

import evonas
from evonas.data.given import write_own_data
from evonas.data.sources import Source
from evonas.evaluation.training import Training
from evonas.recipe import Recipe
from evonas.tasks.classification import Accuracy, BalancedAccuracy, ImageClassification, MacroF1
from evonas.tasks.task import measure

OWN = Path(__file__).parents[1] / "acceptance" / "test_own_task.py"
COUNTS = (60, 30, 10)
QUICK = {"population": 2, "epochs": 1, "final.epochs": 1}


@pytest.fixture
def unequal(tmp_path):
    """A hundred pictures of noise for training, in three classes of 60, 30 and 10; a tenth as many are the test."""
    rng, y = np.random.default_rng(0), np.repeat(np.arange(3), COUNTS)
    x = rng.integers(0, 255, (100, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "unequal.npz", x_train=x, y_train=y, x_test=x[::10], y_test=y[::10],
             classes=["ant", "bee", "cat"])  # fmt: skip
    return ImageClassification(Source(str(tmp_path / "unequal.npz"), validation=0.2))


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_a_search_are_those_of_scikit_learn_batch_by_batch(seed, device):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(4, (90,), generator=generator)
    targets[targets == 3] = 1 + seed % 3  # sometimes a class does not occur
    outputs = torch.randn(90, 5, generator=generator) + 2 * torch.nn.functional.one_hot(targets, 5)
    said = set(outputs.argmax(1).tolist()) | set(targets.tolist())
    assert len(said) >= 3
    expected = {
        Accuracy: metrics.accuracy_score(targets, outputs.argmax(1)),
        BalancedAccuracy: metrics.balanced_accuracy_score(targets, outputs.argmax(1)),
        MacroF1: metrics.f1_score(targets, outputs.argmax(1), average="macro"),
    }
    outputs, targets = outputs.to(device), targets.to(device)
    for kind, value in expected.items():
        total = None
        for part in range(0, 90, 32):
            total = kind().add(total, outputs[part : part + 32], targets[part : part + 32])
        assert kind().value(total, 90) == pytest.approx(value)


def test_who_does_not_look_scores_what_always_naming_one_class_scores(device):
    targets = torch.tensor([0] * 6 + [1] * 3 + [2], device=device)
    said = torch.nn.functional.one_hot(torch.zeros(10, dtype=torch.int64, device=device), 3).float()
    for kind in (Accuracy, BalancedAccuracy, MacroF1):
        assert kind().null(targets) == pytest.approx(kind().value(kind().add(None, said, targets), 10))


def test_class_weights_are_those_of_scikit_learn(unequal, device):
    from sklearn.utils.class_weight import compute_class_weight

    outputs, targets = torch.randn(50, 3, device=device), torch.randint(3, (50,), device=device)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=unequal.images.y)
    weights = torch.tensor(weights, dtype=torch.float32, device=device)
    expected = torch.nn.functional.cross_entropy(outputs, targets, weights)
    assert torch.allclose(unequal.loss(outputs, targets, Recipe(class_weights=True)), expected)
    assert not torch.allclose(unequal.loss(outputs, targets, Recipe()), expected)


def test_class_weights_count_an_image_as_often_as_it_is_drawn(unequal, device):
    file = unequal.source.name
    with np.load(file) as arrays:
        parts = dict(arrays)
    parts["weights_train"] = 0.5 / np.array(COUNTS)[parts["y_train"]]  # with which the classes are equal
    np.savez(file.replace("unequal", "weighted"), **parts)
    weighted = ImageClassification(Source(file.replace("unequal", "weighted")))
    outputs, targets = torch.randn(50, 3, device=device), torch.randint(3, (50,), device=device)
    expected = torch.nn.functional.cross_entropy(outputs, targets)
    assert torch.allclose(weighted.loss(outputs, targets, Recipe(class_weights=True)), expected)


def test_a_balanced_epoch_has_each_class_as_often_as_any_other(unequal, device):
    split, drawn = unequal.splits(device).whole, []
    for seed in range(20):
        generator = torch.Generator(device).manual_seed(seed)
        drawn += [targets for _, targets in split.shuffled(20, Recipe(balanced=True), generator)]
    shares = torch.cat(drawn).bincount() / 2000
    assert torch.allclose(shares, torch.full((3,), 1 / 3, device=device), atol=0.04)
    plain = torch.cat([targets for _, targets in split.shuffled(20, Recipe(), torch.Generator(device))])
    assert plain.bincount().tolist() == list(COUNTS)  # each picture once


def test_the_same_generator_draws_the_same_balanced_epoch(unequal, device):
    split = unequal.splits(device).whole
    first, again = (
        [targets for _, targets in split.shuffled(20, Recipe(balanced=True), torch.Generator(device).manual_seed(3))]
        for _ in range(2)
    )
    assert torch.equal(torch.stack(first), torch.stack(again))


def test_networks_are_selected_by_the_metric_that_is_asked_for(unequal, tmp_path):
    run = evonas.search("genet", str(unequal.source.name), objectives="balanced_accuracy,parameters", budget=3,
                        settings=QUICK, executor="serial", out=tmp_path / "run", progress=False)  # fmt: skip
    assert run.task.metric.name == "balanced_accuracy"
    assert run.summary["metric"] == "balanced_accuracy"
    records = [record for record in run.records() if record["phase"] == "search"]
    for record in records:
        assert record["values"][0] == record["measures"]["balanced_accuracy"] == record["curve"][-1]
        assert {"accuracy", "macro_f1"} < set(record["measures"])
    found = run.summary["winner"]
    assert found["test_balanced_accuracy"] == pytest.approx(found["judgement"]["balanced_accuracy"])
    again = evonas.open_run(tmp_path / "run")
    assert again.task == run.task


def test_a_metric_that_there_is_not_is_refused(unequal, tmp_path):
    with pytest.raises(evonas.UserError, match=r"unknown objective 'auc'; use some of accuracy, balanced_accuracy, ma"):
        evonas.search("genet", str(unequal.source.name), objectives="auc", out=tmp_path / "run")
    with pytest.raises(evonas.UserError, match="has no metric 'auc'; it has accuracy, balanced_accuracy, macro_f1"):
        unequal.deciding("auc")
    assert unequal.deciding("accuracy") is unequal


def test_class_weights_without_classes_are_refused(tmp_path):
    with pytest.raises(evonas.UserError, match=r"search\.class_weights is set, but what is learnt has no classes"):
        evonas.search("genet", f"{OWN}:DigitValue", settings={"class_weights": True}, out=tmp_path / "run")


def test_a_training_is_another_one_with_weights(unequal):
    plain, weighted = (Training(unequal, Recipe(class_weights=given), 0) for given in (False, True))
    assert plain.recipe.to_json() != weighted.recipe.to_json()
    assert "class_weights" not in plain.recipe.to_json()  # recipes of before keep their identity


def test_metrics_are_measured_together(unequal, device):
    test = unequal.splits(device).test
    outputs = torch.nn.functional.one_hot(torch.where(test.targets == 2, 0, test.targets), 3).float()
    assert measure([(outputs, test.targets)], test) == {
        "accuracy": pytest.approx(0.9),
        "balanced_accuracy": pytest.approx(2 / 3),
        "macro_f1": pytest.approx((2 * 6 / 13 + 1) / 3),
    }


def test_arrays_of_a_script_may_be_unequal_too(tmp_path):
    x, y = np.zeros((60, 4, 4), np.uint8), np.repeat(["ant", "bee"], (50, 10))
    write_own_data((x, y), tmp_path / "data.npz")
    assert ImageClassification(Source(str(tmp_path / "data.npz"))).class_counts().sum() == 48
