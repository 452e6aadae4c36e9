"""What the table at the end of a run says of its own worth."""

from math import sqrt

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import evonas
from evonas.commands.main import cli
from evonas.data.given import write_own_data
from evonas.data.sources import Source
from evonas.reports.tables import group_rows, standard_error, summary_rows, verdict
from evonas.tasks.classification import ImageClassification
from evonas.tasks.task import measure


def summary(winner=0.9, rival=0.8, test=100, made=10, rivals=10, epochs=(40, 40)):
    row = {"code": "c", "validation_accuracy": 0.9, "parameters": 5, "multiply_adds": 7}
    return {
        "metric": "accuracy",
        "evaluations": made,
        "baseline_evaluations": rivals,
        "counts": [80, 20, test],
        "final_epochs": list(epochs),
        "by_group": {"cat": 0.5, "dog": 0.0},
        "winner": row | {"test_accuracy": winner},
        "random_search": row | {"test_accuracy": rival},
    }


def test_accuracies_have_their_standard_error():
    assert standard_error("accuracy", 0.5, 100) == 0.05
    assert standard_error("mean_absolute_error", 0.5, 100) is None
    assert standard_error("accuracy", None, 100) is None
    rows = summary_rows(summary(), {"accuracy": 1.0})
    assert rows[0]["test"] == "90.00% ±3.0"
    assert rows[0]["validation"] == f"90.00% ±{100 * sqrt(0.9 * 0.1 / 20):.1f}"
    assert rows[0]["parameters"] == "5"


EVEN = "winner and random search cannot be told apart: 10.0 points on 100 test images, where chance makes up to 10.0"


@pytest.mark.parametrize(
    ("winner", "rival", "test", "says"),
    [
        (0.9, 0.8, 100, EVEN),
        (0.9, 0.8, 200, "the winner is ahead of random search by 10.0 points, more than by chance"),
        (0.8, 0.9, 200, "the winner is behind random search by 10.0 points, more than by chance"),
    ],
)
def test_leads_within_the_noise_are_called_so(winner, rival, test, says):
    assert list(verdict(summary(winner, rival, test))) == [says]


def test_what_the_time_was_too_short_for_is_said():
    said = list(verdict(summary(rivals=6, epochs=(12, 40))))[1:]
    assert said == [
        "random search had time for 6 evaluations, the search for 10",
        "final trainings had 12 of 40 epochs, as the time was limited: the winner may be worth more",
    ]


def test_classes_are_told_the_worst_first():
    assert group_rows(summary()) == [{"class": "dog", "test": "0.00%"}, {"class": "cat", "test": "50.00%"}]
    assert group_rows(None) == []


def test_accuracy_by_class_is_that_of_the_examples_of_each_class(tmp_path):
    x, y = np.zeros((60, 4, 4), np.uint8), np.array(["ant", "bee", "cat"])[np.arange(60) % 3]
    write_own_data((x, y), tmp_path / "data.npz")
    test = ImageClassification(Source(str(tmp_path / "data.npz"))).splits("cpu").test
    outputs = torch.nn.functional.one_hot(torch.where(test.targets == 2, 0, test.targets), 3).float()  # cats are ants
    batches = [(outputs[:5], test.targets[:5]), (outputs[5:], test.targets[5:])]
    found = measure(batches, test, by_group=True)
    share = int((test.targets != 2).sum()) / len(test)
    assert found == {"accuracy": share, "accuracy/ant": 1.0, "accuracy/bee": 1.0, "accuracy/cat": 0.0}
    assert measure(batches, test) == {"accuracy": share}


def test_a_search_tells_all_this_at_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--evaluations", "3", "--set", "population=2", "epochs=1", "final.epochs=1", "--executor", "serial"]
    done = CliRunner().invoke(cli, ["search", "genet", *options, "--out", "run"])
    assert done.exit_code == 0, done.exception
    assert "10 classes: 3 183, 1 182," in done.output
    assert "the winner by class" in done.output
    assert "test images, where chance makes up to" in done.output or "more than by chance" in done.output
    run = evonas.open_run("run")
    assert set(run.summary["by_group"]) == set("0123456789")
    assert run.summary["counts"] == [1149, 288, 360]
    whole = sum(run.summary["by_group"].values()) / 10
    assert whole == pytest.approx(run.summary["winner"]["test_accuracy"], abs=0.02)  # the classes are about equal
