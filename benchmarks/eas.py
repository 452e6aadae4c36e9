"""What EAS's controller and its inherited weights are worth, each beside its control.

    python benchmarks/eas.py ROWS.csv DATA [SEED ...]

The start network of the preset is trained; then BATCHES batches of BATCH networks are edited from it and trained for a
few epochs, by the controller (learned) or by uniform edits (random), and EDITED of the random ones again from drawn
weights (scratch), for as many epochs. A row of ROWS.csv is one of these and a seed: the validation accuracies of its
networks in order. Pictures are shrunk to SIZE x SIZE where they are larger. Seeds are 0 to 2 where none are given. Rows
that are there are not made again. At the end: means, bests, and differences paired by seed. With EVONAS_SMALL=1: a few
networks.
"""

import csv
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation.candidate import Candidate, Origin
from evonas.evaluation.training import Training
from evonas.strategies.eas import EAS
from evonas.support.streams import stream
from evonas.systems.registry import setup, system
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
BATCHES, BATCH, EDITED = (1, 2, 1) if SMALL else (15, 10, 20)
SIZE = 16
ARMS = ("random", "learned")
COLUMNS = ("data", "arm", "seed", "start", "accuracies", "parameters", "core_s", "commit", "load")


def made(task: ImageClassification, seed: int, arm: str) -> dict[str, dict]:
    """The rows of an arm, and of the networks from scratch with the random one."""
    start = time.process_time()
    preset = "digits" if min(task.input_shape[1:]) < SIZE else "small"
    chosen = setup(system("eas"), preset).suited(task.augmentation())
    space = replace(chosen.space, input_shape=task.input_shape, outputs=task.output_shape[0])
    if SMALL:
        space = replace(space, first_epochs=1)
    train = Training(task, chosen.search.lasting(1) if SMALL else chosen.search, seed=seed)
    settings = {
        name: setting.default for name, setting in chosen.strategy.settings.items() if name in ("wider", "deeper")
    }
    strategy = EAS(space, rng=stream(seed, "eas", arm), batch=BATCH, learning=arm == "learned",
                   evaluations=1 + BATCHES * BATCH, **settings)  # fmt: skip
    origin, first, values, scratch, parameters = Origin(), 0.0, [], [], []
    while given := strategy.generate(BATCH):
        for individual in given:
            candidate = Candidate(individual, space, origin=origin, keeps=not values)
            outcome = train(candidate, 0)
            individual.fitness.values = outcome.values
            if origin.weights is None:
                individual.id, first = 0, outcome.values[0]
                origin = Origin("start", outcome.weights, 0, tuple(individual), outcome.lineage["epochs"])
                continue
            values.append(outcome.values[0])
            parameters.append(candidate.graph.parameters)
            if arm == "random" and len(scratch) < EDITED:
                scratch.append(train(Candidate(individual, space), 0).values[0])
        strategy.update(given)

    def row(accuracies: list[float]) -> dict:
        return {
            "start": round(first, 4), "accuracies": " ".join(f"{value:.4f}" for value in accuracies),
            "parameters": round(statistics.fmean(parameters[: len(accuracies)])),
            "core_s": round(time.process_time() - start, 1),
        }  # fmt: skip

    return {arm: row(values)} | ({"scratch": row(scratch)} if arm == "random" else {})


def main(rows: str, data: str = "digits", *seeds: str) -> None:
    torch.set_num_threads(1)
    side = ImageClassification(Source(data)).input_shape[1]
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        there = {(row["data"], row["arm"], int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            task = ImageClassification(Source(data, size=SIZE if side > SIZE else None, seed=seed)).identified()
            for arm in ARMS:
                if (name, arm, seed) not in there:
                    load = round(os.getloadavg()[0], 2)
                    for called, row in made(task, seed, arm).items():
                        append({"data": name, "arm": called, "seed": seed} | row | {"commit": commit(), "load": load})
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    of = {arm: {row["seed"]: [100 * float(value) for value in row["accuracies"].split()] for row in rows
                if row["arm"] == arm} for arm in (*ARMS, "scratch")}  # fmt: skip
    last = BATCHES * BATCH // 3
    for arm in ARMS:
        means = {seed: statistics.fmean(values[-last:]) for seed, values in of[arm].items()}
        bests = {seed: max(values) for seed, values in of[arm].items()}
        print(f"{data}, {arm}: {statistics.fmean(means.values()):.2f} % in the mean of the last {last}, the best "
              f"{statistics.fmean(bests.values()):.2f}, of {len(means)} seeds")  # fmt: skip
    both = of["learned"].keys() & of["random"].keys()
    print("learned - random, the last third: "
          + paired([statistics.fmean(of["learned"][seed][-last:]) - statistics.fmean(of["random"][seed][-last:])
                    for seed in both]))  # fmt: skip
    print("inherited - scratch, the same networks: "
          + paired([statistics.fmean(of["random"][seed][: len(values)]) - statistics.fmean(values)
                    for seed, values in of["scratch"].items()]))  # fmt: skip


def paired(differences: list[float]) -> str:
    error = f" ± {statistics.stdev(differences) / len(differences) ** 0.5:.2f}" if len(differences) > 1 else ""
    return f"{statistics.fmean(differences):+.2f}{error} points"


if __name__ == "__main__":
    main(*sys.argv[1:])
