"""Strategies against one random genome for each seed, by Welch's test (Yu et al. 2020, arXiv:1902.08142)."""

import json
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import evonas
from evonas.comparison import alone
from evonas.comparison.on_table import on_table, one_random
from evonas.comparison.ranks import welch
from evonas.comparison.trials import ONE_RANDOM, random_by_training, read_contenders
from evonas.errors import UserError
from evonas.evaluation.table import Table, nasbench201
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.run.budget import Budget

CELLS = Path(os.environ.get("EVONAS_TABLES", Path(__file__).parents[3] / "shared" / "data")) / "nasbench201.csv.gz"
SPACE = NASBenchMacroSpace()
REPEATED, SEEDS = 1_000, 10


@pytest.fixture(scope="module")
def table():
    """A table of networks whose worth is noise, and whose signal is that worth."""
    rng = random.Random(0)
    test = {SPACE.key(genome): rng.gauss(90, 2) for genome in SPACE.genomes()}
    return Table(SPACE, {key: (value,) for key, value in test.items()}, test, dict.fromkeys(test, 1.0), epochs=1)


def random_genomes(table, seeds):
    return [one_random(table, seed).final for seed in seeds]


def searched(table, seeds):
    """By a search that ends with the first genome that it meets."""
    (found,) = on_table(table, read_contenders("random"), seeds=seeds, budget=Budget(1)).values()
    return [trial.final for trial in found]


def how_often_different(method, others):
    parts = [slice(first, first + SEEDS) for first in range(0, REPEATED * SEEDS, SEEDS)]
    return np.mean([welch(method[part], others[part]) < 0.05 for part in parts])


def test_a_method_that_ends_with_a_random_genome_is_hardly_ever_said_to_differ(table):
    seeds = range(REPEATED * SEEDS)
    method, others = random_genomes(table, range(10**6, 10**6 + len(seeds))), random_genomes(table, seeds)
    assert 0.03 <= how_often_different(method, others) <= 0.07


@pytest.mark.slow
def test_nor_is_a_search_that_has_looked_at_one_network(table):
    seeds = range(REPEATED * SEEDS)
    assert 0.03 <= how_often_different(searched(table, seeds), random_genomes(table, seeds)) <= 0.07


@pytest.mark.slow
@pytest.mark.skipif(not CELLS.exists(), reason="the table nasbench201.csv.gz is not here")
def test_where_some_cells_have_learnt_nothing_welchs_test_is_on_the_safe_side():
    cells, seeds = nasbench201(CELLS), range(REPEATED * SEEDS)
    assert how_often_different(searched(cells, seeds), random_genomes(cells, seeds)) <= 0.05


def test_the_random_genome_is_uniform_over_genomes_and_nobody_has_chosen_it(table):
    found = [one_random(table, seed) for seed in range(4_000)]
    values = [trial.final for trial in found]
    everything = list(table.test.values())
    assert np.mean(values) == pytest.approx(np.mean(everything), abs=3 * np.std(everything) / 4_000**0.5)
    assert all(trial.incumbent == () for trial in found)
    by_value = {value: key for key, value in table.test.items()}
    layers = Counter(by_value[value][3] for value in values)
    assert all(abs(layers[option] / 4_000 - 1 / 3) < 0.03 for option in "012")
    assert one_random(table, 7) == found[7]


def test_a_random_genome_that_the_table_lacks_is_named(table):
    few = Table(SPACE, table.signals, {"00000000": 90.0}, table.seconds, epochs=1)
    with pytest.raises(UserError, match=r"the table has no \d{8}; a search needs one of all networks"):
        one_random(few, 0)


@pytest.fixture
def file(table, tmp_path):
    rows = [f"{key},{value},{value},{value}" for key, value in table.test.items()]
    (tmp_path / "chains.csv").write_text("\n".join(["arch,test_acc_1,test_acc_2,test_acc_3", *rows]))
    return tmp_path / "chains.csv"


def test_a_comparison_holds_every_strategy_against_the_same_random_genomes(file, tmp_path):
    found = evonas.compare("nasbench-macro", table=file, strategies="random,local", seeds=12, first_seed=5, budget=60,
                           workers=1, out=tmp_path / "out")  # fmt: skip
    shown = found.to_json()["random"]
    finals = json.loads((tmp_path / "out" / "trials.json").read_text())
    assert shown["seeds"] == len(finals[ONE_RANDOM]) == len(finals["local"]) == 12
    assert shown["mean"] == pytest.approx(np.mean(finals[ONE_RANDOM]), abs=1e-4)
    assert shown["p"]["local"] == pytest.approx(welch(finals["local"], finals[ONE_RANDOM]))
    assert shown["p"]["local"] < 0.001  # it knows the worth of 60 networks
    *strategies, last = found.rows()
    assert [row["Welch's p"] for row in strategies] == ["< 0.001", "< 0.001"]
    assert last[""] == "one random genome a seed"
    assert last["test accuracy (%)"] == f"{shown['mean']:.2f} ± {shown['std']:.2f}"
    assert "Welch's p against one random genome a seed" in found.heading
    one = evonas.compare("nasbench-macro", table=file, strategies="random", seeds=1, budget=2, workers=1,
                         out=tmp_path / "one")  # fmt: skip
    assert one.to_json()["random"]["p"] == {"random": None}
    assert one.rows()[0]["Welch's p"] == ""


def test_where_networks_are_trained_the_random_genome_is_trained_as_the_winners_are(tmp_path, monkeypatch):
    settings = {"epochs": 1, "final.epochs": 2, "final.learning_rate": 0.03, "filters": (4, 4)}
    options = {"strategies": "random", "seeds": 1, "first_seed": 3, "budget": 1, "settings": settings, "workers": 1,
               "out": tmp_path / "out"}  # fmt: skip
    found = evonas.compare("genet", **options)
    (row,) = alone.read(tmp_path / "out" / "random.jsonl")
    winner = json.loads((tmp_path / "out" / "random-3" / "best" / "training.json").read_text())
    assert row.seed == evonas.open_run(tmp_path / "out" / "random-3").config.seed == 3
    assert row.recipe == winner["recipe"]
    assert row.epochs == winner["epochs"] == 2
    assert [100 * row.value] == [trial.final for trial in found.random]
    monkeypatch.setattr(alone, "append", lambda file, row: pytest.fail("it is there already"))
    assert evonas.compare("genet", **options).to_json() == found.to_json()


def test_a_random_genome_that_is_the_winner_has_its_value(tmp_path, monkeypatch):
    """The same network, recipe, seed and data give the same test accuracy, to the bit."""
    settings = {"epochs": 1, "final.epochs": 1, "filters": (4, 4)}
    run = evonas.search("genet", "digits", strategy="random", budget=1, settings=settings, workers=1, progress=False,
                        out=tmp_path / "run")  # fmt: skip
    monkeypatch.setattr(alone, "draws", lambda problem, rng: lambda: run.best.genome)
    (trial,) = random_by_training(run, tmp_path / "random.jsonl")
    assert trial.final == 100 * run.summary["winner"]["test_accuracy"]
