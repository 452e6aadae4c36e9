"""What gradient searches derive on NAS-Bench-201's cells, by the accuracies of the table.

    python benchmarks/gradients.py ROWS.csv nasbench201.csv.gz cifar10_12k.npz [SEED ...] [-- METHOD[:NAME=VALUE] ...]

Each search trains a small supernet (one cell a stage) on half of the training images, shrunk to 16x16; the other half
is alpha's. A row of ROWS.csv is one search: the derived cell, its test accuracy on CIFAR-10 after 200 epochs as the
table has it (the mean of its trainings), and its skip connections. Seeds are 0 to 2 and methods all that are known,
where none are given; `random` draws a cell a seed. NAME is one of the searches' common settings: channels (8), epochs
(those of DARTS, 15; the others have more of them where their papers do, in proportion), rate (of alpha), statistics
(of batch norm by which cells are judged, batch), initial (standard deviation of alpha); or a setting of the policy's
own. Rows that are there are not made again. At the end: mean, deviation and the mean number of skip connections of
each method.
"""

import csv
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from paired import sized
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation.table import read_table
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.recipe import RECIPES, Recipe
from evonas.supernets.collapse import skips_of
from evonas.supernets.darts import DARTS
from evonas.supernets.enas import ENAS
from evonas.supernets.gdas import GDAS
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.policy import Policy
from evonas.supernets.search import SupernetSearch
from evonas.supernets.snas import SNAS
from evonas.supernets.training import GivenBench
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

IMAGES = sized(None, 128)  # of each split; None: all of them
# rate: ten times the papers', for a twentieth of their steps
COMMON = {"channels": 8, "epochs": sized(15, 1), "rate": 3e-3, "statistics": "batch", "initial": 1e-3}
POLICIES = {"darts": DARTS, "darts-2nd": DARTS, "snas": SNAS, "gdas": GDAS, "pc-darts": PCDARTS, "enas": ENAS}
COLUMNS = ("method", "seed", "cell", "accuracy", "skips", "epochs", "core_s", "commit", "load")


def read(method: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of a method, its common settings, and those of its policy alone."""
    name, _, text = method.partition(":")
    if name != "random" and name not in POLICIES:
        raise SystemExit(f"unknown method {name!r}; use some of {', '.join([*POLICIES, 'random'])}")
    common, own = dict(COMMON), {}
    for setting in filter(None, text.split(",")):
        key, _, value = setting.partition("=")
        if key in COMMON:
            common[key] = type(COMMON[key])(value)
        else:
            own[key] = float(value)
    return name, common, own


def policy(name: str, space: NASBench201Space, seed: int, common: dict, own: dict, epochs: int) -> Policy:
    """epochs: of this search."""
    if name != "enas":
        own = {"learning_rate": common["rate"], "initial": common["initial"]} | own
    if name == "darts-2nd":
        own |= {"second_order": True}
    if name == "pc-darts":
        space, own = replace(space, partial=4), {"beginning": epochs * 15 // 50} | own
    return POLICIES[name](space, rng=stream(seed, name), **own)


def published(name: str) -> int:
    """Epochs of its search on CIFAR-10."""
    return RECIPES[f"{name.removesuffix('-2nd')}-search"].epochs


def derived(method: str, seed: int, images: str) -> tuple[tuple, int]:
    """The cell of a search, and its epochs."""
    name, common, own = read(method)
    space = NASBench201Space(channels=common["channels"], cells=1, input_shape=(3, 16, 16))
    if name == "random":
        return space.random(stream(seed, "random")), 0
    epochs = common["epochs"] * published(name) // published("darts")
    splits = ImageClassification(Source(images, size=16, validation=0.5, seed=seed)).splits("cpu")
    recipe = Recipe(
        epochs=epochs, batch_size=64, learning_rate=0.025, nesterov=False, weight_decay=3e-4, last_rate=1e-3, crop=4,
        flip=True, clip_norm=5,
    )  # fmt: skip
    search = SupernetSearch(policy(name, space, seed, common, own, epochs), statistics=common["statistics"])
    search.prepare(GivenBench(splits.train[:IMAGES], splits.validation[:IMAGES], recipe, seed))
    found = None
    while proposed := search.generate(1):
        (found,) = proposed
    assert found is not None
    return tuple(found), epochs


def main(rows: str, table: str, images: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or list(range(sized(3, 1)))
    methods = list(arguments[words.index("--") + 1 :]) or list(sized((*POLICIES, "random"), ("gdas", "random")))
    worth, space = read_table("nasbench201", Path(table)).test, NASBench201Space()
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["method"], int(row["seed"])) for row in known}
        for method in methods:
            for seed in seeds:
                if (method, seed) in made:
                    continue
                load, start = os.getloadavg()[0], time.process_time()
                genome, epochs = derived(method, seed, images)
                append({
                    "method": method, "seed": seed, "cell": space.key(genome),
                    "accuracy": round(worth[space.key(genome)], 3),
                    "skips": skips_of(genome, space.decisions(genome))[0], "epochs": epochs,
                    "core_s": round(time.process_time() - start, 1), "commit": commit(), "load": round(load, 2),
                })  # fmt: skip
    report(Path(rows))


def report(path: Path) -> None:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    for method in dict.fromkeys(row["method"] for row in rows):
        of = [row for row in rows if row["method"] == method]
        values = [float(row["accuracy"]) for row in of]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{method}: {statistics.mean(values):.2f} ± {spread:.2f} of {len(of)} seeds, "
              f"{statistics.mean(int(row['skips']) for row in of):.1f} skips, "
              f"{statistics.mean(float(row['core_s']) for row in of):.0f} core seconds")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
