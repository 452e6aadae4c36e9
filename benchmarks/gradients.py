"""What gradient searches derive on NAS-Bench-201's cells, by the accuracies of the table.

    python benchmarks/gradients.py nasbench201.csv.gz cifar10_12k.npz [SEEDS] [EPOCHS] [METHODS]

Each search trains a small supernet (one cell a stage, 8 channels) on half of the training images, shrunk to 16x16; the
other half is alpha's. EPOCHS are those of DARTS; the others have more of them where their papers do, in proportion.

Printed are, for each seed, the derived cell and its test accuracy on CIFAR-10 after 200 epochs as the table has it (the
mean of its trainings); then mean, deviation and the mean number of skip connections. `random` draws a cell a seed.
"""

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from paired import sized

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

SPACE = NASBench201Space(channels=8, cells=1, input_shape=(3, 16, 16))
IMAGES = sized(None, 128)  # of each split; None: all of them
RATE = 3e-3  # of alpha: ten times the papers', for a twentieth of their steps


def policy(method: str, seed: int, epochs: int) -> Policy:
    """epochs: of this search."""
    rng = stream(seed, method)
    match method:
        case "darts":
            return DARTS(SPACE, rng=rng, learning_rate=RATE)
        case "darts-2nd":
            return DARTS(SPACE, rng=rng, learning_rate=RATE, second_order=True)
        case "snas":
            return SNAS(SPACE, rng=rng, learning_rate=RATE)
        case "gdas":
            return GDAS(SPACE, rng=rng, learning_rate=RATE)
        case "pc-darts":
            partial = replace(SPACE, partial=4)
            return PCDARTS(partial, rng=rng, learning_rate=RATE, beginning=epochs * 15 // 50)
        case "enas":
            return ENAS(SPACE, rng=rng)
    raise SystemExit(f"unknown method {method!r}; use some of {', '.join(METHODS)}")


METHODS = ("darts", "darts-2nd", "snas", "gdas", "pc-darts", "enas", "random")


def published(method: str) -> int:
    """Epochs of its search on CIFAR-10."""
    return RECIPES[f"{method.removesuffix('-2nd')}-search"].epochs


def derived(method: str, seed: int, epochs: int, images: str) -> tuple:
    if method == "random":
        return SPACE.random(stream(seed, "random"))
    epochs = epochs * published(method) // published("darts")
    splits = ImageClassification(Source(images, size=16, validation=0.5, seed=seed)).splits("cpu")
    recipe = Recipe(
        epochs=epochs, batch_size=64, learning_rate=0.025, nesterov=False, weight_decay=3e-4, last_rate=1e-3, crop=4,
        flip=True, clip_norm=5,
    )  # fmt: skip
    search = SupernetSearch(policy(method, seed, epochs))
    search.prepare(GivenBench(splits.train[:IMAGES], splits.validation[:IMAGES], recipe, seed))
    found = None
    while proposed := search.generate(1):
        (found,) = proposed
    assert found is not None
    return tuple(found)


def main(
    table: str,
    images: str,
    seeds: str = sized("3", "1"),
    epochs: str = sized("15", "1"),
    methods: str = ",".join(sized(METHODS, ("gdas", "random"))),
) -> None:
    torch.set_num_threads(1)
    worth = read_table("nasbench201", Path(table)).test
    for method in methods.split(","):
        accuracies, counted = [], []
        for seed in range(int(seeds)):
            start = time.monotonic()
            genome = derived(method, seed, int(epochs), images)
            accuracies.append(worth[SPACE.key(genome)])
            counted.append(skips_of(genome, SPACE.decisions(genome))[0])
            took = time.monotonic() - start
            print(f"{method} {seed}: {accuracies[-1]:.2f}  {SPACE.key(genome)}  {took:.0f} s", flush=True)
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(
            f"{method}: {statistics.mean(accuracies):.2f} ± {spread:.2f}, {statistics.mean(counted):.1f} skips",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
