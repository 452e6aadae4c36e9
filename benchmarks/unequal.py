"""Class weights on a folder of 770 pictures in three unequal classes: searches with and without, paired by seed.

    python benchmarks/unequal.py ROWS.csv cifar10_12k.npz [SEED ...]

From the .npz file (x_train, y_train, x_test, y_test, classes) it takes 400 cats, 120 dogs and 250 horses for training,
and the 200 test pictures of each, and runs `evonas search genet --evaluations 12 --no-baseline` on that folder. A row
of ROWS.csv is one search: seed, class weights, accuracy, balanced accuracy and recall of the dogs by the winner,
seconds, commit, load. Rows that are there are not made again. With EVONAS_SMALL=1: a few pictures of noise, for an
epoch.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rows import commit, opened

import evonas

COUNTS = {"cat": 400, "dog": 120, "horse": 250}
RARE = "dog"
COLUMNS = ("seed", "weights", "accuracy", "balanced_accuracy", "recall", "seconds", "commit", "load")
SMALL = bool(os.environ.get("EVONAS_SMALL"))


def write(file: str, folder: Path) -> None:
    """The pictures as PNG, in a folder for each part and class."""
    if SMALL:
        rng = np.random.default_rng(0)
        parts = {part: {name: rng.integers(0, 255, (8, 16, 16, 3), dtype=np.uint8) for name in COUNTS}
                 for part in ("train", "test")}  # fmt: skip
    else:
        with np.load(file) as found:
            names = [str(name) for name in found["classes"]]
            parts = {
                part: {name: found[f"x_{part}"][found[f"y_{part}"] == names.index(name)][:most]
                       for name, most in wanted.items()}
                for part, wanted in (("train", COUNTS), ("test", dict.fromkeys(COUNTS, 200)))
            }  # fmt: skip
    for part, classes in parts.items():
        for name, pictures in classes.items():
            place = folder / part / name
            place.mkdir(parents=True)
            for number, picture in enumerate(pictures):
                Image.fromarray(picture).save(place / f"{number:03}.png")


def one(folder: Path, seed: int, weights: bool, out: Path) -> dict:
    settings = {"search.class_weights": weights, "final.class_weights": weights}
    if SMALL:
        settings |= {"epochs": 1, "final.epochs": 1, "population": 2, "filters": (2, 2, 2)}
    load, start = os.getloadavg()[0], time.monotonic()
    run = evonas.search("genet", folder, seed=seed, settings=settings, budget=2 if SMALL else 12, out=out,
                        baseline=False, progress=False)  # fmt: skip
    judged = run.summary["winner"]["judgement"]
    return {
        "seed": seed, "weights": int(weights), "accuracy": judged["accuracy"],
        "balanced_accuracy": judged["balanced_accuracy"], "recall": judged["classes"][RARE]["recall"],
        "seconds": round(time.monotonic() - start, 1), "commit": commit(), "load": round(load, 2),
    }  # fmt: skip


def main(rows: str = "rows.csv", file: str = "", *given: str) -> None:
    seeds = [int(word) for word in given] or ([0] if SMALL else [0, 1, 2])
    with tempfile.TemporaryDirectory() as place, opened(Path(rows), COLUMNS) as (known, append):
        folder = Path(place) / "pictures"
        write(file, folder)
        made = {(int(row["seed"]), int(row["weights"])) for row in known}
        for seed in seeds:
            for weights in (False, True):
                if (seed, int(weights)) not in made:
                    append(one(folder, seed, weights, Path(place) / f"{seed}-{weights}"))
    with Path(rows).open() as table:
        found = list(csv.DictReader(table))
    for name in ("accuracy", "balanced_accuracy", "recall"):
        each = [[100 * float(row[name]) for row in found if row["weights"] == which] for which in "01"]
        gains = ", ".join(f"{b - a:+.1f}" for a, b in zip(*each, strict=True))
        print(f"{name}: {statistics.mean(each[0]):.1f} % without, {statistics.mean(each[1]):.1f} % with: {gains}")


if __name__ == "__main__":
    main(*sys.argv[1:])
