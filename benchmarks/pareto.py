"""Accuracy against parameters on digits: the hypervolume of NSGA-II's front and of random search's, paired by seed.

    python benchmarks/pareto.py [FIRST_SEED]

Both make 100 evaluations of GeNet's digits space (networks of 3,742 to 35,182 weights). The hypervolume is that of
(validation error, parameters / 35,182) below the reference point (1, 1), by moocore; larger is better.
"""

import sys
import tempfile
from pathlib import Path

import moocore
from paired import sized

import evonas
from evonas.genomes.genet import DIGITS
from evonas.operators.by_decision import toolbox
from evonas.strategies.random_search import RandomSearch
from evonas.support.streams import stream

SEEDS, EVALUATIONS = sized((5, 100), (1, 2))
LARGEST = DIGITS.decode((1,) * 9).parameters


def front(seed: int, folder: Path, *, random: bool) -> list[tuple[float, float]]:
    strategy = RandomSearch(toolbox(DIGITS, rng=stream(seed, "random"))) if random else None
    run = evonas.search(
        "genet", "digits", objectives="accuracy,parameters", strategy=strategy, budget=EVALUATIONS, seed=seed,
        settings={"final.epochs": 1}, out=folder, progress=False,
    )  # fmt: skip
    return [(1 - found.values["accuracy"], found.values["parameters"] / LARGEST) for found in run.front]


def main() -> None:
    wins, first = 0, int(sys.argv[1]) if len(sys.argv) > 1 else 0
    for seed in range(first, first + SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            fronts = [front(seed, Path(folder) / name, random=name == "random") for name in ("nsga2", "random")]
        ours, theirs = (moocore.hypervolume(points, ref=(1.0, 1.0)) for points in fronts)
        wins += ours > theirs
        sizes = sorted(round(cost * LARGEST) for _, cost in fronts[0])
        found = f"{len(sizes)} networks on NSGA-II's front, {sizes[0]:,} to {sizes[-1]:,} parameters"
        print(f"seed {seed}: NSGA-II {ours:.4f}, random search {theirs:.4f}; {found}", flush=True)
    print(f"NSGA-II has the larger hypervolume in {wins} of {SEEDS} seeds")


if __name__ == "__main__":
    main()
