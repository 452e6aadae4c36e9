"""Large data lie once on a host, for all processes that use them and no longer."""

import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

from evonas.data import shared as shared_data
from evonas.data.shared import shared
from evonas.data.sources import Source, load
from evonas.evaluation import Candidate, EvaluationError, Job
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification

DIGITS_DATA = Source("digits")
USER = """
import sys
from evonas.data import shared as shared_data
from evonas.data import sources as data
shared_data.SHARED_FROM = 0
if sys.argv[1] == "finds":
    data._read_digits = data.READERS["digits"] = None  # it could not load them
found = shared_data.shared(data.Source("digits"), sys.argv[2])
print(found.fingerprint, found.x.sum(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    shared.cache_clear()
    yield tmp_path
    shared.cache_clear()


@pytest.fixture
def user(place):
    users = []

    def start(how: str) -> subprocess.Popen:
        command = [sys.executable, "-c", USER, how, load(DIGITS_DATA).fingerprint]
        users.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        said = users[-1].stdout.readline().split()
        assert said == [load(DIGITS_DATA).fingerprint, str(load(DIGITS_DATA).x.sum())]
        return users[-1]

    yield start
    for each in users:
        each.kill()
        each.communicate()


def files(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("*/data-*/*"))


def test_processes_of_a_host_map_one_file_which_the_last_one_deletes(user, place):
    first, second = user("loads"), user("finds")
    kept = next(place.glob("*/data-*/*/x.npy"))
    for process in (first, second):
        assert str(kept) in Path(f"/proc/{process.pid}/maps").read_text()
    first.communicate("")
    assert files(place) == [load(DIGITS_DATA).fingerprint]
    second.communicate("")
    assert files(place) == []


def test_what_a_killed_process_left_is_deleted_by_the_next_that_comes(user, place):
    user("loads").kill()
    (next(path for path in place.glob("*/data-*") if path.is_dir()) / "cut-short.partial").mkdir()
    subprocess.run(
        [sys.executable, "-c", "from evonas.data.shared import *; shared(Source('digits', seed=1))"], check=True
    )
    assert files(place) == []


def test_small_data_and_a_folder_without_room_leave_each_process_its_own_copy(place, monkeypatch):
    assert shared(DIGITS_DATA) is load(DIGITS_DATA)
    assert files(place) == []
    shared.cache_clear()
    monkeypatch.setattr(shared_data, "SHARED_FROM", 0)
    monkeypatch.setattr(np, "save", lambda *args: (_ for _ in ()).throw(OSError(28, "no space left on device")))
    assert np.array_equal(shared(DIGITS_DATA).x, load(DIGITS_DATA).x)
    assert files(place) == []


def test_weights_are_shared_with_their_images(place, tmp_path, monkeypatch):
    x, y = np.zeros((6, 4, 4), np.uint8), np.array([0, 1] * 3)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y, weights_train=y + 1.0)
    monkeypatch.setattr(shared_data, "SHARED_FROM", 0)
    source = Source(str(tmp_path / "mine.npz"), validation=0.4)
    found = shared(source)
    assert isinstance(found.weights, np.memmap)
    assert np.array_equal(found.weights, load(source).y + 1.0)
    assert shared(DIGITS_DATA).weights is None


def test_a_host_with_other_images_stops_the_search_and_blames_no_genome():
    evaluator = Training(ImageClassification(DIGITS_DATA, "0" * 16), Recipe(epochs=1), 0)
    with pytest.raises(EvaluationError, match="other images than those that the search began with"):
        Job(evaluator, Candidate(DIGITS.random(Random(0)), DIGITS))()
