"""`evonas.search` and what comes back, as a script uses them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from itertools import islice
from random import Random

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

import evonas
from evonas.data.shared import shared
from evonas.data.sources import load
from evonas.errors import UserError
from evonas.genomes.genet import DIGITS
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.residual import ResidualSpace
from evonas.graph import Draft
from evonas.individual import Individual
from evonas.operations import Flatten, Linear
from evonas.operators.genet import toolbox
from evonas.run.budget import Budget
from evonas.run.carrying_out import go_on
from evonas.space import Decision, Space
from evonas.strategies.aging import AgingEvolution
from evonas.tasks.images import _on_device

TINY = {"population": 4, "epochs": 1, "final.epochs": 2, "filters": (4, 8)}


def search(what="genet", data="digits", *, out, **options):
    options = {"budget": 5, "settings": TINY, "workers": 1, "progress": False} | options
    return evonas.search(what, data, out=out, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return search(out=tmp_path_factory.mktemp("api") / "run", max_parameters=3600, budget=8)


# ---- a search over data -------------------------------------------------------------------------------------------


def test_the_best_comes_back_as_a_trained_module(run):
    network = run.best.network()
    assert isinstance(network, torch.nn.Module)
    assert not network.training
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert run.best.trained().test == run.summary["winner"]["test_accuracy"] > 0.3
    assert run.best.graph == DIGITS.__class__(filters=(4, 8)).decode(run.best.genome)
    assert run.best.values["accuracy"] == max(r["values"][0] for r in run.records() if r["phase"] == "search")


def test_limits_hold_for_every_trained_individual_and_the_summary_counts_the_rejected(run):
    trained = [record["measures"]["parameters"] for record in run.records()]
    assert trained
    assert max(trained) <= 3600
    assert run.summary["rejected"] > 0
    assert run.summary["evaluations"] == 8


def test_arrays_by_name_may_have_a_validation_part_and_weights(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 1, 7)).astype(np.float32), np.arange(60) % 2
    parts = {"x_train": x[:30], "y_train": y[:30], "x_validation": x[30:44], "y_validation": y[30:44],
             "x_test": x[44:], "y_test": y[44:]}  # fmt: skip
    parts |= {"weights_train": y[:30] + 1, "weights_validation": y[30:44] + 1}
    found = search(
        "evonas", parts, out=tmp_path / "run", budget=1, settings={"epochs": 2, "final.epochs": 1}, report=False
    )
    assert found.summary["counts"] == [30, 14, 16]
    assert np.array_equal(found.task.images.weights, found.task.images.y + 1)
    assert not found.config.settings["search.flip"]  # features have places of their own
    assert not (tmp_path / "run" / "report.html").exists()
    assert found.plot()
    assert (tmp_path / "run" / "report.html").exists()
    with pytest.raises(evonas.UserError, match="give x_train, y_train, x_test, y_test, and perhaps"):
        search("evonas", {"x_train": x, "y_train": y}, out=tmp_path / "other")
    with pytest.raises(evonas.UserError, match="perhaps x_validation"):
        search("evonas", parts | {"weights": y}, out=tmp_path / "other")


def test_records_are_plain_dicts_and_rows_are_flat(run):
    record = run.records()[0]
    assert {"id", "genome", "code", "parents", "phase", "values", "status", "measures", "cost", "curve", "t"} <= set(
        record
    )
    assert json.dumps(record)
    rows = run.rows()
    assert len(rows) == len(run.records())
    assert all(not isinstance(value, dict | list) for row in rows for value in row.values())
    assert rows[0]["accuracy"] == record["values"][0]


def test_a_frame_of_pandas_is_made_where_pandas_is(run):
    pandas = pytest.importorskip("pandas")
    frame = run.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.accuracy.max() == max(record["values"][0] for record in run.records())


def test_an_individual_has_what_is_known_of_it(run):
    first = run[0]
    assert (first.id, first.code) == (0, run.records()[0]["code"])
    assert "accuracy" in repr(first)
    with pytest.raises(evonas.UserError, match=r"has no individual 99: ids are 0 to"):
        run[99]


def test_a_run_is_opened_again_by_its_directory(run, tmp_path):
    again = evonas.open_run(run.directory)
    assert again.best.code == run.best.code
    weights = [each.best.network().state_dict() for each in (run, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with pytest.raises(evonas.UserError, match="holds no run"):
        evonas.open_run(tmp_path)


def test_any_individual_can_be_trained_afterwards(run):
    other = next(run[record["id"]] for record in run.records() if record["code"] != run.best.code)
    with pytest.raises(evonas.UserError, match=r"has no trained network yet: call .train\(\)"):
        other.network()
    trained = other.train(epochs=1)
    assert trained.facts["epochs"] == 1
    assert isinstance(other.network(), torch.nn.Module)


def test_the_same_seed_gives_the_same_search_and_another_seed_another(tmp_path):
    one, again, other = (search(out=tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    seen = [[(r["genome"], r["values"]) for r in each.records()] for each in (one, again, other)]
    assert seen[0] == seen[1] != seen[2]


def test_a_search_goes_on_where_it_stopped_with_resume(tmp_path):
    search(out=tmp_path / "run", budget=4)
    with pytest.raises(evonas.UserError, match=r"holds a run already.*resume=True"):
        search(out=tmp_path / "run")
    longer = search(out=tmp_path / "run", budget=9, resume=True)
    whole = search(out=tmp_path / "whole", budget=9)
    searched = [
        [(r["genome"], r["values"]) for r in each.records() if r["phase"] == "search"] for each in (longer, whole)
    ]
    assert searched[0] == searched[1]
    assert longer.summary["evaluations"] == 9


def test_networks_to_begin_with_come_first(tmp_path, run):
    second = search(out=tmp_path / "init", init=["0-00/0-00-000", run.directory], budget=3)
    codes = [record["code"] for record in second.records()]
    assert codes[:2] == ["0-00/0-00-000", run.best.code]
    assert [record["operator"] for record in second.records()][:2] == ["init", "init"]


def test_a_run_to_begin_with_may_be_of_a_space_that_was_defined_in_a_function(tmp_path):
    @dataclass(frozen=True)
    class Local(Chain):
        def next(self, prefix):  # a code is longer than a path may be
            return Decision(f"layer{len(prefix)}", ("aa", "bb"), len(prefix)) if len(prefix) < 200 else None

    options = {"evaluate": lambda genome: genome.count("aa"), "settings": {}, "budget": 3}
    first = search(Local(), None, out=tmp_path / "first", **options)
    for init in (first.directory, str(first.directory), first.best.code):
        second = search(Local(), None, out=tmp_path / "second", init=[init], **options)
        assert second.records()[0]["code"] == first.best.code
        shutil.rmtree(tmp_path / "second")


def test_a_name_longer_than_a_path_is_no_run():
    with pytest.raises(UserError, match="cannot be the path of a file: File name too long"):
        evonas.train("x" * 400, "1-01/1-01-100")


def test_several_objectives_give_a_pareto_front(tmp_path):
    found = search(out=tmp_path / "run", objectives="accuracy,parameters", budget=12)
    front = found.front
    assert all(set(each.values) == {"accuracy", "parameters"} for each in front)
    for one in front:
        for other in front:
            if one.id != other.id:
                better = one.values["accuracy"] > other.values["accuracy"]
                assert better or one.values["parameters"] < other.values["parameters"]
    assert found.best.code in [each.code for each in front]


def test_the_largest_accuracy_wins_among_several_objectives(tmp_path):
    found = search(out=tmp_path / "run", objectives=("accuracy", "multiply_adds"), budget=6)
    searched = [record for record in found.records() if record["phase"] == "search"]
    assert found.best.values["accuracy"] == max(record["values"][0] for record in searched)


# ---- a script's own data ------------------------------------------------------------------------------------------

DIGITS_X, DIGITS_Y = load_digits().images, load_digits().target
SOME = slice(0, 400)


@pytest.mark.parametrize(
    "data",
    [
        (DIGITS_X[SOME], DIGITS_Y[SOME]),
        (DIGITS_X[SOME], DIGITS_Y[SOME], DIGITS_X[400:600], DIGITS_Y[400:600]),
        (torch.tensor(DIGITS_X[SOME])[:, None], torch.tensor(DIGITS_Y[SOME])),
        TensorDataset(torch.tensor(DIGITS_X[SOME], dtype=torch.float32)[:, None], torch.tensor(DIGITS_Y[SOME])),
        (
            TensorDataset(torch.tensor(DIGITS_X[SOME])[:, None], torch.tensor(DIGITS_Y[SOME])),
            TensorDataset(torch.tensor(DIGITS_X[400:600])[:, None], torch.tensor(DIGITS_Y[400:600])),
        ),
        (DIGITS_X[SOME], np.array([f"number {label}" for label in DIGITS_Y[SOME]])),
    ],
    ids=["x and y", "train and test", "tensors", "a dataset", "two datasets", "labels by name"],
)
def test_own_images_are_searched_and_kept_in_the_run_directory(tmp_path, data):
    found = search(data=data, out=tmp_path / "run", budget=2, settings=TINY | {"population": 2})
    assert found.best.network()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert (tmp_path / "run" / "data.npz").exists()
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert evonas.open_run(moved).best.train(epochs=1).facts["epochs"] == 1


def test_names_of_classes_are_kept(tmp_path):
    named = (DIGITS_X[SOME], np.array([f"number {label}" for label in DIGITS_Y[SOME]]))
    found = search(data=named, out=tmp_path / "run", budget=2, settings=TINY | {"population": 2})
    assert found.best.trained().preprocessing["classes"][3] == "number 3"


def test_images_of_a_dataset_may_be_pictures(tmp_path):
    from PIL import Image

    class Pictures:
        classes = ("dark", "light")

        def __len__(self):
            return 60

        def __getitem__(self, number):
            return Image.new("RGB", (8, 8), (200 * (number % 2) + number % 7, 3, 3)), number % 2

    found = search(data=Pictures(), out=tmp_path / "run", budget=2, settings=TINY | {"population": 2})
    assert found.best.graph.input_shape == (3, 8, 8)
    assert found.best.trained().preprocessing["classes"] == ["dark", "light"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((DIGITS_X[SOME], DIGITS_Y[:10]), "400 images but 10 labels"),
        ((DIGITS_X[SOME].reshape(400, 64), DIGITS_Y[SOME]), r"the images have shape \(400, 64\)"),
        ((DIGITS_X[SOME], np.zeros(400, int)), "fewer than two classes"),
        ((DIGITS_X[SOME], DIGITS_Y[SOME] - 1), "negative label -1"),
        ((DIGITS_X[SOME], DIGITS_Y[SOME], DIGITS_X[SOME]), "give the name of a data set"),
        (42, "data is int"),
        (None, "nothing to judge networks by"),
        ("nothing.npz", "no such file"),
    ],
)
def test_data_that_cannot_be_used_are_refused_and_leave_nothing(tmp_path, data, says):
    with pytest.raises(evonas.UserError, match=says):
        search(data=data, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# ---- a fitness of one's own ---------------------------------------------------------------------------------------


def ones(genome):
    return sum(genome)


def test_a_fitness_of_ones_own_needs_no_data(tmp_path):
    found = search(DIGITS, None, evaluate=ones, out=tmp_path / "run", budget=150, settings={})
    assert found.best.values["fitness"] >= 8
    assert found.best.graph.parameters > 0
    assert "test_accuracy" not in found.summary["winner"]
    with pytest.raises(evonas.UserError, match="the run has no data to train on"):
        found.best.train()


def test_a_fitness_to_be_minimised_is(tmp_path):
    found = search(DIGITS, None, evaluate=ones, objectives={"ones": -1}, out=tmp_path / "run", budget=150, settings={})
    assert found.best.values == {"ones": min(record["values"][0] for record in found.records())}
    assert found.best.values["ones"] <= 1


def test_several_values_of_ones_own_fitness_are_a_front(tmp_path):
    def both(genome):
        return sum(genome[:4]), sum(genome[2:])

    found = search(DIGITS, None, evaluate=both, objectives={"head": 1, "tail": -1}, out=tmp_path / "run", budget=200,
                   settings={})  # fmt: skip
    assert {tuple(each.values.values()) for each in found.front} >= {(4, 2), (2, 0)}


def test_ones_own_fitness_and_data_give_a_trained_winner(tmp_path):
    found = search(data="digits", evaluate=ones, out=tmp_path / "run", budget=4, baseline=True)
    assert set(found.summary) >= {"winner", "random_search", "reference"}
    assert found.best.network()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert found.summary["winner"]["fitness"] == found.best.values["fitness"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda genome: None, r"evaluate returned None for .*; return a number"),
        (lambda genome: (0.5, 1.0), r"evaluate returned \(0.5, 1.0\)"),
        (lambda genome: "high", "evaluate returned 'high'"),
    ],
)
def test_a_fitness_that_returns_something_else_stops_the_search(tmp_path, function, says):
    with pytest.raises(evonas.UserError, match=says):
        search(DIGITS, None, evaluate=function, out=tmp_path / "run", settings={})


def test_a_fitness_that_is_not_a_number_is_a_failure_and_costs_nothing_told(tmp_path):
    found = search(DIGITS, None, evaluate=lambda genome: float("nan") if genome[0] else sum(genome),
                   out=tmp_path / "run", budget=40, settings={})  # fmt: skip
    failed = [record for record in found.records() if record["status"] == "failed"]
    assert failed
    assert all(record["genome"][0] == 1 and record["values"] == [] for record in failed)
    assert found.best.genome[0] == 0


def test_a_fitness_that_always_fails_stops_with_its_reason(tmp_path):
    with pytest.raises(
        evonas.RunError, match=r"first 10 evaluations have all failed.*no such layer.*run the script again"
    ):
        search(DIGITS, None, evaluate=lambda genome: {}["no such layer"], out=tmp_path / "run", settings={}, budget=50)


class Counting:
    """A strategy of a script: all genomes in a row."""

    def __init__(self):
        self.genomes = DIGITS.genomes()

    def generate(self, n=None):
        return [Individual(next(self.genomes))]

    def update(self, individuals):
        pass


def test_a_strategy_of_ones_own_is_driven_and_its_proposals_over_a_limit_cost_nothing(tmp_path):
    found = search(DIGITS, None, evaluate=ones, strategy=Counting(), out=tmp_path / "run", budget=20, settings={},
                   max_parameters=25_000)  # fmt: skip
    records = found.records()
    assert [tuple(record["genome"]) for record in records] == list(islice(DIGITS.genomes(), len(records)))
    evaluated = [record for record in records if record["status"] == "full"]
    rejected = [record for record in records if record["status"] == "rejected"]
    assert len(evaluated) == found.summary["evaluations"] == 20
    assert len(rejected) == found.summary["rejected"] > 0
    assert all(DIGITS.decode(record["genome"]).parameters <= 25_000 for record in evaluated)
    assert all("over the limit of 25,000" in record["error"] for record in rejected)


@pytest.mark.slow
def test_a_resumed_search_takes_the_workers_and_the_executor_of_the_call(tmp_path):
    begun = search(out=tmp_path / "run", budget=3, workers=1)
    assert (begun.config.workers, begun.config.executor) == (1, "serial")
    gone_on = search(out=tmp_path / "run", budget=6, resume=True, workers=2, executor="processes")
    assert (gone_on.config.workers, gone_on.config.executor) == (2, "processes")
    assert evonas.open_run(tmp_path / "run").config.workers == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"executor": "pbs"}, "there is no executor 'pbs'; use one of serial, processes, scoop, dask, mpi, slurm"),
        ({"executor": "slurm"}, "give --workers: how many jobs to submit"),
        ({"executor": "scoop"}, "start the script with 'python -m scoop"),
        ({"executor": "scoop", "hostfile": "no such file"}, "cannot read the hostfile"),
        ({"executor": "serial", "workers": 2}, "one worker is all that the executor serial has"),
        ({"scheduler": "tcp://node:8786"}, "a scheduler is of dask, not of processes"),
        ({"executor": "dask", "scheduler": "tcp://node:8786"}, "give --workers"),
        ({"hostfile": "no such file"}, "a hostfile is for SCOOP or MPI, not for processes"),
        ({"workers_per_gpu": 0}, "workers_per_gpu is 0"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_an_executor_that_does_not_fit_is_said_before_anything_is_written(tmp_path, options, says):
    with pytest.raises(evonas.UserError, match=says):
        search(out=tmp_path / "run", budget=3, **{"workers": None} | options)
    assert not (tmp_path / "run").exists()


def test_a_run_with_rejected_proposals_resumes_to_the_same_end(tmp_path):
    options = {"evaluate": ones, "max_parameters": 25_000, "settings": {}, "budget": 12}
    search(DIGITS, None, strategy=Counting(), out=tmp_path / "run", **options)
    journal = tmp_path / "run" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    for cut in range(1, len(lines), 8):
        journal.write_text("".join(lines[:cut]))
        found = search(DIGITS, None, strategy=Counting(), out=tmp_path / "run", resume=True, **options)
        assert [(r["genome"], r["status"]) for r in found.records()] == [
            (event["genome"], told["status"])
            for event, told in zip(
                [json.loads(line) for line in lines if '"asked"' in line],
                [json.loads(line) for line in lines if '"told"' in line],
                strict=True,
            )
        ]


def test_a_scripts_run_says_on_the_command_line_how_to_go_on(tmp_path):
    search(DIGITS, None, evaluate=ones, out=tmp_path / "run", settings={})
    longer = evonas.open_run(tmp_path / "run").extended(evaluations=50, seconds=None)
    with pytest.raises(evonas.UserError, match=r"its own evaluate; run the script again with resume=True"):
        go_on(longer)


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objectives": "accuracy,size"}, "unknown objective 'size'"),
        ({"objectives": ("accuracy", "accuracy")}, "name each once"),
        ({"objectives": "parameters"}, "put accuracy first"),
        ({"max_parameters": 0}, "max_parameters is 0"),
        ({"max_parameters": 100}, r"none of 5,000 random networks keeps the limits; the smallest had 678 parameters"),
        ({"init": ["0-00"]}, "has 1 stages, not 2"),
        ({"init": ["1-11/1-11-111"], "max_parameters": 3600}, "over the limit of 3,600"),
        ({"init": ["0-00/0-00-000"] * 5}, "5 networks to begin with, but the search begins with 4; set population=5"),
        (
            {"init": ["0-00/0-00-000"] * 3, "objectives": "accuracy,parameters"},
            "3 networks to begin with, but the search begins with 2; set population=6",
        ),
        ({"budget": "soon"}, "'soon' is no duration"),
        ({"budget": 0}, "allows nothing"),
        ({"settings": {"populations": 3}}, "did you mean population"),
        ({"workers": 0}, "workers is 0"),
        ({"evaluate": 3}, "give a function of a genome"),
        ({"evaluate": ones, "objectives": "accuracy"}, "give {name: 1 or -1}"),
        ({"evaluate": ones, "objectives": {"score": "high"}}, "use 1 to maximise and -1 to minimise"),
    ],
)
def test_wrong_use_is_said_before_anything_is_written(tmp_path, options, says):
    with pytest.raises(evonas.UserError, match=says):
        search(out=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_space_that_does_not_fit_the_data_is_refused(tmp_path):
    class Stubborn(ResidualSpace):
        def decode(self, genome):
            return ResidualSpace((4,), input_shape=(1, 8, 8), outputs=7).decode(genome)

    with pytest.raises(evonas.UserError, match=r"to \(7,\), but the data have inputs of .* and outputs of"):
        search(Stubborn(), out=tmp_path / "run", settings={})


def test_budgets_are_evaluations_a_time_or_both(tmp_path):
    found = search(DIGITS, None, evaluate=ones, out=tmp_path / "a", budget="1s", settings={"generations": 10**6})
    assert "seconds" in found.summary["ended_because"] or "evaluated before" in found.summary["ended_because"]
    found = search(
        DIGITS, None, evaluate=ones, out=tmp_path / "b", budget=Budget(evaluations=7, seconds=60), settings={}
    )
    assert found.summary["evaluations"] == 7


# ---- interruption -------------------------------------------------------------------------------------------------

SCRIPT = """
    import time
    import evonas
    from evonas.genomes.genet import DIGITS

    def slow(genome):
        time.sleep(0.05)
        return sum(genome)

    if __name__ == "__main__":
        run = evonas.search(DIGITS, evaluate=slow, budget=400, out="run", resume=True, workers=2)
        print("back", run.interrupted, len(run.records()), run.best.values["fitness"])
"""


def test_ctrl_c_gives_the_script_the_run_so_far(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("search:"):
            os.kill(process.pid, signal.SIGINT)
            break
    printed, error = process.communicate(timeout=60)
    back = next(line for line in printed.splitlines() if line.startswith("back"))
    assert back.startswith("back True ")
    assert 0 < int(back.split()[2]) < 400
    assert "Traceback" not in error
    assert process.returncode == 0


# ---- what is resumed is what was begun ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data": (DIGITS_X[SOME] * 0.5, DIGITS_Y[SOME])}, "with other data"),
        ({"data": (DIGITS_X[SOME], DIGITS_Y[SOME] % 5)}, "with other shapes, data"),
        ({"seed": 3}, "seed was 0, is 3"),
        ({"max_parameters": 3000}, "with other limits"),
        ({"settings": TINY | {"population": 5}}, r"with other settings \(strategy.population\)"),
        ({"objectives": "accuracy,parameters"}, "with other objectives"),
        ({"evaluate": ones, "objectives": {"accuracy": 1}}, "with other evaluate"),
        ({"what": DIGITS}, "with other system"),
    ],
)
def test_a_run_is_not_resumed_as_another_one(tmp_path, change, says):
    same = {"data": (DIGITS_X[SOME], DIGITS_Y[SOME]), "out": tmp_path / "run", "budget": 2}
    begun = search(**same)
    files = sorted(path.name for path in begun.directory.iterdir())
    with pytest.raises(evonas.UserError, match=says):
        search(**same | change, resume=True)
    assert sorted(path.name for path in begun.directory.iterdir()) == files
    assert len(search(**same, resume=True).records()) == len(begun.records())


def test_a_run_is_read_without_its_data(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=DIGITS_X[:300].astype("uint8"), y_train=DIGITS_Y[:300],
             x_test=DIGITS_X[300:400].astype("uint8"), y_test=DIGITS_Y[300:400])  # fmt: skip
    search(data=tmp_path / "mine.npz", out=tmp_path / "run", budget=2)
    (tmp_path / "mine.npz").unlink()
    load.cache_clear()  # as in another process
    shared.cache_clear()
    _on_device.cache_clear()
    found = evonas.open_run((tmp_path / "run").rename(tmp_path / "moved"))
    assert found.best.network()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert found.plot()
    with pytest.raises(evonas.UserError, match="no such file or folder"):
        found.best.train(epochs=1)


def test_what_the_search_left_stays_the_winners_network(tmp_path):
    found = search(out=tmp_path / "run", budget=3, settings=TINY | {"final.epochs": 6})
    before = found.best.trained().test
    again = found.best.train(epochs=1)
    assert again.folder == found.directory / "trained" / str(found.best.id)
    assert found.best.trained().folder == found.directory / "best"
    assert found.best.trained().test == before == found.summary["winner"]["test_accuracy"]


def test_equal_means_are_equal_and_the_earlier_genome_wins():
    from evonas.ranking import Best, best

    value = 0.9756944444444444
    told = [Best(0, (1,), value), *(Best(number, (2,), value) for number in range(1, 24))]
    assert best(told, 1.0).id == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device is 'tpu'; use one of auto, cpu, cuda"),
        ({"precision": "half"}, "precision is 'half'; use one of auto, float32, bfloat16"),
        ({"max_parameters": "many"}, "'many' is no count"),
        ({"settings": {"population": 2.5}}, "population is 2.5; use a whole number"),
        ({"settings": {"flip": 1}}, "flip is 1; use true or false"),
        ({"data": {"x": 1}}, "the data have x; give x_train"),
        ({"data": (torch.zeros(20, 16, 16, 3), torch.arange(20) % 2)}, "channels last; give it as N x C x H x W"),
        ({"data": (DIGITS_X[SOME], DIGITS_Y[SOME] + 1)}, "no image has the label 0; number the classes from 0"),
    ],
)
def test_more_wrong_use_is_said_before_anything_is_written(tmp_path, options, says):
    with pytest.raises(evonas.UserError, match=says):
        search(**{"out": tmp_path / "run"} | options)
    assert list(tmp_path.iterdir()) == []


def test_limits_may_be_texts_and_a_short_training_needs_no_warm_up_setting(tmp_path):
    noise = np.random.default_rng(0).random((60, 16, 16)), np.arange(60) % 2
    found = search(data=noise, out=tmp_path / "run", budget=2,
                   settings={"population": 2, "epochs": 1, "final.epochs": 1, "filters": (2, 2, 2)},
                   max_parameters="2k")  # fmt: skip
    assert found.config.preset == "small"
    assert found.config.settings["search.warmup"] == 1 / 3
    assert found.config.limits.parameters == 2000


def test_classes_of_a_subset_are_those_of_its_dataset(tmp_path):
    from torch.utils.data import Subset

    whole = TensorDataset(torch.tensor(DIGITS_X[SOME])[:, None], torch.tensor(DIGITS_Y[SOME]))
    whole.classes = [f"digit {number}" for number in range(10)]
    found = search(data=Subset(whole, range(300)), out=tmp_path / "run", budget=2)
    assert found.best.trained().preprocessing["classes"][4] == "digit 4"


# ---- spaces with mistakes in them ---------------------------------------------------------------------------------


class Chain(ResidualSpace):
    """Two kinds of layers; options of the second depend on the first. Subclasses make one mistake each."""

    def next(self, prefix):
        if len(prefix) == 2:
            return None
        options = ("a", "b") if not prefix or prefix[0] == "a" else ("b", "c")
        return Decision(f"layer{len(prefix)}", options, self.state(prefix))

    def state(self, prefix):
        return tuple(prefix)

    def decode(self, genome):
        self.decisions(genome)
        return ResidualSpace((4, 4), 1, input_shape=self.input_shape, outputs=self.outputs).decode(())

    def format(self, genome):
        return Space.format(self, genome)

    def parse(self, code):
        return Space.parse(self, code)


class Blurred(Chain):
    def state(self, prefix):
        return len(prefix)


class Endless(Chain):
    def next(self, prefix):
        return Decision(f"layer{len(prefix)}", (0, 1), len(prefix))


class Repeating(Chain):
    def next(self, prefix):
        return Decision("layer", (0, 1), len(prefix)) if len(prefix) < 2 else None


class Empty(Chain):
    def next(self, prefix):
        return Decision("layer", (), 0) if not prefix else None


class Unnameable(Chain):
    def decode(self, genome):
        draft = Draft(self.input_shape)
        draft.node("train", ["input"], Flatten(), Linear(self.outputs))
        return draft.graph()


class Forgetful(Chain):
    def decode(self, genome):
        pass


class Broken(Chain):
    def decode(self, genome):
        raise ZeroDivisionError("no channels")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Blurred, r"the state 1 of layer1 .* stands for layer1 with the options .* as well"),
        (Endless, "more than 10,000 tokens; `next` must return None if it is complete"),
        (Repeating, "'layer' is asked twice"),
        (Empty, "return a Decision with a tuple of options"),
        (Unnameable, "'train' is what PyTorch calls a method or field of modules"),
        (Forgetful, r"`decode` returns None for the genome \('"),
        (Broken, r"`decode` fails for the genome \('.*ZeroDivisionError: no channels"),
    ],
)
def test_mistakes_of_a_space_are_named_before_anything_is_written(tmp_path, kind, says):
    with pytest.raises(evonas.UserError, match=says):
        search(kind(input_shape=(1, 8, 8)), out=tmp_path / "run", settings={})
    assert list(tmp_path.iterdir()) == []


class Fickle(Chain):
    """Some genomes have no network."""

    def decode(self, genome):
        if genome[0] == "b":
            raise ValueError("b comes never first")
        return super().decode(genome)


@pytest.mark.parametrize("limit", [None, 10**6])
def test_a_genome_that_cannot_be_decoded_is_a_failure_and_no_crash(tmp_path, limit):
    found = search(Fickle(input_shape=(1, 8, 8)), out=tmp_path / "run", settings={"epochs": 1, "final.epochs": 1},
                   budget=4, strategy=Counted(), max_parameters=limit, seed=1)  # fmt: skip
    told = {tuple(record["genome"]): record for record in found.records() if record["phase"] == "search"}
    assert told["a", "a"]["status"] == told["a", "b"]["status"] == "full"
    assert told["b", "b"]["status"] == told["b", "c"]["status"] == "failed"
    assert "b comes never first" in told["b", "b"]["error"]


class Counted:
    def __init__(self):
        self.genomes = iter([("a", "a"), ("b", "b"), ("a", "b"), ("b", "c")])

    def generate(self, n=None):
        return [Individual(next(self.genomes))]

    def update(self, individuals):
        pass


def test_a_setting_repeats_trainings_and_the_fitness_is_their_mean(tmp_path):
    one, two = (
        search(out=tmp_path / str(n), budget=2, settings=TINY | {"trainings": n}).records() for n in (1, 2)
    )  # fmt: skip
    first = next(record for record in two if record["phase"] == "search")
    assert first["cost"]["epochs"] == 2
    assert first["genome"] == one[0]["genome"]
    assert first["values"] != one[0]["values"]
    with pytest.raises(UserError, match=r"final\.trainings is 2; the winner is trained once"):
        search(out=tmp_path / "final", budget=2, settings=TINY | {"final.trainings": 2})


def test_a_strategy_may_be_made_over_the_systems_own_toolbox(tmp_path):
    def strategy(toolbox, rng):
        return AgingEvolution(toolbox, rng=rng, population=2, sample=2)

    code = "1-01/0-00-001"
    settings = {"epochs": 1, "final.epochs": 1, "filters": (4, 8), "bit_flip_rate": 0.0}
    found = search(out=tmp_path / "run", strategy=strategy, budget=8, init=[code], max_parameters=3600,
                   settings=settings).records()  # fmt: skip
    assert found[0]["code"] == code
    assert all(record["measures"]["parameters"] <= 3600 for record in found)
    assert len({record["code"] for record in found}) <= 2  # the two to begin with: no bit is ever flipped


@pytest.mark.parametrize(("strategy", "missing"), [("local", "neighbours"), ("genet", "select, mate")])
def test_a_strategy_is_refused_over_a_toolbox_without_the_operators_that_it_needs(strategy, missing, tmp_path):
    with pytest.raises(UserError, match=f"needs operators for {missing}, and the toolbox of large-scale has none"):
        search("large-scale", out=tmp_path / "run", strategy=strategy, settings={}, budget=2)
    assert not (tmp_path / "run").exists()


def test_a_strategy_that_is_made_already_is_not_begun_with_networks_that_it_never_hears_of(tmp_path):
    rng = Random(0)
    ready = AgingEvolution(toolbox(DIGITS, rng=rng), rng=rng, population=2, sample=2)
    with pytest.raises(UserError, match="made already does not hear of `init`"):
        search(out=tmp_path / "run", strategy=ready, init=["1-01/0-00-001"], budget=2)
    assert not (tmp_path / "run").exists()


def test_a_name_that_a_space_and_its_strategy_share_is_said_whole(tmp_path):
    @dataclass(frozen=True)
    class Crowded(NASBench201Space):
        name = "crowded"
        population: int = 3

    space, same = Crowded(4, 1, (1, 8, 8)), {"evaluate": len, "budget": 2, "workers": 1, "progress": False}
    with pytest.raises(UserError, match=r"ambiguous: write space\.population or strategy\.population"):
        evonas.search(space, settings={"population": 5}, out=tmp_path / "run", **same)
    assert not (tmp_path / "run").exists()
    found = evonas.search(
        space, settings={"space.population": 4, "strategy.population": 6}, out=tmp_path / "run", **same
    )
    assert found.space.population == 4
    assert found.config.settings["strategy.population"] == 6


def test_public_names_are_listed_before_they_are_used():
    done = subprocess.run([sys.executable, "-c", "import evonas; print(*dir(evonas))"], capture_output=True, text=True)
    assert set(evonas.__all__) <= set(done.stdout.split())
