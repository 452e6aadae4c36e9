"""Training-free scores on NAS-Bench-201's cells: ours beside a published table, and that table beside the accuracies.

    python benchmarks/zero_cost.py ROWS.csv SCORES TABLE IMAGES [CELLS]

SCORES is nasbench201_zerocost_c10.csv.gz, TABLE nasbench201.csv.gz, IMAGES cifar10_12k.npz. Each row of ROWS.csv is one
of CELLS (500) cells drawn by a seed: its six scores at 16 channels and 15 cells, on the first 64 training images. Rows
that are there are not made again (about 2 s of a core each). At the end two tables are printed: Spearman's correlation
of each score with the published column of the same name; and of the published columns, over all their cells, Kendall's
tau with the test accuracy on CIFAR-10 after 200 epochs, over all cells and within their best tenth, and what a warm
start would give: the accuracies of the best 20 of 1,000 cells drawn at random. The sum of three scores was chosen by
that test accuracy; the sum of all six is what nobody has to choose.
With EVONAS_SMALL=1: three cells of small networks.
"""

import csv
import gzip
import os
import sys
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from rows import commit, opened
from scipy.stats import kendalltau, spearmanr

from evonas.genomes.nasbench201 import NASBench201Space
from evonas.network import build
from evonas.scores import SCORES, score
from evonas.scores.ranks import rank_sum

PUBLISHED = {name: name for name in SCORES} | {"naswot": "nwot"}  # their columns
COLUMNS = ("index", "code", *SCORES, "parameters", "multiply_adds", "batch", "core_s", "commit", "load")
SEED, BATCH, BEST = 0, 64, 0.1
DRAWN, KEPT, REPEATED = 1000, 20, 1000  # of a warm start: cells, those that it keeps; how often it is made
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def main(rows: str, scores: str, table: str, images: str, cells: str = "500") -> None:
    torch.set_num_threads(1)
    small = bool(os.environ.get("EVONAS_SMALL"))
    published = {int(row["index"]): row for row in _read(scores) if row["nwot"]}
    known_cells = {int(row["index"]): row for row in _read(table)}
    space = NASBench201Space(channels=4, cells=1) if small else NASBench201Space()
    count, batch = (3, 8) if small else (int(cells), BATCH)
    inputs, targets = minibatch(images, batch)
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {int(row["index"]): row for row in known}
        chosen = Random(SEED).sample(sorted(published), count)
        for index in chosen:
            if index in made:
                continue
            load, start = os.getloadavg()[0], time.process_time()
            graph = space.decode(space.parse(known_cells[index]["arch"]))
            network = build(graph.simplified(), seed=index).to(memory_format=torch.channels_last)
            found = {
                name: score(name)(network, inputs, targets, torch.Generator().manual_seed(index)) for name in SCORES
            }
            made[index] = {
                "index": index, "code": known_cells[index]["arch"], **found, "parameters": graph.parameters,
                "multiply_adds": graph.multiply_adds, "batch": batch, "commit": commit(), "load": round(load, 2),
                "core_s": round(time.process_time() - start, 2),
            }  # fmt: skip
            append(made[index])
    took = sum(float(made[index]["core_s"]) for index in chosen)
    print(f"\n{count} cells, {batch} images, {took:.0f} s of a core; Spearman's correlation with the published column")
    for name, column in PUBLISHED.items():
        ours = [float(made[index][name]) for index in chosen]
        print(f"{name:<24}{spearmanr(ours, [float(published[index][column]) for index in chosen]).statistic:.3f}")
    judge(published, known_cells)


def minibatch(images: str, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first training images, normalised, and their classes."""
    data = np.load(images)
    x = torch.from_numpy(data["x_train"][:size]).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(data["y_train"][:size]).long()


def judge(published: dict[int, dict[str, str]], cells: dict[int, dict[str, str]]) -> None:
    """Kendall's tau of the published columns, and of sums of their ranks, with the test accuracy."""
    indices = sorted(published)
    accuracy = np.array([float(cells[index]["e200_c10_test"]) for index in indices])
    columns = {
        name: np.array([float(published[index][column]) for index in indices]) for name, column in PUBLISHED.items()
    }
    three = ("synflow", "jacov", "naswot")
    columns["rank sum of all six"] = rank_sum(list(columns.values()))
    columns["synflow+jacov+naswot"] = rank_sum([columns[name] for name in three])
    for name in ("params", "madds"):
        columns[name] = np.array([float(cells[index][f"{name}_c10"]) for index in indices])
    columns["random"] = np.zeros(len(indices))
    best = accuracy >= np.quantile(accuracy, 1 - BEST)
    print(f"\npublished columns, {len(indices):,} cells: Kendall's tau with the test accuracy; within the best "
          f"{best.sum():,}; mean and best accuracy of the best {KEPT} of {DRAWN:,} random cells")  # fmt: skip
    rng = np.random.default_rng(SEED)
    draws = [rng.choice(len(indices), DRAWN, replace=False) for _ in range(REPEATED)]
    for name, values in columns.items():
        whole, top = (kendalltau(values[at], accuracy[at]).statistic for at in (slice(None), best))
        begun = [accuracy[cells[np.argsort(-values[cells], kind="stable")[:KEPT]]] for cells in draws]
        mean, most = np.mean([[each.mean(), each.max()] for each in begun], axis=0)
        print(f"{name:<24}{whole:6.3f}  {top:6.3f}  {mean:.2f}  {most:.2f}")


def _read(path: str) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
