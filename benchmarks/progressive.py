"""How well PNAS's predictors rank cells that are larger by one than all that they have learnt from.

    python benchmarks/progressive.py nasbench101 TABLE.npz
    python benchmarks/progressive.py digits ROWS.csv

On NAS-Bench-101 the size of a cell is its number of inner vertices: at most 256 random cells of b are learnt from, and
2,000 of b + 1 predicted (all, where there are fewer), with the table's test accuracies. On digits, 40 random cells of
PNAS's space of each size from 1 to 4 blocks are trained by the preset's search recipe, a row of ROWS.csv each; rows
that are there are not made again. Printed are Spearman's rank correlations, means over the seeds, of the perceptron and
the LSTM, alone and five together, and of the simplest rule: the more convolutions (of 3x3), the better.
"""

import csv
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from paired import sized
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.table import read_table
from evonas.evaluation.training import Training
from evonas.genomes.growing import END
from evonas.genomes.pnas import PNASSpace
from evonas.individual import Individual
from evonas.predictors.pnas import PNASEnsemble
from evonas.ranking import rank_correlation
from evonas.space import Genome, Space
from evonas.support.streams import stream
from evonas.systems.registry import setup, system
from evonas.tasks.classification import ImageClassification

LEARNT, PREDICTED = sized((256, 2_000), (20, 50))
SEEDS, CELLS, SIZES = sized((5, 40, 4), (1, 3, 2))
KINDS = {"mlp": ("mlp", 1), "rnn": ("rnn", 1), "mlp-ensemble": ("mlp", 5), "rnn-ensemble": ("rnn", 5)}
WEIGHTY = "conv3x3-bn-relu"
COLUMNS = ("blocks", "number", "code", "accuracy", "commit")


def on_sizes(
    space: Space, by_size: dict[int, list[tuple[Genome, float]]], weighty: Callable[[Genome], int], known: int
) -> None:
    """A line for each size that is learnt from. `known`: how many cells of it."""
    for size in sorted(by_size)[:-1]:
        if size + 1 not in by_size or len(by_size[size]) < 5:
            continue
        found: dict[str, list[float]] = {name: [] for name in (*KINDS, "size alone")}
        for seed in range(SEEDS):
            rng = random.Random(seed)
            learnt = rng.sample(by_size[size], min(known, len(by_size[size])))
            others = rng.sample(by_size[size + 1], min(PREDICTED, len(by_size[size + 1])))
            cells, worth = [cell for cell, _ in others], [value for _, value in others]
            for name, (kind, members) in KINDS.items():
                model = PNASEnsemble(space, seed=seed, kind=kind, members=members)
                model.fit([cell for cell, _ in learnt], np.array([value for _, value in learnt]))
                found[name].append(rank_correlation(model.predict(cells)[0], worth))
            found["size alone"].append(rank_correlation([weighty(cell) for cell in cells], worth))
        shown = ", ".join(f"{name} {statistics.fmean(values):.3f}" for name, values in found.items())
        print(f"{size} -> {size + 1} ({len(learnt)} learnt, {len(others)} predicted): {shown}", flush=True)


def on_table(path: Path) -> None:
    table = read_table("nasbench101", path)
    space, rng = table.space, stream(0, "cells")
    by_size: dict[int, list[tuple[Genome, float]]] = {}
    seen: set[str] = set()
    draws = sized(30_000, 300)
    for _ in range(draws):
        genome = space.random(rng)
        key = space.key(genome)
        size = len(space.units(genome)) - 1  # without the output
        if key not in seen and size > 0:
            seen.add(key)
            by_size.setdefault(size, []).append((genome, table.test[key] / 100))
    on_sizes(
        space, by_size, lambda genome: sum(unit[0][1] == "conv3x3-bn-relu" for unit in space.units(genome)), LEARNT
    )


def drawn(space: PNASSpace, blocks: int) -> Sequence[Genome]:
    """Different cells with so many blocks."""
    rng, found = stream(0, "cells", blocks), {}
    while len(found) < CELLS:
        genome: tuple = ()
        for _ in range(blocks):
            genome = rng.choice(list(space.larger(genome)))
        found[space.key(genome)] = genome
    return list(found.values())


def on_digits(path: Path) -> None:
    chosen = setup(system("pnas"), "digits")
    space: PNASSpace = chosen.space
    evaluator = Training(ImageClassification(Source("digits")), chosen.search, seed=0)
    with opened(path, COLUMNS) as (rows, append):
        made = {(int(row["blocks"]), int(row["number"])) for row in rows}
        for blocks in range(1, SIZES + 1):
            for number, genome in enumerate(drawn(space, blocks)):
                if (blocks, number) not in made:
                    outcome = evaluator.job(Candidate.of(Individual(genome), space))()
                    append({"blocks": blocks, "number": number, "code": space.format(genome),
                            "accuracy": outcome.values[0], "commit": commit()})  # fmt: skip
    with path.open(newline="") as file:
        by_size: dict[int, list[tuple[Genome, float]]] = {}
        for row in csv.DictReader(file):
            by_size.setdefault(int(row["blocks"]), []).append((space.parse(row["code"]), float(row["accuracy"])))
    on_sizes(space, by_size, lambda genome: sum("conv" in str(token) for token in genome if token != END), CELLS)


if __name__ == "__main__":
    {"nasbench101": on_table, "digits": on_digits}[sys.argv[1]](Path(sys.argv[2]))
