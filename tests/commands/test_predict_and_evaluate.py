"""evonas predict and evonas evaluate, as a user meets them."""

import csv
import json
import shutil

import numpy as np
import pytest
from bright import bright
from PIL import Image

import evonas
from evonas.model.export import export
from evonas.reports.tables import judgement_line


@pytest.fixture
def command(in_process):
    """Run a command; its exit code, and what it prints."""

    def run(*arguments):
        done = in_process(*arguments)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished search on pictures of three classes in folders of splits."""
    place, rng = tmp_path_factory.mktemp("searched"), np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        for label, name in enumerate(("ant", "bee", "cat")):
            (place / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 100 + 70 * label, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(noise).save(place / "set" / split / name / f"{number:02}.png")
    settings = {"population": 2, "epochs": 2, "final.epochs": 3, "filters": (4, 4)}
    return evonas.search("genet", place / "set", budget=2, settings=settings, preset="digits", workers=1,
                         executor="serial", progress=False, out=place / "run")  # fmt: skip


@pytest.fixture
def pictures(run):
    return run.directory.parent / "set" / "test"


def rows(text):
    return list(csv.reader(text.splitlines()))


# ---- predict ----


def test_the_table_is_that_of_the_exported_file_with_what_the_run_said(run, pictures, command, tmp_path, capsys):
    shutil.copytree(pictures, tmp_path / "pictures")
    (tmp_path / "pictures" / "bee" / "broken.png").write_bytes(b"none")
    code, printed, told = command("predict", run.directory, tmp_path / "pictures", pictures / "ant" / "00.png")
    assert code == 1
    assert told.splitlines()[0].startswith(f"{tmp_path / 'pictures' / 'bee' / 'broken.png'}: not a readable image (")
    assert told.splitlines()[1:] == ["evonas: 1 of what was given could not be read, as told above"]
    head, *found = rows(printed)
    assert head == ["file", "class", "ant", "bee", "cat"]
    assert len(found) == 31

    trained = run.best.trained()
    answers = trained.answers["predictions"]
    for row, shares in zip(found, [*answers, answers[0]], strict=True):
        assert row[1] == head[2 + shares.argmax()]
        assert [float(share) for share in row[2:]] == pytest.approx(shares.tolist(), abs=1e-5)

    export(trained, tmp_path / "exported")
    network = {"__name__": "network", "__file__": str(tmp_path / "exported" / "network.py")}
    exec((tmp_path / "exported" / "network.py").read_text(), network)
    assert network["main"]([str(tmp_path / "pictures"), str(pictures / "ant" / "00.png")]) == 1
    theirs = rows(capsys.readouterr().out)
    assert [row[:2] for row in theirs] == [head[:2], *(row[:2] for row in found)]
    ours, others = (np.array([row[2:] for row in table], float) for table in (found, theirs[1:]))
    assert np.abs(ours - others).max() <= 1e-5


def test_globs_npz_files_and_folders_of_trained_networks_are_known(command, tmp_path):
    bright(tmp_path / "kept")
    Image.new("L", (9, 9), 250).save(tmp_path / "one.png")
    np.savez(tmp_path / "own.npz", x=np.zeros((2, 4, 4), np.uint8))
    code, printed, told = command("predict", tmp_path / "kept", tmp_path / "*.png", tmp_path / "own.npz")
    assert (code, told) == (0, "")
    assert [row[:2] for row in rows(printed)] == [
        ["file", "class"], [str(tmp_path / "one.png"), "bright"], [f"{tmp_path / 'own.npz'}:x[0]", "dark"],
        [f"{tmp_path / 'own.npz'}:x[1]", "dark"],
    ]  # fmt: skip


def test_a_path_at_which_there_is_nothing_is_told_and_the_others_are_predicted(command, tmp_path):
    bright(tmp_path / "kept")
    Image.new("L", (9, 9), 250).save(tmp_path / "one.png")
    code, printed, told = command("predict", tmp_path / "kept", tmp_path / "no.png", tmp_path / "one.png")
    assert code == 1
    assert told.startswith(f"{tmp_path / 'no.png'}: there is no such file or folder\n")
    assert len(rows(printed)) == 2


def test_a_network_without_classes_prints_its_outputs_as_the_exported_file_does(command, tmp_path, capsys):
    export(bright(tmp_path / "kept", classes=None), tmp_path / "exported")
    Image.new("L", (9, 9), 130).save(tmp_path / "one.png")
    code, printed, _ = command("predict", tmp_path / "kept", tmp_path / "one.png")
    assert (code, printed) == (0, f"file,output 0,output 1\n{tmp_path / 'one.png'},0.05,-0.05\n")
    network = {"__name__": "network", "__file__": str(tmp_path / "exported" / "network.py")}
    exec((tmp_path / "exported" / "network.py").read_text(), network)
    assert network["main"]([str(tmp_path / "one.png")]) == 0
    assert capsys.readouterr().out == printed
    code, printed, told = command("evaluate", tmp_path / "kept")
    assert (code, printed) == (2, "")
    assert "has no classes, and only a classifier can be judged here" in told


@pytest.fixture
def unfinished(run, tmp_path):
    """The run as it stands while its winner is not yet trained."""
    shutil.copytree(run.directory, tmp_path / "unfinished", ignore=shutil.ignore_patterns("best", "summary.json"))
    return tmp_path / "unfinished"


@pytest.mark.parametrize("arguments", [("predict", "DIR", "x.png"), ("evaluate", "DIR")], ids=lambda each: each[0])
def test_a_folder_without_a_trained_network_is_one_line_and_exit_code_2(command, tmp_path, unfinished, arguments):
    for place, says in (
        (tmp_path, "holds no run"),
        (tmp_path / "nowhere", "holds no run"),
        (unfinished, "has no trained network yet: the run has not come to its end ('evonas resume"),
    ):
        code, printed, told = command(*(place if word == "DIR" else word for word in arguments))
        assert (code, printed) == (2, "")
        assert told.startswith("evonas: ")
        assert says in told
        assert len(told.splitlines()) == 1


def test_nothing_found_is_one_line_and_exit_code_2(command, tmp_path):
    bright(tmp_path / "kept")
    (tmp_path / "empty").mkdir()
    for given in ("nowhere.png", tmp_path / "empty", tmp_path / "*.jpg"):
        code, printed, told = command("predict", tmp_path / "kept", given)
        assert (code, printed) == (2, "")
        assert told.startswith(f"evonas: {given}: there is no")
        assert len(told.splitlines()) == 1
    assert command("predict", tmp_path / "kept")[0] == 2


# ---- evaluate ----


def test_without_data_the_test_of_the_run_is_told_as_at_its_end(run, command):
    code, printed, told = command("evaluate", run.directory)
    assert (code, told) == (0, "")
    judged = run.summary["winner"]["judgement"]
    assert printed.splitlines()[-1] == judgement_line(judged)
    assert printed.splitlines()[0] == f"{run.best.code}, trained in {run.directory / 'best'}"
    code, printed, _ = command("evaluate", run.directory, "--json")
    found = json.loads(printed)
    assert {name: found[name] for name in judged} == judged
    assert found["data"] == "test images"
    assert all(isinstance(row["picture"], int) for row in found["most_wrong"])


def test_other_pictures_are_told_in_the_same_words(run, command, pictures):
    whole = command("evaluate", run.directory, "--data", pictures.parent)
    code, printed, told = command("evaluate", run.directory, "--data", pictures)
    assert (code, told) == (0, "")
    assert whole == (code, printed, told), "of a folder of splits, the test part"
    line = judgement_line(run.summary["winner"]["judgement"])
    assert printed.splitlines()[-1].split("; ")[0] == line.split("; ")[0].replace(
        "test images", f"pictures of {pictures}"
    )
    _, own, _ = command("evaluate", run.directory)
    between = slice(
        1, printed.splitlines().index(next(each for each in printed.splitlines() if "taken for an" in each))
    )
    assert printed.splitlines()[between] == own.splitlines()[between], "recall by class, and the confusion matrix"


def test_mistakes_are_named_with_what_was_said_and_how_sure_that_was(command, tmp_path):
    bright(tmp_path / "kept")
    for name, values in (("dark", (30, 250)), ("bright", (140, 150, 100, 160))):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number, value in enumerate(values):
            Image.new("L", (4, 4), value).save(tmp_path / "set" / name / f"{number}.png")
    code, printed, _ = command("evaluate", tmp_path / "kept", "--data", tmp_path / "set", "--json")
    assert code == 0
    found = json.loads(printed)
    assert found["confusion"] == [[3, 1], [1, 1]]
    assert found["data"] == f"pictures of {tmp_path / 'set'}"
    assert [(row["picture"], row["class"], row["said"]) for row in found["most_wrong"]] == [
        (str(tmp_path / "set" / "dark" / "1.png"), "dark", "bright"),
        (str(tmp_path / "set" / "bright" / "2.png"), "bright", "dark"),
    ]
    assert [row["sure"] for row in found["most_wrong"]] == pytest.approx([0.9926, 0.7503], abs=1e-4)


def test_who_judges_a_network_on_what_it_has_learnt_from_is_told(run, command, tmp_path):
    note = "the network was trained on most of these"
    trained = tmp_path / "kept"
    shutil.copytree(run.directory / "best", trained)
    code, _, told = command("evaluate", trained, "--data", run.directory.parent / "set")
    assert (code, note in told) == (0, False), "there are splits"
    for split in ("train", "test"):
        shutil.copytree(run.directory.parent / "set" / split, tmp_path / "whole", dirs_exist_ok=True)
    settings = {"filters": (4, 4)}
    evonas.train("genet", "1-01/1-01-100", data=tmp_path / "whole", epochs=1, settings=settings, preset="digits",
                 out=tmp_path / "trained")  # fmt: skip
    assert note in command("evaluate", tmp_path / "trained", "--data", tmp_path / "whole")[2]
    assert note not in command("evaluate", tmp_path / "trained", "--data", run.directory.parent / "set" / "train")[2]


def test_what_cannot_be_judged_is_one_line_and_exit_code_2(command, tmp_path):
    bright(tmp_path / "kept")
    (tmp_path / "set" / "cat").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "set" / "cat" / "1.png")
    for arguments, says in (
        (["--data", tmp_path / "set"], "does not know cat; its classes are bright, dark"),
        (["--data", "nowhere"], "nowhere: no such file or folder"),
        ([], "has not kept what the network said of its test split; give --data"),
    ):
        code, printed, told = command("evaluate", tmp_path / "kept", *arguments)
        assert (code, printed) == (2, "")
        assert told.startswith("evonas: ")
        assert says in told
        assert len(told.splitlines()) == 1


def test_pictures_that_cannot_be_read_are_told_and_the_others_are_judged(command, tmp_path):
    bright(tmp_path / "kept")
    (tmp_path / "set" / "dark").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "set" / "dark" / "1.png")
    (tmp_path / "set" / "dark" / "2.png").write_bytes(b"none")
    code, printed, told = command("evaluate", tmp_path / "kept", "--data", tmp_path / "set")
    assert code == 1
    assert told.startswith(f"{tmp_path / 'set' / 'dark' / '2.png'}: not a readable image")
    assert printed.splitlines()[-1].startswith(f"On 1 pictures of {tmp_path / 'set'}: accuracy 100.0%")
