"""How well short trainings rank networks: their validation accuracy against that after the final recipe.

    python benchmarks/ranking.py ROWS.csv DATA [SYSTEM [NETWORKS [FIRST]]]

DATA is as for `evonas search --data`, SYSTEM genet by default, NETWORKS 30, FIRST the number of the first of them, 0 by
default; numbers below 0 are networks with which the search begins, -1 the one by hand. Each row of ROWS.csv is one
network as the search of the system's preset draws it, within its limits: its code, parameters, multiply-adds, the
validation accuracy after 3, 6 and 12 epochs of the search recipe (each a training of its own), after 2 and 6 of the 12
(where trainings stop), and validation and test accuracy after the final recipe. All trainings are on the same training
images. Rows that are there are not made again. At the end Spearman's rank correlation of each with the final validation
accuracy is printed, with a bootstrap interval of 95 %, and that of size alone. With EVONAS_SMALL=1: three networks, for
an epoch.
"""

import csv
import os
import sys
import time
from pathlib import Path
from random import Random

import numpy as np
import torch
from rows import commit, opened
from scipy.stats import spearmanr

from evonas.data.sources import Source
from evonas.network import build
from evonas.run.problem import fitted
from evonas.support.device import choose_precision
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

EPOCHS = (3, 6, 12)
STOPS = (2, 6)  # of the last of them
SHORT = (*(f"after_{epochs}" for epochs in EPOCHS), *(f"at_{epochs}" for epochs in STOPS))
SIZES = ("parameters", "multiply_adds")
COLUMNS = ("data", "system", "network", "code", *SIZES, *SHORT, "final", "final_test", "core_s", "commit",
           "load")  # fmt: skip
SEED, RESAMPLED = 1000, 2000  # of the networks, apart from any search; times


def main(rows: str, data: str, name: str = "genet", networks: str = "30", first: str = "0") -> None:
    torch.set_num_threads(1)
    small, count = bool(os.environ.get("EVONAS_SMALL")), int(networks)
    task, title = ImageClassification(Source(data)), Path(data).stem
    system = registry.system(name)
    suited = registry.setup(system, system.preset_for(task.input_shape)).suited(task.augmentation())
    setup = fitted(suited, (task.input_shape, task.output_shape), {})
    splits = task.splits("cpu")
    epochs, count = ((1,) * 3, 3) if small else (EPOCHS, count)
    numbers = range(int(first), int(first) + count)
    genomes = drawn(system, setup, numbers.stop)
    genomes |= {-1 - number: tuple(genome) for number, genome in enumerate(system.begins(setup.space))}
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["system"], int(row["network"])) for row in known}
        for number in numbers:
            if (title, name, number) in made or number not in genomes:
                continue
            genome = genomes[number]
            graph = setup.space.decode(genome)
            precision = choose_precision("auto", "cpu", lambda graph=graph: graph)
            load, start = os.getloadavg()[0], time.process_time()
            found = {"data": title, "system": name, "network": number, "code": setup.space.format(genome),
                     "parameters": graph.parameters, "multiply_adds": graph.multiply_adds}  # fmt: skip

            for column, each in zip(EPOCHS, epochs, strict=True):
                network = build(graph, seed=abs(number))
                curve = train(network, splits.train, setup.search.lasting(each), seed=abs(number), precision=precision,
                              validation=splits.validation)  # fmt: skip
                found[f"after_{column}"] = curve[-1]["accuracy"]
            for stop in STOPS:
                found[f"at_{stop}"] = curve[min(stop, len(curve)) - 1]["accuracy"]
            network = build(graph, seed=abs(number))
            final = setup.final.lasting(1 if small else setup.final.epochs)
            train(network, splits.train, final, seed=abs(number), precision=precision)
            for column, split in (("final", splits.validation), ("final_test", splits.test)):
                found[column] = evaluate(network, split, precision=precision)["accuracy"]
            took = round(time.process_time() - start, 1)
            append(found | {"core_s": took, "commit": commit(), "load": round(load, 2)})
    report(Path(rows), title, name)


def drawn(system, setup, count: int) -> dict:
    """So many different genomes as the search draws its first ones, those over its limits left out, by number."""
    rng = Random(SEED)
    toolbox, most = system.toolbox(setup.space, rng=rng), system.most(setup.space)
    genomes: dict[tuple, None] = {}
    while len(genomes) < count:
        genome = tuple(toolbox.individual())
        graph = setup.space.decode(genome)
        if all(getattr(graph, count) <= limit for count, limit in most.items()):
            genomes[genome] = None
    return dict(enumerate(genomes))


def report(rows: Path, data: str, system: str) -> None:
    """Rank correlations with the final accuracy."""
    with rows.open() as file:
        found = [row for row in csv.DictReader(file) if (row["data"], row["system"]) == (data, system)]
    final = np.array([float(row["final"]) for row in found])
    print(f"{len(found)} networks of {system} on {data}: {100 * final.mean():.2f} ± {100 * final.std():.2f} %")
    rng = np.random.default_rng(0)
    for column in (*SHORT, *SIZES):
        values = np.array([float(row[column]) for row in found])
        draws = [rng.integers(len(found), size=len(found)) for _ in range(RESAMPLED)]
        each = [spearmanr(values[draw], final[draw]).statistic for draw in draws if np.ptp(values[draw]) > 0]
        low, high = np.nanpercentile(each, [2.5, 97.5])
        whole = spearmanr(values, final).statistic
        print(f"{column}: rank correlation {whole:.2f} ({low:.2f} to {high:.2f}) with the final accuracy")


if __name__ == "__main__":
    main(*sys.argv[1:])
