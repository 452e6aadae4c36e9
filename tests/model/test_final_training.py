"""Training one network to the end: checkpoints, resume, the best epoch."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from devices import agree, like

from evonas.data.sources import Source
from evonas.errors import RunError, UserError
from evonas.genomes.genet import DIGITS, GeNetSpace
from evonas.model.final_training import Request, check_fit, choose_recipe, train_to_the_end
from evonas.recipe import RECIPES, Recipe
from evonas.tasks.classification import ImageClassification
from evonas.training.train import evaluate

SPACE = GeNetSpace((3, 4), (4, 8), dropout=0.2)
GRAPH = SPACE.decode(SPACE.parse("1-01/1-01-100"))
RECIPE = Recipe(epochs=4, batch_size=32, learning_rate=0.05, crop=1, cutout=2, label_smoothing=0.1)
TASK = ImageClassification(Source("digits"))
REQUEST = Request(GRAPH, "1-01/1-01-100", TASK, RECIPE)


class Stop(Exception):
    pass


def stopping_after(epoch):
    def on_epoch(row):
        if row.epoch == epoch:
            raise Stop

    return on_epoch


def weights(trained):
    return trained.network().state_dict()


def equal(one, other, device):
    return all(agree(one[name], other[name], device) for name in one)


@pytest.fixture(scope="module")
def asked(device):
    return replace(REQUEST, device=device)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, asked):
    return train_to_the_end(asked, tmp_path_factory.mktemp("whole") / "trained")


@pytest.mark.parametrize("moments", [(1,), (3,), (1, 2, 3)])
@pytest.mark.parametrize("all_data", [False, True], ids=["held out", "all data"])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path, moments, all_data, asked, device):
    """On a CPU to the bit."""
    request = replace(asked, all_data=all_data)
    expected = train_to_the_end(request, tmp_path / "whole")
    for moment in moments:
        with pytest.raises(Stop):
            train_to_the_end(request, tmp_path / "cut", resume=True, on_epoch=stopping_after(moment))
    found = train_to_the_end(request, tmp_path / "cut", resume=True)
    assert equal(weights(expected), weights(found), device)
    assert found.test == like(expected.test, device)
    if device == "cpu":
        assert found.facts == expected.facts
        assert (tmp_path / "cut" / "curve.csv").read_text() == (tmp_path / "whole" / "curve.csv").read_text()


SCRIPT = """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from test_final_training import REQUEST
    from evonas.model.final_training import train_to_the_end
    asked = replace(REQUEST, device=sys.argv[1])
    train_to_the_end(asked, Path("trained"), resume=True, on_epoch=lambda row: print(row.epoch, flush=True))
"""


@pytest.mark.slow
@pytest.mark.gpu
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, whole, asked, device):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), device]
    here = Path(__file__).parent
    paths = map(str, (here, here.parent, here.parents[1]))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    assert process.stdout.readline() == "2\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "trained" / "training.json").exists()
    assert subprocess.run(command, cwd=tmp_path, env=environment).returncode == 0
    found = train_to_the_end(asked, tmp_path / "trained", resume=True)
    assert found.test == like(whole.test, device, off=0.05)
    if device == "cpu":  # in a process of its own a GPU rounds as it likes
        assert equal(weights(whole), weights(found), device)


def test_the_epoch_with_the_best_validation_accuracy_is_kept(tmp_path, asked, device):
    noisy = replace(asked, recipe=Recipe(epochs=6, batch_size=256, learning_rate=0.4, schedule="constant"))
    trained = train_to_the_end(noisy, tmp_path / "trained")
    rows = list(csv.DictReader((tmp_path / "trained" / "curve.csv").open()))
    values = [float(row["validation_accuracy"]) for row in rows]
    assert trained.facts["epoch"] == values.index(max(values)) + 1
    assert trained.facts["validation_accuracy"] == max(values)
    task, network = ImageClassification(Source("digits")).splits(device), trained.network().to(device)
    assert evaluate(network, task.validation)["accuracy"] == pytest.approx(max(values), abs=0.005)
    assert evaluate(network, task.test)["accuracy"] == pytest.approx(trained.test, abs=0.005)


def test_with_all_data_the_last_epoch_is_kept_and_there_is_no_validation(tmp_path, asked):
    trained = train_to_the_end(replace(asked, all_data=True), tmp_path / "trained")
    assert trained.facts["epoch"] == trained.facts["epochs"] == 4
    assert trained.facts["validation_accuracy"] is None
    assert trained.facts["trained_on"] == "train+validation"


def test_what_a_training_leaves(whole):
    found = {path.name for path in whole.folder.iterdir()}
    assert found == {"request.json", "training.json", "graph.json", "weights.safetensors", "preprocessing.json",
                     "answers.npz", "curve.csv", "curve.png"}  # fmt: skip
    assert whole.judgement.accuracy == whole.test


def test_a_finished_training_is_returned_as_it_is(whole, asked):
    before = {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()}
    again = train_to_the_end(asked, whole.folder, resume=True)
    assert again.facts == whole.facts
    assert {path: path.stat().st_mtime_ns for path in whole.folder.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": replace(RECIPE, epochs=5)}, "another training.*recipe|other recipe"),
        ({"seed": 7}, "other seed"),
        ({"graph": DIGITS.decode(DIGITS.parse("0-00/0-00-000"))}, "other digest"),
    ],
)
def test_another_training_is_not_resumed(whole, asked, change, says):
    with pytest.raises(UserError, match=says):
        train_to_the_end(replace(asked, **change), whole.folder, resume=True)


def test_a_training_is_not_written_over(whole, asked, tmp_path):
    with pytest.raises(UserError, match="add --resume to go on"):
        train_to_the_end(asked, whole.folder)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds something else"):
        train_to_the_end(asked, tmp_path)


def test_a_training_that_diverges_says_what_to_try(tmp_path, asked):
    wild = replace(asked, recipe=Recipe(epochs=1, learning_rate=1e30))
    with pytest.raises(RunError, match=r"the loss is not finite.*lower learning rate"):
        train_to_the_end(wild, tmp_path / "trained")


def test_recipes_go_by_name_and_milestones_keep_their_share():
    search, final = Recipe(epochs=2), Recipe(epochs=9)
    assert choose_recipe("search", None, search=search, final=final) == search
    assert choose_recipe("final", 3, search=search, final=final) == replace(final, epochs=3)
    paper = choose_recipe("genet-cifar10", 24, search=search, final=final)
    assert (paper.epochs, paper.milestones) == (24, (12, 18, 22))
    assert choose_recipe("resnet-cifar", None, search=search, final=final) == RECIPES["resnet-cifar"]
    with pytest.raises(UserError, match="recipes are final, search, genet-mnist"):
        choose_recipe("best", None, search=search, final=final)


def test_data_of_another_shape_are_refused():
    large = DIGITS.__class__(input_shape=(3, 32, 32))
    with pytest.raises(UserError, match=r"maps \(3, 32, 32\) to \(10,\), but digits has inputs of \(1, 8, 8\)"):
        check_fit(replace(REQUEST, graph=large.decode(large.parse("1-01/1-01-100"))))
