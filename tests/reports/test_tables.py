"""What the table at the end of a run says of its own worth."""

import numpy as np
import pytest
from click.testing import CliRunner

import evonas
from evonas.commands.main import cli
from evonas.judgement import Judgement, difference
from evonas.reports.tables import class_rows, judgement_line, summary_rows, verdict

ROW = {"code": "c", "validation_accuracy": 0.9, "parameters": 5, "multiply_adds": 7}


def summary(test=100, made=10, rivals=10, epochs=(40, 40), difference=(0.1, -0.02, 0.22), **more):
    value, low, high = difference
    return {
        "metric": "accuracy",
        "objectives": {"accuracy": 1.0},
        "evaluations": made,
        "baseline_evaluations": rivals,
        "counts": [80, 20, test],
        "final_epochs": list(epochs),
        "first": None,
        "differences": {"random_search": {"value": value, "low": low, "high": high}},
        "winner": ROW | {"test_accuracy": 0.9},
        "random_search": ROW | {"test_accuracy": 0.8, "parameters": 6_000},
    } | more


def test_accuracies_have_their_intervals():
    rows = summary_rows(summary(), {"accuracy": 1.0})
    assert rows[0]["test"] == "90.00% (82.6 to 94.5)"
    assert rows[0]["validation"] == "90.00% (69.9 to 97.2)"
    assert rows[0]["parameters"] == "5"
    assert summary_rows(None, {"accuracy": 1.0}) == []


def test_a_value_by_shared_weights_is_told_from_one_of_a_training():
    first = {"networks": 10, "best": 0.3, "of_all": 0.4}
    found = summary(by_shared_weights=True, first=first)
    assert "validation, by shared weights" in summary_rows(found, {"accuracy": 1.0})[0]
    assert next(verdict(found)) == (
        "The best of the first 10 networks had accuracy 30.00% on the validation split by shared weights, the best of "
        "all 10 40.00%."
    )
    retrained = summary(by_shared_weights=True, first=first, finalists=3)  # the winner's value is of a training
    assert "validation" in summary_rows(retrained, {"accuracy": 1.0})[0]
    assert "by shared weights, the best of all 10 40.00%" in next(verdict(retrained))


def test_other_metrics_have_none():
    found = summary(metric="score") | {"winner": {"code": "c", "validation_score": 0.9, "test_score": 0.5}}
    assert summary_rows(found, {"score": 1.0})[0]["test"] == "0.5"


SIZES = "; 5 parameters to 6,000, 7 multiply-adds to 7."


@pytest.mark.parametrize(
    ("difference", "says"),
    [
        ((0.1, 0.02, 0.18), "The winner beats random search: +10.0 points (+2.0 to +18.0)"),
        ((-0.1, -0.18, -0.02),
         "The winner does not beat random search: -10.0 points (-18.0 to -2.0), more than the noise"),
        ((0.1, -0.02, 0.22), "The winner does not beat random search: +10.0 points (-2.0 to +22.0), within the noise"),
        ((0.0, -0.01, 0.01), "The winner does not beat random search: +0.0 points (-1.0 to +1.0), within the noise"),
    ],
)  # fmt: skip
def test_the_words_follow_the_interval_that_is_printed(difference, says):
    assert list(verdict(summary(difference=difference))) == [says + SIZES]


def test_the_last_sentence_is_of_the_reference():
    found = summary(
        reference=ROW | {"test_accuracy": 0.95, "parameters": 175_258, "multiply_adds": 26_657_408},
        differences={"random_search": {"value": 0.1, "low": 0.02, "high": 0.18},
                     "reference": {"value": -0.05, "low": -0.09, "high": -0.01}},
    )  # fmt: skip
    assert list(verdict(found))[-1] == (
        "The winner does not beat the reference by hand: -5.0 points (-9.0 to -1.0), more than the noise; 5 parameters "
        "to 175,258, 7 multiply-adds to 26,657,408."
    )


def test_without_judgements_the_values_are_told_as_they_are():
    assert list(verdict(summary(differences={}))) == [
        f"On the test split the winner has accuracy 90.00%, random search 80.00%{SIZES}"
    ]
    failed = summary(differences={}) | {"winner": ROW | {"test_accuracy": None, "error": "nan: ..."}}
    assert list(verdict(failed)) == []


def test_what_the_search_gained_is_told():
    found = summary(made=72, first={"networks": 10, "best": 0.581})
    assert next(verdict(found)) == (
        "The best of the first 10 networks had accuracy 58.10% on the validation split, the best of all 72 90.00%."
    )


def test_what_the_time_was_too_short_for_is_said():
    said = list(verdict(summary(rivals=6, epochs=(12, 40))))[:-1]
    assert said == [
        "Random search had time for 6 evaluations, the search for 10.",
        "Final trainings had 12 of 40 epochs, as the time was limited: the winner may be worth more.",
    ]


def judged(classes, rare):
    """Of each class ten examples, of the last one so many, which are all taken for the first."""
    targets = np.r_[np.repeat(np.arange(classes - 1), 10), np.full(rare, classes - 1)]
    said = np.where(targets == classes - 1, 0, targets)
    return Judgement(tuple(f"class {n}" for n in range(classes)), targets, np.eye(classes)[said] * 0.9).to_json()


def test_classes_are_told_with_what_they_are_taken_for():
    rows = class_rows(judged(3, rare=4))
    assert rows[2] == {"class": "class 2", "images": "4", "recall": "0.0%", "precision": "", "F1": "0.0%",
                       "most often taken for": "class 0 (4)"}  # fmt: skip
    assert rows[0]["precision"] == "71.4%"
    assert class_rows(None) == []


def test_of_many_classes_the_worst_are_told_first():
    rows = class_rows(judged(14, rare=4))
    assert len(rows) == 10
    assert rows[0]["class"] == "class 13"


def test_a_table_has_the_balanced_accuracy_where_it_is_another_one():
    found = summary(winner=ROW | {"test_accuracy": 0.9, "judgement": judged(3, rare=4)})
    assert summary_rows(found, {"accuracy": 1.0})[0]["test, balanced"] == "66.67%"
    line = judgement_line(judged(3, rare=4))
    assert line == ("On 24 test images: accuracy 83.3% (64.1 to 93.3), balanced accuracy 66.7%, macro F1 61.1%; 90% "
                    "sure in the mean, calibration error 6.7 points.")  # fmt: skip
    assert judgement_line(None) == ""


def test_a_search_tells_all_this_at_its_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--evaluations", "3", "--set", "population=2", "epochs=1", "final.epochs=1", "--executor", "serial"]
    done = CliRunner().invoke(cli, ["search", "genet", *options, "--out", "run"])
    assert done.exit_code == 0, done.exception
    assert "10 classes: 3 183, 1 182," in done.output
    assert "the winner on the test images, by class" in done.output
    assert " the reference by hand" in done.output.rstrip().splitlines()[-1]
    run = evonas.open_run("run")
    found = run.summary["winner"]["judgement"]
    assert set(found["classes"]) == set("0123456789")
    assert run.summary["counts"] == [1149, 288, 360]
    assert found["accuracy"] == run.summary["winner"]["test_accuracy"]
    assert found["examples"] == 360
    shown = CliRunner().invoke(cli, ["show", "run"])
    assert "the winner on the test images, by class" in shown.output
    # each finalist lies in a folder of its own, with what it said of each test image
    winner = evonas.TrainedNetwork.open("run/best")
    for role, folder in {"winner": "best", "reference": "reference", "random_search": "random_search"}.items():
        trained = evonas.TrainedNetwork.open(f"run/{folder}")
        assert trained.judgement.accuracy == trained.test == run.summary[role]["test_accuracy"]
        if role != "winner":
            against = difference(winner.judgement.right, trained.judgement.right)
            told = run.summary["differences"][role]
            assert (told["value"], told["low"], told["high"]) == (against.value, against.low, against.high)
