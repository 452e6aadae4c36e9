"""How well policies that train a supernet rank networks, at equal forward passes, beside size and untrained weights.

    python benchmarks/sharing.py ROWS.csv DATA TABLE SPACE [SEED ...] [-- POLICY ...]

SPACE is nasbench201 or nasbench-macro, TABLE its file, DATA as for `evonas search --data`. A row of ROWS.csv is one
supernet of one policy and seed (0 to 2 by default; uniform, fair and setn), small enough for minutes of one core:
Kendall's tau of its values to the table's test accuracies on CIFAR-10 over GENOMES random cells and over BEST of the
table's best tenth, the same for all rows, with 95 % intervals; within strata of equal multiply-adds; the test accuracy
of its choice; beside them the same for untrained weights and for multiply-adds. All supernets have PASSES forward
passes of a batch of pictures of SIZE x SIZE. Batch norm statistics are those of the batch. Rows that are there are not
made again. At the end the mean over seeds, and differences from the first policy, paired by seed. With EVONAS_SMALL=1:
a few passes and cells.
"""

import csv
import math
import os
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from rows import commit, opened

import evonas
from evonas.data.sources import Source
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
PASSES, GENOMES, BEST = (12, 6, 6) if SMALL else (18_000, 1000, 300)
SIZE = 16  # a fourth of the pixels for four times the passes
SPACES = {
    "nasbench201": {"space.channels": 16, "space.cells": 1},
    "nasbench-macro": {"space.channels": 8, "space.head": 128},
}
PATHS = {"uniform": 1, "fair": None, "setn": 2, "nsas:constraints=2": 3}  # in a step of the weights; None: options
COLUMNS = (
    "space", "data", "size", "policy", "seed", "steps", "tau", "low", "high", "best_tau", "best_low", "best_high",
    "strata", "choice", "untrained", "untrained_best", "multiply_adds", "multiply_adds_best", "mean_path", "core_s",
    "commit", "load",
)  # fmt: skip


def settings_of(space: str, policy: str, batches: int) -> tuple[dict, int]:
    """Settings of a supernet with so many forward passes, and its steps."""
    paths = PATHS[policy] or len(registry.system(space).presets["own"].space.every_decision[0].options)
    steps = PASSES // paths
    common = {"statistics": "batch", "search.batch_size": 64, "search.learning_rate": 0.05, "search.clip_norm": 5,
              "final.epochs": 1}  # fmt: skip
    return SPACES[space] | common | {"search.epochs": max(round(steps / batches), 1)}, steps


def ranked(space: str, data: str, table: str, policy: str, seed: int, place: Path) -> dict:
    task = ImageClassification(Source(data, validation=0.1, size=SIZE, seed=seed))
    settings, steps = settings_of(space, policy, task.counts[0] // 64)
    run = evonas.search(
        space, data, validation=0.1, size=SIZE, supernet=policy, strategy="random", budget=1, seed=seed,
        settings=settings, workers=1, out=place, progress=False,
    )  # fmt: skip
    if run.interrupted:
        raise KeyboardInterrupt
    (supernet,) = (record for record in run.records() if record["phase"] == "supernet")
    found = evonas.tau(place, genomes=GENOMES, best=BEST, table=table, data="cifar10", workers=1)
    shared, untrained, size = (found.found[name] for name in ("shared weights", "untrained", "multiply-adds"))
    return {
        "steps": steps,
        **{name: round(shared["tau"][of], 4) for name, of in (("tau", "value"), ("low", "low"), ("high", "high"))},
        **{f"best_{name}": round(shared["best_tenth_of_table"][of], 4)
           for name, of in (("tau", "value"), ("low", "low"), ("high", "high"))},
        "strata": round(shared["equal_multiply_adds"]["value"], 4),
        "choice": round(float(max(found.sample.true) - shared["regret"]), 4),
        "untrained": round(untrained["tau"]["value"], 4),
        "untrained_best": round(untrained["best_tenth_of_table"]["value"], 4),
        "multiply_adds": round(size["tau"]["value"], 4),
        "multiply_adds_best": round(size["best_tenth_of_table"]["value"], 4),
        "mean_path": round(supernet["values"][0], 4),
        "core_s": round(supernet["cost"]["core_seconds"], 1),
    }  # fmt: skip


def main(rows: str, data: str, table: str, space: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or list(range(1 if SMALL else 3))
    policies = list(arguments[words.index("--") + 1 :]) or ["uniform", "fair", "setn"]
    name = Path(data).stem
    with tempfile.TemporaryDirectory() as place, opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["space"], row["data"], int(row["size"]), row["policy"], int(row["seed"])) for row in known}
        for seed in seeds:
            for policy in policies:
                if (space, name, SIZE, policy, seed) in made:
                    continue
                load = os.getloadavg()[0]
                found = ranked(space, data, table, policy, seed, Path(place) / f"{policy.partition(':')[0]}-{seed}")
                append({"space": space, "data": name, "size": SIZE, "policy": policy, "seed": seed} | found
                       | {"commit": commit(), "load": round(load, 2)})  # fmt: skip
    report(Path(rows), space, name)


def report(path: Path, space: str, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file)
                if (row["space"], row["data"], row["size"]) == (space, data, str(SIZE))]  # fmt: skip
    policies = {row["policy"]: None for row in rows}
    by = {policy: {row["seed"]: row for row in rows if row["policy"] == policy} for policy in policies}
    sizes = rows[0]
    print(f"{space} on {data}; multiply-adds alone: tau {sizes['multiply_adds']}, of the best tenth "
          f"{sizes['multiply_adds_best']}")  # fmt: skip
    first = next(iter(by.values()))
    for policy, found in by.items():
        said = [f"{column} {told([float(row[column]) for row in found.values()])}"
                for column in ("tau", "best_tau", "strata", "choice", "untrained")]  # fmt: skip
        paired = [float(row["tau"]) - float(first[seed]["tau"]) for seed, row in found.items() if seed in first]
        print(f"{policy}, {len(found)} seeds: {', '.join(said)}; tau beside the first policy {told(paired)}")


def told(values: list[float]) -> str:
    if any(math.isnan(value) for value in values):  # as where no two networks have equal multiply-adds
        return "none"
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return f"{statistics.fmean(values):+.3f}" + ("" if error is None else f" ± {error:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
