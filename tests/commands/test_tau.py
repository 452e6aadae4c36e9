"""evonas tau: how a supernet ranks, from a tiny run to the table in the terminal."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import evonas
from evonas.comparison import alone
from evonas.comparison.proxies import layers
from evonas.comparison.ranks import tau_b
from evonas.comparison.tau import best_of_table, different
from evonas.evaluation import Candidate
from evonas.evaluation.table import nasbench201
from evonas.evaluation.training import splits_of
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.run.supernet import SharedSearch
from evonas.supernets.training import GivenBench, SupernetTraining
from evonas.support.streams import stream

SETTINGS = {"cells": 1, "channels": 4, "search.epochs": 1, "final.epochs": 1}
SPACE = NASBench201Space()
PROXIES = ["shared weights", "untrained", "multiply-adds", "parameters", "layers"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A search by a supernet that has been trained for an epoch."""
    return evonas.search(
        "nasbench201", "digits", supernet="uniform", strategy="random", settings=SETTINGS, budget=2, workers=1,
        progress=False, seed=3, out=tmp_path_factory.mktemp("runs") / "run",
    )  # fmt: skip


@pytest.fixture
def tau(in_process, run, tmp_path):
    def call(*options, of=run.directory, out=tmp_path / "tau"):
        return in_process("tau", of, "--workers", 1, "--out", out, *options)

    return call


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Convolutions make cells better, and nothing else does."""
    path = tmp_path_factory.mktemp("table") / "cells.csv"
    with path.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["arch", "e12_c10_val", "e200_c10_test", "est_train_s_per_epoch_c10val"])
        for number, genome in enumerate(SPACE.genomes()):
            worth = 60 + 5 * genome.count("nor_conv_3x3") + 2 * genome.count("nor_conv_1x1") + number % 7 / 10
            rows.writerow([SPACE.format(genome), worth, worth, 8])
    return path


def genomes_of(folder):
    with (folder / "genomes.csv").open() as file:
        return list(csv.DictReader(file))


# ---- trained alone ------------------------------------------------------------------------------------------------


def test_a_supernet_is_held_against_networks_that_are_trained_alone(tau, run, tmp_path):
    done = tau("--genomes", 6, "--epochs", 1)
    assert done.returncode == 0, done.stderr
    for word in ("Kendall's tau", "95 % interval", "regret of its choice (points)", *PROXIES):
        assert word in done.stdout
    assert "6 genomes are few: where none are tied, their tau takes 16 values" in done.stdout
    assert (tmp_path / "tau" / "tau.png").read_bytes().startswith(b"\x89PNG")
    rows = genomes_of(tmp_path / "tau")
    assert len({row["code"] for row in rows}) == 6
    graphs = [run.space.decode(run.space.parse(row["code"])) for row in rows]
    assert [int(row["multiply_adds"]) for row in rows] == [graph.multiply_adds for graph in graphs]
    assert [int(row["parameters"]) for row in rows] == [graph.parameters for graph in graphs]
    assert [int(row["layers"]) for row in rows] == [layers(graph) for graph in graphs]
    trained = {row.code: row for row in alone.read(tmp_path / "tau" / "trained.jsonl")}
    assert all(float(row["true"]) == trained[row["code"]].value for row in rows if row["code"] in trained)
    final = run.problem.final.lasting(1)
    assert all(row.recipe == final.to_json() and row.epochs == 1 for row in trained.values())


def test_shared_values_are_those_that_the_search_would_have_been_told(tau, run, tmp_path):
    assert tau("--genomes", 4, "--epochs", 1).returncode == 0
    shared = SharedSearch(run.problem, run.config, run.directory)
    (record,) = [record for record in run.records() if record["phase"] == "supernet"]
    shared.file = run.directory / "supernets" / f"{record['weights']}.safetensors"
    evaluator = shared.evaluator()
    for row in genomes_of(tmp_path / "tau"):
        outcome = evaluator(Candidate(run.space.parse(row["code"]), run.space))
        assert float(row["shared_weights"]) == outcome.values[0]


def test_what_has_been_trained_is_not_trained_again(tau, tmp_path, monkeypatch):
    first = json.loads(tau("--genomes", 4, "--epochs", 1, "--json").stdout)
    rows = alone.read(tmp_path / "tau" / "trained.jsonl")
    before = genomes_of(tmp_path / "tau")
    made = []
    append = alone.append
    monkeypatch.setattr(alone, "append", lambda file, row: (made.append(row), append(file, row)))
    assert json.loads(tau("--genomes", 4, "--epochs", 1, "--json").stdout) == first
    assert made == []
    assert tau("--genomes", 6, "--epochs", 1).returncode == 0
    assert genomes_of(tmp_path / "tau")[:4] == before  # more genomes begin with the same ones
    assert len(made) == 2
    assert alone.read(tmp_path / "tau" / "trained.jsonl") == rows + made
    tau("--genomes", 2, "--epochs", 1, "--seed", 1)
    assert len(made) == 4  # another seed draws other genomes, and trains by itself


def test_a_row_that_was_cut_off_is_made_again_and_a_damaged_one_is_named(tau, tmp_path):
    tau("--genomes", 3, "--epochs", 1)
    file = tmp_path / "tau" / "trained.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    assert len(alone.read(file)) == 2
    assert tau("--genomes", 3, "--epochs", 1).returncode == 0
    assert [row.value for row in alone.read(file)] == [json.loads(line)["value"] for line in whole.splitlines()]
    file.write_bytes(whole.replace(b'"code"', b'"cod"', 1))
    done = tau("--genomes", 3, "--epochs", 1)
    assert done.returncode == 2
    assert "trained.jsonl, line 1 cannot be read" in done.stderr


def test_a_network_that_cannot_be_trained_is_left_out_and_named(tau, monkeypatch):
    def fails(*args, **options):
        first, *others = trained(*args, **options)
        first.value, first.error = None, "nan: the loss is nan"
        return [first, *others]

    trained = alone.trained
    monkeypatch.setattr(alone, "trained", fails)
    found = json.loads(tau("--genomes", 4, "--epochs", 1, "--json").stdout)
    assert found["genomes"] == 3
    assert list(found["failed"].values()) == ["nan: the loss is nan"]
    assert "1 genomes have no value and are left out" in found["said"][1]


def test_of_a_metric_that_is_minimised_less_is_better(tau, run, tmp_path, monkeypatch):
    tau("--genomes", 4, "--epochs", 1)
    before = genomes_of(tmp_path / "tau")
    monkeypatch.setattr(type(run.task.metric), "sign", -1)
    found = json.loads(tau("--genomes", 4, "--epochs", 1, "--json").stdout)
    assert "validation minus accuracy" in found["truth"]
    for row, other in zip(genomes_of(tmp_path / "tau"), before, strict=True):
        assert float(row["true"]) == -float(other["true"])
        assert float(row["shared_weights"]) == -float(other["shared_weights"])
        assert row["parameters"] == other["parameters"]


@pytest.mark.slow
def test_two_workers_and_one_say_the_same(run, tmp_path):
    found = [evonas.tau(run.directory, genomes=4, epochs=1, workers=workers, out=tmp_path / str(workers))
             for workers in (1, 2)]  # fmt: skip
    assert found[0].to_json() == found[1].to_json()


# ---- the supernet -------------------------------------------------------------------------------------------------


def test_the_untrained_supernet_is_the_one_with_which_the_training_began(tau, run, tmp_path):
    assert tau("--genomes", 2, "--epochs", 1).returncode == 0
    (file,) = (tmp_path / "tau" / "untrained").glob("*.safetensors")
    untrained, problem = load_file(file), run.problem
    splits = splits_of(problem.task, "cpu")
    bench = GivenBench(splits.train, splits.validation, problem.search, run.config.seed)
    began = SupernetTraining(problem.space.decode(problem.space.open()), bench).network.state_dict()
    assert all(torch.equal(untrained[name], tensor) for name, tensor in began.items())
    trained = load_file(next((run.directory / "supernets").glob("*.safetensors")))
    assert any(not torch.equal(untrained[name], tensor) for name, tensor in trained.items())


def test_a_supernet_that_was_lent_ranks_as_it_does_where_it_was_trained(tau, run, tmp_path):
    lent = evonas.search("nasbench201", "digits", supernet=run.directory, strategy="random",
                         settings={"cells": 1, "channels": 4, "final.epochs": 1}, budget=1, workers=1, progress=False,
                         seed=3, out=tmp_path / "lent")  # fmt: skip
    tau("--genomes", 3, "--epochs", 1)
    own = genomes_of(tmp_path / "tau")
    assert tau("--genomes", 3, "--epochs", 1, of=lent.directory).returncode == 0
    assert genomes_of(tmp_path / "tau") == own


# ---- a table ------------------------------------------------------------------------------------------------------


def test_a_supernet_is_held_against_a_table(tau, run, table, tmp_path):
    done = tau("--table", table, "--genomes", 10, "--best", 6)
    assert done.returncode == 0, done.stderr
    assert "tau of 6 of the table's best tenth" in done.stdout
    read, rows = nasbench201(table), genomes_of(tmp_path / "tau")
    drawn, top = ([row for row in rows if row["drawn_from"] == where] for where in ("space", "best tenth"))
    assert (len(drawn), len(top)) == (10, 6)
    assert all(float(row["true"]) == read.test[row["code"]] / 100 for row in rows)
    border = sorted(read.test.values())[-1_563] / 100
    assert all(float(row["true"]) >= border for row in top)
    assert len({row["code"] for row in top}) == 6
    found = json.loads((tmp_path / "tau" / "tau.json").read_text())
    assert list(found["proxies"]) == PROXIES
    assert found["of_space"] == 15_625
    for name, shown in found["proxies"].items():
        column = name.replace(" ", "_").replace("-", "_")
        for among, where in (("tau", drawn), ("best_tenth_of_table", top)):
            sides = ([float(row[key]) for row in where] for key in ("true", column))
            assert shown[among]["value"] == pytest.approx(tau_b(*sides))
    size = found["proxies"]["multiply-adds"]
    assert size["tau"]["value"] > 0.6  # as the table was made
    assert size["tau"]["p"] < 0.01
    chosen = max(drawn, key=lambda row: int(row["multiply_adds"]))
    assert size["regret"] == pytest.approx(max(float(row["true"]) for row in drawn) - float(chosen["true"]))
    assert size["percentile"] == pytest.approx(
        np.mean([worth >= read.test[chosen["code"]] for worth in read.test.values()])
    )


def test_genomes_keep_the_limits_of_the_run(table):
    read = nasbench201(table)
    small = {genome for genome in SPACE.genomes() if genome.count("nor_conv_3x3") < 4}
    found = best_of_table(read, stream(0, "best"), lambda genome: genome in small, 30)
    assert len(set(found)) == 30
    assert set(found) <= small
    assert best_of_table(replace(read, test={"a": 1.0}), stream(0, "best"), lambda genome: True, 30) == []


def test_different_genomes_are_drawn_until_there_are_no_more():
    rng = stream(0, "few")
    assert sorted(different(lambda: (rng.randrange(5),), 5)) == [(0,), (1,), (2,), (3,), (4,)]
    with pytest.raises(evonas.UserError, match="genomes is 6, but there are no more than 5 different ones"):
        different(lambda: (rng.randrange(5),), 6)


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data", "cifar10"], "data and best are those of a table"),
        (["--best", 5], "data and best are those of a table"),
        (["--table", "cells.csv", "--epochs", 3], "leave the epochs out, or the table"),
        (["--table", "missing.csv"], "cannot read the table missing.csv"),
        (["--genomes", 1], "1 is not in the range x>=2"),
    ],
)
def test_what_does_not_go_together_is_refused(tau, options, says):
    done = tau(*options)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_run_without_a_supernet_is_refused(tau, tmp_path):
    evonas.search("nasbench201", evaluate=lambda genome: genome.count("nor_conv_3x3"), strategy="random", budget=1,
                  workers=1, progress=False, out=tmp_path / "plain")  # fmt: skip
    done = tau(of=tmp_path / "plain")
    assert done.returncode == 2
    assert "plain has no supernet whose ranking could be tested" in done.stderr
    assert "evonas search --supernet uniform" in done.stderr
    assert not (tmp_path / "tau").exists()
    assert "holds no run" in tau(of=tmp_path / "nothing").stderr


def test_a_supernet_that_is_not_there_is_named(tau, run, tmp_path):
    shutil.copytree(run.directory, tmp_path / "begun")
    journal = tmp_path / "begun" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    done = tau(of=tmp_path / "begun")
    assert done.returncode == 2
    assert "begun has not been trained to its end; go on with 'evonas resume" in done.stderr
    shutil.copytree(run.directory, tmp_path / "lost")
    shutil.rmtree(tmp_path / "lost" / "supernets")
    done = tau(of=tmp_path / "lost")
    assert done.returncode == 1
    assert "the supernet of this run is lost" in done.stderr
