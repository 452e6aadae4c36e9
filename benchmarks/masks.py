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
from dataclasses import replace
from pathlib import Path

import torch
from derived import SMALL, derived, setup_for, trained
from rows import commit, opened

from evonas.support.streams import stream

ARMS = ("learned", "random", "chain")
COLUMNS = ("data", "arm", "seed", "code", "parameters", "multiply_adds", "accuracy", "search_s", "core_s", "commit",
           "load")  # fmt: skip


def found(data: str, arm: str, seed: int) -> dict:
    _, setup = setup_for("mask-connect", data)
    space, seconds = setup.space, 0.0
    if arm == "learned":
        code, seconds = derived("mask-connect", data, seed)
    elif arm == "random":
        code = space.format(space.random(stream(seed, "masks")))
    else:
        space = replace(space, fan_in=1)
        code = " ".join(str(module) for module in range(1, space.depth))
    row = trained("mask-connect", data, space.decode(space.parse(code)), seed)
    return {"arm": arm, "seed": seed, "code": code, "search_s": seconds} | row


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
