from pathlib import Path

from evonas.comparison.trials import Comparison, Trial


def comparison(signal):
    trials = {"random": [Trial((90.0, 93.0), 92.0)], "aging": [Trial((91.0, 94.0), 91.0)]}
    return Comparison("genet on digits", signal, trials, 94.0, None, Path())


def title_of(figure):
    return figure.get_suptitle().replace("\n", " ")


def test_where_networks_are_trained_table_and_picture_say_what_they_show_and_what_the_other_does():
    found = comparison("validation accuracy")
    assert "test accuracy of the last incumbents" in found.heading
    assert "the picture shows the regret in validation accuracy, which may rank otherwise" in found.heading
    assert "regret in validation accuracy of the incumbents" in title_of(found.figure())
    assert "the table shows test accuracy, which may rank otherwise" in title_of(found.figure())
    assert found.figure().axes[0].get_ylabel() == "mean regret in validation accuracy (points)"


def test_on_a_table_both_show_test_accuracy():
    found = comparison("test accuracy")
    assert "picture" not in found.heading
    assert title_of(found.figure()) == "genet on digits: regret in test accuracy of the incumbents"
