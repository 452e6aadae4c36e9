"""Tables of NAS-Bench-Graph, TransNAS-Bench-101 and NAS-Bench-NLP, and their metrics and signals."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor

import evonas
from evonas.errors import UserError
from evonas.evaluation import Candidate
from evonas.evaluation.table import nasbench_nlp, read_table
from evonas.evaluation.table.recurrent import Step, features
from evonas.support.streams import stream

SHARED = Path(os.environ.get("EVONAS_TABLES", Path(__file__).parents[3] / "shared" / "data"))
GRAPHS, TASKS = SHARED / "nasbench_graph.csv.gz", SHARED / "transnas101.csv.gz"
RECIPES, CELLS, CHAINS = (
    SHARED / f"{name}.csv.gz" for name in ("nasbench_nlp_wikitext2", "nasbench201", "nasbench_macro")
)


def needs(path):
    return pytest.mark.skipif(not path.exists(), reason=f"the table {path.name} is not here")


def written(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


# ---- NAS-Bench-Graph ----------------------------------------------------------------------------------------------


@needs(GRAPHS)
def test_a_query_of_a_graph_network_gives_what_the_file_has_of_its_canonical_form():
    table = read_table("nasbench-graph", GRAPHS)
    genome = table.space.parse("0000:gin-gat-gat-gat")
    outcome = table.signal(costs=("latency", "parameters"))(Candidate(genome))
    assert outcome.values == pytest.approx((0.79333, 4.64, 1736199))  # 0000:gat-gat-gat-gin
    assert table.test[table.space.key(genome)] == 80.1
    assert set(table.elsewhere) == {"citeseer", "pubmed", "arxiv"}
    assert table.elsewhere["arxiv"]["0000:gat-gat-gat-gin"] == 67.097


GRAPH_HEAD = ("arch", "cora_valid", "cora_test", "cora_latency_ms", "cora_params")


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        (("0000:gcn-gcn-gcn-gcn", 80, 101, 1, 1), {}, "line 2: cora_test is '101'; give per cent"),
        (("0000:gcn-gcn-gcn-gcn", 80, 80, "fast", 1), {}, "line 2: cora_latency_ms is 'fast'; give a number"),
        (("0000:gcn-gcn-gcn-gcn", 80, 80, 1, 1), {"data": "arxiv"}, "no column arxiv_valid"),
        (("0000:gcn-gcn-gcn-gcn", 80, 80, 1, 1), {"data": "cs"}, "no data 'cs'; use one of cora, citeseer"),
        (("0000:gcn-gcn-gcn-gcn", 80, 80, 1, 1), {"signal": "e12"}, "no signal 'e12'; use valid"),
    ],
)
def test_bad_tables_of_graph_networks_are_refused(tmp_path, row, options, says):
    path = written(tmp_path / "graphs.csv", GRAPH_HEAD, row)
    with pytest.raises(UserError, match=says):
        read_table("nasbench-graph", path, **options)


# ---- TransNAS-Bench-101 -------------------------------------------------------------------------------------------

BEST = {  # the published best validation values
    "class_scene": (54.94, 57.48), "class_object": (46.32, 47.96), "jigsaw": (95.37, 97.02),
    "segmentsemantic": (26.27, 29.66), "room_layout": (-0.594, -0.563), "normal": (0.596, 0.644),
    "autoencoder": (0.577, 0.769),
}  # fmt: skip


@needs(TASKS)
@pytest.mark.parametrize("task", BEST)
def test_the_best_of_both_spaces_are_the_published_ones(task):
    for space, best in zip(("transnas101-micro", "transnas101-macro"), BEST[task], strict=True):
        table = read_table(space, TASKS, task)
        assert len(table.signals) == table.space.count()
        assert table.best_signal == pytest.approx(best, abs=0.005 if best > 1 else 0.0005)


@needs(TASKS)
def test_shares_are_seen_as_fractions_and_other_metrics_as_they_are():
    scene = read_table("transnas101-macro", TASKS)
    rooms = read_table("transnas101-macro", TASKS, "room_layout")
    genome = scene.space.parse("64-4111-basic")
    assert scene.signal()(Candidate(genome)).values == pytest.approx((0.530255,))
    assert scene.signal()(Candidate(genome)).seconds == 5425
    assert rooms.signal()(Candidate(genome)).values == (-0.670116,)
    assert rooms.test["64-4111-basic"] == -0.634218
    assert (str(scene.metric), str(rooms.metric)) == ("accuracy (%)", "negative loss")


@needs(TASKS)
def test_a_comparison_shows_a_plain_metric_without_per_cent(tmp_path):
    found = evonas.compare("transnas101-micro", table=TASKS, data="normal", strategies="random", seeds=3, budget=20,
                           regret=0.1, workers=1, out=tmp_path)  # fmt: skip
    row = found.rows()[0]
    assert "test SSIM" in row
    assert len(row["test SSIM"].split(" ± ")[0].partition(".")[2]) == 4
    assert found.figure().axes[0].get_ylabel() == "mean regret in test SSIM"
    assert "%" not in found.heading


TASK_HEAD = ("arch", "space", "normal_valid_ssim", "normal_test_ssim", "normal_train_seconds")


@pytest.mark.parametrize(
    ("space", "row", "says"),
    [
        ("transnas101-micro", ("64-41414-0_00_000", "micro", 1.5, 0.5, 9), "a similarity, from -1 to 1"),
        ("transnas101-micro", ("64-41414-0_00_000", "micro", 0.5, 0.5, 0), "give seconds, above 0"),
        ("transnas101-macro", ("64-41414-0_00_000", "micro", 0.5, 0.5, 9), "it has no row of the space macro"),
    ],
)
def test_bad_tables_of_tasks_are_refused(tmp_path, space, row, says):
    with pytest.raises(UserError, match=says):
        read_table(space, written(tmp_path / "tasks.csv", TASK_HEAD, row), "normal")


def test_unknown_tasks_are_refused_with_those_that_exist(tmp_path):
    with pytest.raises(UserError, match="no data 'cifar10'; use one of class_scene, class_object, jigsaw"):
        read_table("transnas101-micro", tmp_path / "none.csv", "cifar10")


# ---- signals ------------------------------------------------------------------------------------------------------


@needs(CELLS)
@pytest.mark.parametrize(("data", "best", "scale"), [("cifar10", 91.61, 1), ("cifar100", 73.49, 2)])
def test_the_signal_e200_is_the_validation_accuracy_of_200_epochs_and_costs_them(data, best, scale):
    table = read_table("nasbench201", CELLS, data, signal="e200")
    assert round(table.best_signal, 2) == best
    cell = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    outcome = table.signal()(Candidate(table.space.parse(cell)))
    assert outcome.values == pytest.approx(({"cifar10": 0.819827, "cifar100": 0.527}[data],))
    assert outcome.seconds == pytest.approx(7.305 * 200.35 * scale)
    assert outcome.epochs == 200


def test_a_table_without_the_signal_e200_says_so(tmp_path):
    path = written(tmp_path / "cells.csv", ("arch", "e12_c10_val", "e200_c10_test", "est_train_s_per_epoch_c10val"),
                   ("|none~0|", 50, 60, 7))  # fmt: skip
    assert read_table("nasbench201", path).best_signal == 50
    with pytest.raises(UserError, match="does not have the signal e200, the column e200_c10_val; use the signal e12"):
        read_table("nasbench201", path, signal="e200")
    with pytest.raises(UserError, match="no signal 'e50'; use one of e12, e200"):
        read_table("nasbench201", path, signal="e50")


def test_one_training_or_their_mean_may_be_the_signal_of_chains(tmp_path):
    path = written(tmp_path / "chains.csv", ("arch", "test_acc_1", "test_acc_2", "test_acc_3"),
                   ("00000000", 50, 51, 55), ("00000001", 60, 50, 40))  # fmt: skip
    drawn = read_table("nasbench-macro", path)
    assert drawn.several == 3
    with pytest.raises(UserError, match="one of 3 trainings, drawn by the seed"):
        _ = drawn.best_signal
    for signal, values in (("1", (50, 60)), ("3", (55, 40)), ("mean", (52, 50))):
        table = read_table("nasbench-macro", path, signal=signal)
        assert table.signals == {"00000000": (values[0],), "00000001": (values[1],)}
        assert table.best_signal == max(values)
        assert table.test == {"00000000": 52, "00000001": 50}
    with pytest.raises(UserError, match="no signal '4'; use one of 1, 2, 3, mean"):
        read_table("nasbench-macro", path, signal="4")


# ---- NAS-Bench-NLP ------------------------------------------------------------------------------------------------


def test_features_of_a_recipe_are_counts():
    found = features({
        "a": Step("linear", ["x", "h_prev_0"]),
        "b": Step("linear", ["x", "h_prev_0"]),
        "h_new_0": Step("tanh", ["a"]),
    })  # fmt: skip
    assert [found[name] for name in ("nodes", "edges", "depth", "sources", "states read", "new states")] == [
        3, 5, 2, 2, 1, 1,
    ]  # fmt: skip
    assert found["label linear"] == 2
    assert found["label linear(h_prev_0, x)"] == 4  # of the first relabelling and of the second
    assert found["label tanh(linear)"] == found["label tanh(linear(h_prev_0, x))"] == 1


@needs(RECIPES)
def test_recipes_that_gave_a_number_have_the_mean_of_their_losses():
    found = nasbench_nlp(RECIPES)
    assert len(found.codes) == len(found.features) == len(found.values) == len(set(found.codes))
    with gzip.open(RECIPES, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len({row["recipe"] for row in rows}) == 291
    assert set(found.codes) == {row["recipe"] for row in rows if row["best_val_loss"]}
    assert found.values.min() == pytest.approx(4.56758, abs=0.01)
    several = next(code for code in found.codes if sum(row["recipe"] == code for row in rows) > 1)
    losses = [float(row["best_val_loss"]) for row in rows if row["recipe"] == several and row["best_val_loss"]]
    assert found.values[found.codes.index(several)] == pytest.approx(np.mean(losses))


@needs(RECIPES)
def test_a_plain_forest_orders_recipes_that_it_has_not_seen():
    found = nasbench_nlp(RECIPES)
    correlations = []
    for seed in range(20):
        known = sorted(stream(seed, "known").sample(range(len(found.codes)), 100))
        others = sorted(set(range(len(found.codes))) - set(known))
        forest = RandomForestRegressor(random_state=seed).fit(found.features[known], found.values[known])
        correlations.append(spearmanr(forest.predict(found.features[others]), found.values[others])[0])
    assert np.mean(correlations) > 0.33


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("{}", "low"), "line 2: best_val_loss is 'low'; give a number, or nothing"),
        (("{", "5"), "line 2: the recipe cannot be read"),
        (('{"a": {"op": 1}}', "5"), "line 2: the recipe cannot be read"),
        (('{"a": {"op": "f", "input": ["b"]}, "b": {"op": "f", "input": ["a"]}}', "5"), "in a circle"),
        (('{"a": {"op": "f", "input": ["x"]}}', ""), "no recipe has a best_val_loss"),
    ],
)
def test_bad_tables_of_recipes_are_refused(tmp_path, row, says):
    with pytest.raises(UserError, match=says):
        nasbench_nlp(written(tmp_path / "recipes.csv", ("recipe", "best_val_loss"), row))
