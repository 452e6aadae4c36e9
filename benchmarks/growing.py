"""What the controllers that make networks grow, and the weights that these inherit, are worth, beside their controls.

    python benchmarks/growing.py ROWS.csv DATA SYSTEM [SEED ...]

SYSTEM is eas or path-level-eas. The start network of its preset is trained; then BATCHES batches of BATCH networks grow
from it and are trained for a few epochs, by the controller (learned) or by its control, which does not learn (random),
and AGAIN of the random ones once more from drawn weights (scratch), for as many epochs. A row of ROWS.csv is one of
these and a seed: the validation accuracies of its networks in order. Pictures are shrunk to SIZE x SIZE where they are
larger. Seeds are 0 to 4 where none are given. Rows that are there are not made again. At the end: means, bests, and
differences paired by seed. With EVONAS_SMALL=1: a few networks.
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
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
BATCHES, BATCH, AGAIN = (1, 2, 1) if SMALL else (15, 10, 20)
SIZE = 16
ARMS = ("random", "learned")
COLUMNS = ("data", "system", "arm", "seed", "start", "accuracies", "parameters", "core_s", "commit", "load")


def made(task: ImageClassification, called: str, seed: int, arm: str) -> dict[str, dict]:
    """The rows of an arm, and of the networks from scratch with the random one."""
    start = time.process_time()
    preset = "digits" if min(task.input_shape[1:]) < SIZE else "small"
    chosen = registry.setup(registry.system(called), preset).suited(task.augmentation())
    space = replace(chosen.space, input_shape=task.input_shape, outputs=task.output_shape[0])
    if SMALL:
        space = replace(space, first_epochs=1)
    train = Training(task, chosen.search.lasting(1) if SMALL else chosen.search, seed=seed)
    how = chosen.strategy.having(batch=BATCH, evaluations=1 + BATCHES * BATCH, learning=arm == "learned")
    rng = stream(seed, called, arm)
    strategy = how.strategy(how.tools(space, rng), rng)
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
            if arm == "random" and len(scratch) < AGAIN:
                scratch.append(train(Candidate(individual, space), 0).values[0])
        strategy.update(given)

    def row(accuracies: list[float]) -> dict:
        return {
            "start": round(first, 4), "accuracies": " ".join(f"{value:.4f}" for value in accuracies),
            "parameters": round(statistics.fmean(parameters[: len(accuracies)])),
            "core_s": round(time.process_time() - start, 1),
        }  # fmt: skip

    return {arm: row(values)} | ({"scratch": row(scratch)} if arm == "random" else {})


def main(rows: str, data: str, system: str, *seeds: str) -> None:
    torch.set_num_threads(1)
    side = ImageClassification(Source(data)).input_shape[1]
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        there = {(row["data"], row["system"], row["arm"], int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 5)):
            task = ImageClassification(Source(data, size=SIZE if side > SIZE else None, seed=seed)).identified()
            for arm in ARMS:
                if (name, system, arm, seed) not in there:
                    load = round(os.getloadavg()[0], 2)
                    for which, row in made(task, system, seed, arm).items():
                        append({"data": name, "system": system, "arm": which, "seed": seed} | row
                               | {"commit": commit(), "load": load})  # fmt: skip
    report(Path(rows), name, system)


def report(path: Path, data: str, system: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if (row["data"], row["system"]) == (data, system)]
    of = {arm: {row["seed"]: [100 * float(value) for value in row["accuracies"].split()] for row in rows
                if row["arm"] == arm} for arm in (*ARMS, "scratch")}  # fmt: skip
    last = BATCHES * BATCH // 3
    for arm in ARMS:
        means = {seed: statistics.fmean(values[-last:]) for seed, values in of[arm].items()}
        bests = {seed: max(values) for seed, values in of[arm].items()}
        print(f"{data}, {system}, {arm}: {statistics.fmean(means.values()):.2f} % in the mean of the last {last}, the "
              f"best {statistics.fmean(bests.values()):.2f}, of {len(means)} seeds")  # fmt: skip
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
