"""What it is worth to learn which modules of a residual network read which: MaskConnect beside its controls.

    python benchmarks/masks.py ROWS.csv DATA [SEED ...]

A row of ROWS.csv is one network, trained by the final recipe on all but the test images: with the connections that
MaskConnect has learned, with as many drawn at random, and the chain, which is the plain residual network, all with the
same training seed. Pictures are shrunk to SIZE x SIZE where they are larger. Seeds are 0 to 2 where none are given.
Rows that are there are not made again. At the end: the mean test accuracy of each, and the paired differences from
what was learned. With EVONAS_SMALL=1: an epoch.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from rows import commit, opened

import evonas
from evonas.data.sources import Source
from evonas.network import build
from evonas.run.problem import fitted
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

SMALL = bool(os.environ.get("EVONAS_SMALL"))
SIZE = 16
SYSTEM = registry.system("mask-connect")
ARMS = ("learned", "random", "chain")
COLUMNS = ("data", "arm", "seed", "code", "parameters", "multiply_adds", "accuracy", "search_s", "core_s", "commit",
           "load")  # fmt: skip


def setup_for(data: str):
    size = None if data == "digits" else SIZE
    task = ImageClassification(Source(data, size=size))
    suited = registry.setup(SYSTEM, SYSTEM.preset_for(task.input_shape)).suited(task.augmentation())
    return task, fitted(suited, (task.input_shape, task.output_shape), {}), size


def learned(data: str, seed: int) -> tuple[str, float]:
    """The connections that a search derives, and its core seconds."""
    _, _, size = setup_for(data)
    settings = {"final.epochs": 1} | ({"search.epochs": 1} if SMALL else {})
    with tempfile.TemporaryDirectory() as place:
        start = time.process_time()
        run = evonas.search(
            "mask-connect", data, size=size, seed=seed, settings=settings, baseline=False, workers=1, executor="serial",
            out=Path(place) / "run", progress=False,
        )  # fmt: skip
        return run.best.code, round(time.process_time() - start, 1)


def found(data: str, arm: str, seed: int) -> dict:
    task, setup, _ = setup_for(data)
    space, seconds = setup.space, 0.0
    if arm == "learned":
        code, seconds = learned(data, seed)
    elif arm == "random":
        code = space.format(space.random(stream(seed, "masks")))
    else:
        space = replace(space, fan_in=1)
        code = " ".join(str(module) for module in range(1, space.depth))
    graph, splits = space.decode(space.parse(code)), task.splits("cpu")
    network, start = build(graph, seed=seed), time.process_time()
    train(network, splits.whole, setup.final.lasting(1) if SMALL else setup.final, seed=seed)
    return {
        "arm": arm, "seed": seed, "code": code, "parameters": graph.parameters, "multiply_adds": graph.multiply_adds,
        "accuracy": round(evaluate(network, splits.test)["accuracy"], 4), "search_s": seconds,
        "core_s": round(time.process_time() - start, 1),
    }  # fmt: skip


def main(rows: str, data: str = "digits", *seeds: str) -> None:
    torch.set_num_threads(1)
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["arm"], int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            for arm in ARMS:
                if (name, arm, seed) not in made:
                    load = os.getloadavg()[0]
                    append({"data": name} | found(data, arm, seed) | {"commit": commit(), "load": round(load, 2)})
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    by = {arm: {row["seed"]: 100 * float(row["accuracy"]) for row in rows if row["arm"] == arm} for arm in ARMS}
    for arm, of in by.items():
        beside = [value - by["learned"][seed] for seed, value in of.items() if seed in by["learned"]]
        error = f" ± {statistics.stdev(beside) / len(beside) ** 0.5:.2f}" if len(beside) > 1 else ""
        print(f"{data}, {arm}: {statistics.fmean(of.values()):.2f} % of {len(of)} seeds, "
              f"{statistics.fmean(beside):+.2f}{error} beside what was learned")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
