"""What hill climbing by morphisms is worth: NASH beside a network that does not change, and beside random growth.

    python benchmarks/nash.py ROWS.csv DATA [SEED ...]

A row of ROWS.csv is one arm and seed, all with the same number of epochs in all: nash (STEPS steps of NEIGHBOURS
networks), random (one changed network a step, which is always the next, in as many steps as there are trainings), and
vanilla (the first network as it is, trained on in as many pieces, each a cosine of its own). The accuracy is that of
the last network on the test images, by its own weights; beside it that of the first one, and of the last architecture
trained from scratch for the epochs of its own ancestry. Pictures are shrunk to SIZE x SIZE where they are larger. Seeds
are 0 to 2 where none are given. Rows that are there are not made again. With EVONAS_SMALL=1: an epoch.
"""

import csv
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation.candidate import Candidate, Origin
from evonas.evaluation.training import AsTrained, Training
from evonas.genomes.edits import EditSpace
from evonas.individual import Individual
from evonas.operators.edits import toolbox
from evonas.strategies.hill_climbing import HillClimbing
from evonas.support.streams import stream
from evonas.systems.nash import NASH
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
STEPS, NEIGHBOURS, EPOCHS, MORPHISMS = (1, 2, 1, 1) if SMALL else (4, 4, 3, 2)
FACTORS = (2,)  # of widths; the preset's 4 makes networks that take minutes an epoch
SIZE = 16
ARMS = ("nash", "random", "vanilla")
COLUMNS = ("data", "arm", "seed", "trainings", "epochs", "code", "parameters", "first", "accuracy", "scratch", "core_s",
           "commit", "load")  # fmt: skip


def strategy_of(arm: str, space: EditSpace, rng: Random) -> HillClimbing:
    box = toolbox(space, rng=rng, mutations=MORPHISMS)
    if arm == "nash":
        return HillClimbing(box, rng=rng, steps=STEPS, neighbours=NEIGHBOURS)
    if arm == "vanilla":
        box.register("mutate", lambda individual: (individual,))
    return HillClimbing(box, rng=rng, steps=STEPS * NEIGHBOURS, choosing=False)


def climbed(task: ImageClassification, arm: str, seed: int) -> dict:
    start = time.process_time()
    preset = NASH.presets["small" if min(task.input_shape[1:]) >= SIZE else "digits"]
    edits = STEPS * NEIGHBOURS * MORPHISMS
    space = replace(preset.space, edits=edits, factors=FACTORS)
    space = replace(space, input_shape=task.input_shape, outputs=task.output_shape[0])
    recipe = replace(preset.search.lasting(EPOCHS), **task.augmentation())
    train, left = Training(task, recipe, seed=seed), AsTrained(task)
    strategy = strategy_of(arm, space, stream(seed, "nash"))
    kept: dict[int, Origin] = {}
    trainings = 0

    def tested(individual: Individual) -> float:
        return left(Candidate(individual, space, origin=kept[individual.id])).values[0]  # type: ignore[index]

    while given := strategy.generate():
        for individual in given:
            individual.id, trainings = trainings, trainings + 1
            origin = kept[individual.parents[0]] if individual.parents else Origin()
            outcome = train(Candidate(individual, space, id=individual.id, origin=origin, keeps=True), 0)
            individual.fitness.values = outcome.values
            kept[individual.id] = Origin(
                str(individual.id), outcome.weights, individual.id, tuple(individual), outcome.lineage["epochs"]
            )
        strategy.update(given)
    last = strategy.place
    assert last is not None and last.id is not None, "one was trained"  # noqa: PT018
    first = Individual(space.parse("start"))
    first.id = 0
    epochs = kept[last.id].epochs
    again = Training(task, recipe.lasting(epochs), seed=seed)(Candidate(last, space, keeps=True), 0)
    kept[-1] = Origin("scratch", again.weights, -1, tuple(last), epochs)
    twin = Individual(last)
    twin.id = -1
    return {
        "arm": arm, "seed": seed, "trainings": trainings, "epochs": trainings * EPOCHS, "code": space.format(last),
        "parameters": space.decode(last).parameters, "first": round(tested(first), 4),
        "accuracy": round(tested(last), 4), "scratch": round(tested(twin), 4),
        "core_s": round(time.process_time() - start, 1),
    }  # fmt: skip


def main(rows: str, data: str = "digits", *seeds: str) -> None:
    torch.set_num_threads(1)
    side = ImageClassification(Source(data)).input_shape[1]
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["arm"], int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            task = ImageClassification(Source(data, size=SIZE if side > SIZE else None, seed=seed)).identified()
            for arm in ARMS:
                if (name, arm, seed) not in made:
                    load = os.getloadavg()[0]
                    append({"data": name} | climbed(task, arm, seed) | {"commit": commit(), "load": round(load, 2)})
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    nash = {row["seed"]: 100 * float(row["accuracy"]) for row in rows if row["arm"] == "nash"}
    for arm in ARMS:
        of = {row["seed"]: row for row in rows if row["arm"] == arm}
        values, first, scratch = ([100 * float(row[column]) for row in of.values()]
                                  for column in ("accuracy", "first", "scratch"))  # fmt: skip
        beside = [nash[seed] - 100 * float(row["accuracy"]) for seed, row in of.items() if seed in nash]
        error = f" ± {statistics.stdev(beside) / len(beside) ** 0.5:.2f}" if len(beside) > 1 else ""
        print(f"{data}, {arm}: {statistics.fmean(values):.2f} % of {len(values)} seeds (first network "
              f"{statistics.fmean(first):.2f}, the last from scratch {statistics.fmean(scratch):.2f}); NASH "
              f"{statistics.fmean(beside):+.2f}{error}")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
