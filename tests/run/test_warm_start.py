"""A search that begins with the best of many random networks by training-free scores."""

import csv
import json
import math
import shutil

import pytest

import evonas
from evonas.errors import RunError, UserError
from evonas.run import warm_start
from evonas.run.warm_start import WarmStart
from evonas.scores.ranks import rank_sum
from evonas.strategies.aging import AgingEvolution

TINY = {"population": 4, "epochs": 1, "final.epochs": 1, "filters": (4, 8)}


def ones(genome):
    return genome.count(1)


def search(out, **options):
    usual = {"budget": 4, "settings": TINY, "executor": "serial", "progress": False, "warm_start": "naswot:12"}
    options = usual | {"evaluate": ones} | options
    return evonas.search("genet", options.pop("data", "digits"), out=out, **options)


def table(run):
    with (run.directory / warm_start.FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def anew(run, folder):
    """A copy of the run in which nothing has been scored yet."""
    shutil.copytree(run.directory, folder)
    (folder / warm_start.FILE).unlink()
    return evonas.open_run(folder)


def first(run):
    return [record["code"] for record in run.records() if record["operator"] == "warm_start"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return search(tmp_path_factory.mktemp("warm") / "run")


def test_the_search_begins_with_the_best_by_the_score(run):
    rows = table(run)
    best = sorted(rows, key=lambda row: -float(row["naswot"]))[:4]
    assert [record["code"] for record in run.records()][:4] == [row["code"] for row in best] == first(run)


def test_the_file_has_different_networks_with_their_costs_beside_the_score(run):
    rows = table(run)
    assert list(rows[0]) == ["code", "naswot", "parameters", "multiply_adds"]
    graphs = [run.space.decode(run.space.parse(row["code"])) for row in rows]
    assert len({graph.digest() for graph in graphs}) == 12
    for row, graph in zip(rows, graphs, strict=True):
        assert (int(row["parameters"]), int(row["multiply_adds"])) == (graph.parameters, graph.multiply_adds)


def test_the_config_says_how_the_search_began(run):
    assert json.loads((run.directory / "config.json").read_text())["warm_start"] == "naswot:12"


def test_a_warm_start_is_the_same_for_a_seed_and_another_one_for_another(run, tmp_path):
    for seed, same in ((0, True), (1, False)):
        again = anew(run, tmp_path / str(seed)).moved(seed=seed)
        warm_start.begin(again, print)
        assert (table(again) == table(run)) is same


def test_several_scores_count_by_the_sum_of_their_ranks(tmp_path):
    found = search(tmp_path / "run", warm_start="synflow+snip:9")
    rows = table(found)
    sums = rank_sum([[float(row[name]) for row in rows] for name in ("synflow", "snip")])
    best = sorted(range(9), key=lambda place: -sums[place])[:4]
    assert first(found) == [rows[place]["code"] for place in best]


@pytest.mark.slow
def test_a_resumed_run_reads_what_was_scored(run, tmp_path, monkeypatch):
    whole = search(tmp_path / "whole", budget=7)
    shutil.copytree(run.directory, tmp_path / "run")
    monkeypatch.setattr(warm_start, "_scored", None)
    longer = search(tmp_path / "run", budget=7, resume=True)
    keys = ("code", "operator", "values")
    assert [[record[key] for key in keys] for record in longer.records() if record["phase"] == "search"] == [
        [record[key] for key in keys] for record in whole.records() if record["phase"] == "search"
    ]
    with pytest.raises(UserError, match="warm_start was 'naswot:12', is 'naswot:13'"):
        search(tmp_path / "run", warm_start="naswot:13", resume=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("naswot", "synflow"), "its columns are not code, naswot, parameters, multiply_adds"),
        (lambda text: text + "1-01/1-01-100,much,1,1\n", r"Expected `float`, got `str` - at `\$\[12\]"),
        (lambda text: text + "1-01/1-01-100,1.0,1\n", "its columns are not"),
        (lambda text: "", "its columns are not"),
    ],
)
def test_a_damaged_file_is_refused(run, tmp_path, change, says):
    shutil.copytree(run.directory, tmp_path / "run")
    path = tmp_path / "run" / warm_start.FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=says):
        search(tmp_path / "run", budget=6, resume=True)


def test_networks_that_are_given_come_before_those_that_are_chosen(tmp_path):
    found = search(tmp_path / "run", init=["0-00/0-00-000"])
    assert [record["operator"] for record in found.records()][:4] == ["init", *["warm_start"] * 3]


def test_a_warm_start_keeps_the_limits(tmp_path):
    rows = table(search(tmp_path / "run", max_parameters=3600))
    assert max(int(row["parameters"]) for row in rows) <= 3600


def test_a_strategy_of_a_script_begins_with_twenty(tmp_path):
    found = search(
        tmp_path / "run",
        strategy=lambda toolbox, rng: AgingEvolution(toolbox, rng=rng, population=22, sample=2),
        warm_start="naswot:25",
        budget=22,
    )
    assert [record["operator"] for record in found.records()][:22] == [*["warm_start"] * 20, "random", "random"]


def test_where_time_is_short_no_more_are_scored_than_the_search_begins_with(run, tmp_path):
    notes = []
    again = anew(run, tmp_path / "run")
    assert len(warm_start.begin(again, notes.append, seconds=0)) == 4
    assert len(table(again)) == 4
    assert notes[0].startswith("warm start: 4 networks scored by naswot in 0 s; the search begins with the best 4")


def test_a_score_that_is_a_number_for_no_network_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(evonas.scores, "score", lambda name: lambda *_: math.nan)
    with pytest.raises(RunError, match="none of the 12 networks has a naswot that is a number"):
        search(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"warm_start": "nwot:100"}, "no score 'nwot'; scores are grad_norm, snip, synflow, jacov, naswot, zen"),
        ({"warm_start": "naswot+naswot:100"}, "has a score twice"),
        ({"warm_start": "naswot:0"}, "says no number of networks, at least 1; use naswot:1000"),
        ({"warm_start": "naswot"}, "says no number of networks"),
        ({"warm_start": "naswot:-3"}, "says no number of networks"),
        ({"warm_start": 1000}, "warm_start is 1000; use a score and a number of networks"),
        ({"warm_start": "naswot:3"}, "scores 3 networks, and the search begins with 4: there is nothing to choose"),
        ({"data": None, "evaluate": len}, "scores networks on images, and here are none"),
        ({"init": ["0-00/0-00-000"] * 4}, "the 4 networks given fill the first population"),
        (
            {"strategy": AgingEvolution(None, rng=None, population=2, sample=1), "warm_start": "naswot:25"},
            "made already does not hear of `warm_start`",
        ),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(tmp_path, options, says):
    with pytest.raises(UserError, match=says):
        search(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_supernet_cannot_begin_with_many(tmp_path):
    with pytest.raises(UserError, match="give a supernet at most one"):
        evonas.search("darts", "digits", out=tmp_path / "run", warm_start="naswot:30", progress=False)


def test_a_toolbox_that_draws_one_network_has_no_warm_start(tmp_path):
    with pytest.raises(UserError, match="draws only 1; leave it out"):
        evonas.search("large-scale", "digits", out=tmp_path / "run", warm_start="naswot:50", progress=False, budget=2)


def test_a_warm_start_is_a_score_or_several_and_a_number():
    assert WarmStart.read("synflow+jacov+naswot:1000") == WarmStart(("synflow", "jacov", "naswot"), 1000)


@pytest.mark.slow
def test_random_search_beside_it_begins_cold(tmp_path):
    found = search(tmp_path / "run", baseline=True)
    assert {record["operator"] for record in found.records() if record["phase"] == "baseline"} == {"random"}


def test_size_alone_is_a_warm_start_too_and_costs_nothing(tmp_path):
    run = search(tmp_path / "run", warm_start="multiply_adds:12")
    rows = table(run)
    assert list(rows[0]) == ["code", "parameters", "multiply_adds"]
    best = sorted(rows, key=lambda row: -int(row["multiply_adds"]))[:4]
    assert first(run) == [row["code"] for row in best]
    mixed = search(tmp_path / "mixed", warm_start="naswot+multiply_adds:12")
    rows = table(mixed)
    ranked = rank_sum([[float(row[name]) for row in rows] for name in ("naswot", "multiply_adds")])
    chosen = sorted(range(len(rows)), key=lambda place: (-ranked[place], place))[:4]
    assert first(mixed) == [rows[place]["code"] for place in chosen]
    again = [mixed.space.format(each) for each in warm_start.begin(mixed, print)]  # as the file has it
    assert again == first(mixed)
