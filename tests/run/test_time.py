"""A limit of time is one for everything: its shares, what is refused, and what is cut short."""

import json
import shutil
import time

import pytest

import evonas
from evonas.errors import UserError
from evonas.recipe import RECIPES, Recipe
from evonas.run.shares import Shares, makespan
from evonas.support.text import duration

TINY = {"population": 4, "epochs": 1}


@pytest.mark.parametrize("seconds", [12, 60, 3600])
@pytest.mark.parametrize("baseline", [True, False])
@pytest.mark.parametrize("final", [0, 3, 100, 10**6])
def test_shares_add_up_to_the_whole(seconds, baseline, final):
    parts = Shares.of(seconds, baseline=baseline, final=final)
    assert parts.search + parts.baseline + parts.final + parts.closing == pytest.approx(seconds)
    assert (parts.baseline > 0, parts.final > 0) == (baseline, final > 0)
    assert parts.baseline in (0, parts.search)  # random search has as long as the search
    assert parts.final == min(final, (seconds - parts.closing) / 2)  # what they need, and half at most
    needed = Shares.needed(parts.search, baseline=baseline, final=final > 0)
    assert Shares.of(needed, baseline=baseline, final=final).search >= 0.999 * parts.search


@pytest.mark.parametrize(
    ("jobs", "workers", "seconds"),
    [([], 2, 0), ([3, 2, 2], 1, 7), ([3, 2, 2], 2, 3.5), ([3, 2, 2], 3, 3), ([1] * 5, 2, 2.5), ([9, 1, 1], 2, 9)],
)
def test_trainings_in_pieces_take_as_long_as_all_workers_need_or_the_longest_takes(jobs, workers, seconds):
    assert makespan(jobs, workers) == seconds


@pytest.mark.parametrize(
    ("seconds", "text", "up"),
    [(9.4, "9 s", "10 s"), (60, "1 min", "1 min"), (61, "1 min 1 s", "1 min 10 s"), (260, "4 min 20 s", "5 min"),
     (3661, "1 h 1 min", "1 h 10 min"), (7200, "2 h 0 min", "2 h 0 min")],
)  # fmt: skip
def test_durations_are_written_for_people(seconds, text, up):
    assert duration(seconds) == text
    assert duration(seconds, up=True) == up


def test_a_shorter_recipe_keeps_the_shares_of_its_milestones():
    whole = RECIPES["genet-cifar10"]
    half = whole.lasting(120)
    assert (half.epochs, half.milestones) == (120, (60, 90, 110))
    assert whole.lasting(240) == whole
    assert Recipe(epochs=10, warmup=5).lasting(3).warmup == 1.5
    assert Recipe(epochs=10, longest=40).lasting(25) == Recipe(epochs=25)


def test_what_cannot_begin_in_the_time_is_refused_with_the_time_that_it_needs(tmp_path):
    with pytest.raises(UserError) as refused:
        evonas.search("genet", "digits", settings=TINY | {"epochs": 3000}, budget="20s", baseline=True, workers=1,
                      out=tmp_path / "run", progress=False)  # fmt: skip
    said = str(refused.value)
    assert said.startswith("20 s are not enough: an evaluation of genet (digits) takes about ")
    assert "with random search and final trainings all needs " in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["gdas", "enas"])
def test_a_supernet_that_has_no_time_for_an_epoch_is_refused(tmp_path, system):
    with pytest.raises(UserError, match=f"2 s are not enough: an evaluation of {system}"):
        evonas.search(system, "digits", budget="2s", workers=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_ends_in_its_time_and_is_resumed_with_the_same_final_recipe(tmp_path, capsys):
    start = time.monotonic()
    settings = TINY | {"final.epochs": 500}
    run = evonas.search(
        "genet", "digits", settings=settings, budget="25s", baseline=True, workers=1, out=tmp_path / "run"
    )
    assert time.monotonic() - start < 1.3 * 25  # a busy machine is forgiven
    said = capsys.readouterr().out
    assert "25 s: 6 s search, 6 s random search, 11 s final trainings, 2 s pictures" in said
    given, usual = run.summary["final_epochs"]
    assert 1 <= given < usual == 500
    assert f"there is time for final trainings of {given} epochs, where 500 are usual" in said
    trained = json.loads((run.directory / "best" / "training.json").read_text())
    assert trained["epochs"] == trained["recipe"]["epochs"] == given
    # as if it had been killed in its final trainings
    lines = run.journal_path.read_text().splitlines(keepends=True)
    cut = next(number for number, line in enumerate(lines) if '"phase": "final"' in line)
    assert '"event": "planned"' in lines[cut - 1]
    run.journal_path.write_text("".join(lines[:cut]))
    shutil.rmtree(run.directory / "best")
    again = evonas.search("genet", "digits", settings=settings, baseline=True, workers=1, out=tmp_path / "run",
                          resume=True, progress=False)  # fmt: skip
    assert again.summary["final_epochs"] == [given, 500]
    assert again.summary["winner"] == run.summary["winner"]
