"""DPP-Net's fronts against those of random search and of the smallest networks, at as many trainings, paired by seed.

    python benchmarks/hypervolume.py ROWS.csv DATA [SEED ...] [-- ARM ...]

A row of ROWS.csv is one search over DPP-Net's cells of its preset for DATA, with the preset's recipe and as many
trainings as its search makes: arm, seed, networks, the hypervolume of (validation error, multiply-adds) and that of
(validation error, latency), the lowest error, seconds of trainings and of the whole, commit, load. Arms are dpp-net
(for accuracy, multiply-adds and latency), dpp-net-accuracy (the best by prediction are trained, as in PNAS), random
(decision by decision) and smallest-first (by multiply-adds). A hypervolume is that below the reference point (1, 1),
where the error is divided by that of naming the most frequent class, and a cost is on a scale of logarithms, from 0 for
the cheapest cell of the space to 1 for the dearest (of the latency: of those that were timed, by the same number for
all searches of a seed); larger is better. The latency of every network is measured once more after the searches of a
seed, in one sitting, so that all arms are held against the same clock: ms for one image, the median of 30.

Rows that are there are not made again: the arms of a seed are made together. Seeds are 100 to 104 where none are given.
At the end the means are printed, and paired differences from random with their standard errors. With EVONAS_SMALL=1:
few trainings of an epoch, two arms.
"""

import csv
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np
import torch
from paired import sized
from rows import commit, opened

import evonas
from evonas.network import build
from evonas.run.store import Run
from evonas.space import Space
from evonas.support.device import torch_threads
from evonas.training.latency import latency

SMALL = bool(os.environ.get("EVONAS_SMALL"))
SETTINGS = {"final.epochs": 1, **sized({}, {"cells": (1, 1), "growth": 4, "search.epochs": 1})}
OWN, TRAININGS = sized(({}, 42), ({"smallest": 3, "beam": 2, "strategy.epochs": 2}, 7))
BOTH = "accuracy,multiply_adds,latency"
ARMS: dict[str, tuple[str | None, str]] = {  # strategy, objectives
    "dpp-net": (None, BOTH),
    "dpp-net-accuracy": (None, "accuracy"),
    "random": ("random", BOTH),
    "smallest-first": ("smallest-first", BOTH),
}
COLUMNS = (
    "data", "arm", "seed", "networks", "by_multiply_adds", "by_latency", "error", "train_seconds", "seconds", "commit",
    "load",
)  # fmt: skip


@dataclass
class Searched:
    """A search that has ended: error of each network by its code, and what it took."""

    errors: dict[str, float]
    train_seconds: float
    seconds: float
    load: float


def searched(data: str, arm: str, seed: int, out: Path) -> tuple[Run, Searched]:
    strategy, objectives = ARMS[arm]
    load, start = os.getloadavg()[0], time.monotonic()
    run = evonas.search("dpp-net", data, strategy=strategy, objectives=objectives, seed=seed, out=out, workers=1,
                        settings=SETTINGS | (OWN if strategy is None else {}), budget=TRAININGS,
                        progress=False)  # fmt: skip
    if run.interrupted:
        raise KeyboardInterrupt
    told = [record for record in run.records() if record["phase"] == "search" and record.get("values")]
    errors = {record["code"]: 1 - record["values"][0] for record in told}
    seconds = sum(record["cost"]["seconds"] for record in told)
    return run, Searched(errors, seconds, time.monotonic() - start, load)


def latencies(space: Space, codes: Iterable[str]) -> dict[str, float]:
    """ms for one image, of the network of each code, untrained and in its last form."""
    found = {}
    image = torch.zeros(1, *space.input_shape).to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
    with torch_threads(1):
        for code in codes:
            network = build(space.decode(space.parse(code)).simplified())
            found[code] = latency(network.to(memory_format=torch.channels_last), image)  # type: ignore[call-overload]
    return found


def scaled(costs: dict[str, float], least: float, most: float) -> dict[str, float]:
    """On a scale of logarithms from 0 to 1."""
    return {code: math.log(cost / least) / math.log(most / least) for code, cost in costs.items()}


def hypervolume(errors: dict[str, float], costs: dict[str, float], chance: float) -> float:
    points = np.array([(errors[code] / chance, costs[code]) for code in errors])
    return float(moocore.hypervolume(points, ref=(1.0, 1.0)))


def of_seed(data: str, seed: int, arms: list[str], place: Path) -> list[dict]:
    """The rows of all arms."""
    found = {arm: searched(data, arm, seed, place / f"{arm}-{seed}") for arm in arms}
    run = next(run for run, _ in found.values())
    space, task = run.space, run.problem.task
    assert task is not None, "networks are trained"
    counts = task.class_counts()
    assert counts is not None, "classes are to be told apart"
    chance = 1 - max(counts) / sum(counts)
    codes = sorted({code for _, each in found.values() for code in each.errors})
    adds = {code: float(space.decode(space.parse(code)).multiply_adds) for code in codes}
    whole = [space.decode(genome).multiply_adds for genome in space.genomes()]
    times = latencies(space, codes)
    adds, times = scaled(adds, min(whole), max(whole)), scaled(times, min(times.values()), max(times.values()))
    return [
        {
            "data": Path(data).stem, "arm": arm, "seed": seed, "networks": len(each.errors),
            "by_multiply_adds": round(hypervolume(each.errors, adds, chance), 5),
            "by_latency": round(hypervolume(each.errors, times, chance), 5),
            "error": round(min(each.errors.values()), 5), "train_seconds": round(each.train_seconds, 1),
            "seconds": round(each.seconds, 1), "commit": commit(), "load": round(each.load, 2),
        }
        for arm, (_, each) in found.items()
    ]  # fmt: skip


def main(rows: str, data: str = "digits", *arguments: str) -> None:
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or ([100] if SMALL else list(range(100, 105)))
    arms = list(arguments[words.index("--") + 1 :]) or (["dpp-net", "random"] if SMALL else list(ARMS))
    with tempfile.TemporaryDirectory() as place, opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], int(row["seed"])) for row in known}
        for seed in seeds:
            if (Path(data).stem, seed) not in made:
                for row in of_seed(data, seed, arms, Path(place)):
                    append(row)
    report(Path(rows), Path(data).stem)


def report(rows: Path, data: str) -> None:
    with rows.open(newline="") as file:
        found = [row for row in csv.DictReader(file) if row["data"] == data]
    for measure in ("by_multiply_adds", "by_latency", "error"):
        by_arm: dict[str, dict[str, float]] = {}
        for row in found:
            by_arm.setdefault(row["arm"], {})[row["seed"]] = float(row[measure])
        for arm, by_seed in by_arm.items():
            pairs = [by_seed[seed] - by_arm["random"][seed] for seed in by_seed if seed in by_arm.get("random", {})]
            spread = f" ± {statistics.stdev(pairs) / len(pairs) ** 0.5:.4f}" if len(pairs) > 1 else ""
            against = f", {statistics.fmean(pairs):+.4f}{spread} beside random" if pairs and arm != "random" else ""
            print(
                f"{data}: {measure}: {arm} {statistics.fmean(by_seed.values()):.4f} in {len(by_seed)} searches{against}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
