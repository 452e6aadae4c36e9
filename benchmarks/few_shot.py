"""How well shared weights rank networks, by how many networks share them, at equal forward passes in all.

    python benchmarks/few_shot.py ROWS.csv DATA TABLE [SEED ...]

The space is NAS-Bench-Macro, TABLE its file, DATA as for `evonas search --data`. All its networks share one supernet;
or the first one, two, or three decisions are closed, with a supernet for each of their answers (few-shot NAS, Zhao et
al. 2021, arXiv:2006.06863); or each network is trained alone. Together the supernets of a row have EPOCHS epochs of one
uniform path a step. A row is one way of sharing and one seed (0 to 2 by default): Kendall's tau to the table's test
accuracies on CIFAR-10 of GENOMES random networks, the same for all rows of a seed, with a 95 % interval, and the same
of multiply-adds. Rows that are there are not made again. At the end the mean over seeds. With EVONAS_SMALL=1: a few
epochs.
"""

import csv
import os
import statistics
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import torch
from rows import commit, opened

from evonas.comparison.ranks import interval, tau_b
from evonas.comparison.tau import different
from evonas.data.sources import Source
from evonas.evaluation.table import Table, read_table
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.recipe import SMALL_FINAL
from evonas.space import Genome
from evonas.supernets.training import GivenBench, SupernetTraining
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
GENOMES = 3 if SMALL else 108
EPOCHS = GENOMES  # then each network alone has one; three decisions closed leave four for each supernet
ALONE = 8  # decisions of a network, all closed
CLOSED = (0, 1, ALONE) if SMALL else (0, 1, 2, 3, ALONE)
SIZE, BATCH = 16, 64
COLUMNS = (
    "data", "closed", "seed", "sharing", "supernets", "epochs", "tau", "low", "high", "multiply_adds", "core_s",
    "commit", "load",
)  # fmt: skip


def supernets(space: NASBenchMacroSpace, genomes: list[Genome], closed: int) -> list[Genome]:
    """The answers to the first decisions, for each of which there is a supernet."""
    if closed == ALONE:
        return genomes
    return list(product(*(decision.options for decision in space.every_decision[:closed])))


def trained(space: NASBenchMacroSpace, bench: GivenBench, answers: Genome, draws: Random) -> SupernetTraining:
    """A supernet of the networks that begin with these answers, each step on one of them."""
    training = SupernetTraining(space.decode(space.open()), bench)
    rest = space.every_decision[len(answers) :]
    training.network.train()
    while training.epochs < bench.recipe.epochs:
        for batch, _ in training.batches():
            genome = (*answers, *(draws.choice(decision.options) for decision in rest))
            training.descend(batch, space.route(genome))
        training.epochs += 1
    return training


def ranked(task: ImageClassification, space: NASBenchMacroSpace, table: Table, closed: int, seed: int) -> dict:
    start = time.process_time()
    draws = stream(seed, "genomes")
    genomes = different(lambda: space.random(draws), GENOMES)
    splits = task.splits("cpu")
    each = supernets(space, genomes, closed)
    epochs = max(EPOCHS // len(each), 1)
    recipe = replace(SMALL_FINAL.lasting(epochs), batch_size=BATCH, learning_rate=0.05)
    bench = GivenBench(splits.train, splits.validation, recipe, seed=seed)
    values = {}
    for answers in each:
        training = trained(space, bench, answers, stream(seed, "paths", str(answers)))
        for genome in genomes:
            if genome[: len(answers)] == answers:
                values[genome] = training.score(space.route(genome))
    found = np.array([values[genome] for genome in genomes])
    true = np.array([table.worth(genome) for genome in genomes])
    low, high = interval(true, found, np.random.default_rng(seed))
    return {
        "sharing": 1 if closed == ALONE else space.count() // len(each),
        "supernets": len(each),
        "epochs": epochs,
        "tau": round(tau_b(true, found), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "multiply_adds": round(tau_b(true, [space.decode(genome).multiply_adds for genome in genomes]), 4),
        "core_s": round(time.process_time() - start, 1),
    }


def main(rows: str, data: str, table: str, *seeds: str) -> None:
    torch.set_num_threads(1)
    source = Source(data, validation=0.1, size=SIZE)
    task = ImageClassification(source)
    space = NASBenchMacroSpace(channels=8, head=128, input_shape=task.input_shape)
    read, name = read_table(space.name, Path(table), "cifar10"), Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], int(row["closed"]), int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            for closed in CLOSED:
                if (name, closed, seed) not in made:
                    load = os.getloadavg()[0]
                    found = ranked(task, space, read, closed, seed)
                    append({"data": name, "closed": closed, "seed": seed} | found
                           | {"commit": commit(), "load": round(load, 2)})  # fmt: skip
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    for closed in CLOSED:
        of = [row for row in rows if int(row["closed"]) == closed]
        if of:
            taus = [float(row["tau"]) for row in of]
            error = f" ± {statistics.stdev(taus) / len(taus) ** 0.5:.3f}" if len(taus) > 1 else ""
            print(f"{of[0]['supernets']} supernets of {of[0]['epochs']} epochs, shared by {of[0]['sharing']}: tau "
                  f"{statistics.fmean(taus):+.3f}{error} over {len(of)} seeds")  # fmt: skip
    print(f"multiply-adds: tau {statistics.fmean(float(row['multiply_adds']) for row in rows):+.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
