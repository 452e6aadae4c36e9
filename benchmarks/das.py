"""What DAS saves: the network that it derives beside the largest one, and beside uniform shrinking to the same cost.

    python benchmarks/das.py ROWS.csv DATA [SEED ...]

A row of ROWS.csv is one network, trained by the final recipe on all but the test images, with the same training seed:
the largest one, the one that DAS has derived from it, and the largest one shrunk uniformly, its layers all by the same
share of their channels, to no fewer multiply-adds than what was derived. Pictures are shrunk to SIZE x SIZE where they
are larger. Seeds are 0 to 2 where none are given. Rows that are there are not made again. At the end: means, the
paired differences from the largest network, and whether DAS has at least 40 % fewer multiply-adds within one point.
With EVONAS_SMALL=1: an epoch.
"""

import csv
import os
import statistics
import sys
from pathlib import Path

import torch
from derived import SMALL, derived, setup_for, trained
from rows import commit, opened

SAVED, POINTS = 0.4, 1.0  # what is to be shown
ARMS = ("largest", "derived", "uniform")  # the last one is as large as the one before
COLUMNS = ("data", "arm", "seed", "code", "parameters", "multiply_adds", "accuracy", "search_s", "core_s", "commit",
           "load")  # fmt: skip


def uniform(space, multiply_adds: int) -> str:
    """The smallest uniform shrinking that has at least so many multiply-adds."""
    shares = (step / 100 for step in range(1, 101))
    return next(
        space.format(genome)
        for genome in map(space.shrunk, shares)
        if space.decode(genome).multiply_adds >= multiply_adds or genome == space.largest
    )


def found(data: str, arm: str, seed: int, beside: int) -> dict:
    """The row of an arm; `beside` is the number of multiply-adds of what was derived."""
    _, setup = setup_for("das", data)
    space, seconds = setup.space, 0.0
    if arm == "largest":
        code = space.format(space.largest)
    elif arm == "derived":
        code, seconds = derived("das", data, seed)
    else:
        code = uniform(space, beside)
    row = trained("das", data, space.decode(space.parse(code)), seed)
    return {"arm": arm, "seed": seed, "code": code, "search_s": seconds} | row


def main(rows: str, data: str = "digits", *seeds: str) -> None:
    torch.set_num_threads(1)
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["arm"], int(row["seed"])): int(row["multiply_adds"]) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            for arm in ARMS:
                if (name, arm, seed) not in made:
                    load = os.getloadavg()[0]
                    row = found(data, arm, seed, made.get((name, "derived", seed), 0))
                    made[name, arm, seed] = row["multiply_adds"]
                    append({"data": name} | row | {"commit": commit(), "load": round(load, 2)})
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    by = {arm: {row["seed"]: row for row in rows if row["arm"] == arm} for arm in ARMS}
    for arm, of in by.items():
        pairs = [(row, by["largest"][seed]) for seed, row in of.items() if seed in by["largest"]]
        points = [100 * (float(row["accuracy"]) - float(largest["accuracy"])) for row, largest in pairs]
        cost = statistics.fmean(int(row["multiply_adds"]) / int(largest["multiply_adds"]) for row, largest in pairs)
        error = f" ± {statistics.stdev(points) / len(points) ** 0.5:.2f}" if len(points) > 1 else ""
        accuracy = statistics.fmean(100 * float(row["accuracy"]) for row in of.values())
        print(f"{data}, {arm}: {accuracy:.2f} % of {len(of)} seeds with {cost:.0%} of the multiply-adds, "
              f"{statistics.fmean(points):+.2f}{error} beside the largest")  # fmt: skip
        if arm == "derived":
            shown = cost <= 1 - SAVED and statistics.fmean(points) >= -POINTS
            print(f"at least {SAVED:.0%} fewer multiply-adds within {POINTS:g} point: {'yes' if shown else 'no'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
