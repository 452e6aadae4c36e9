"""ASHA against the same search without it, at equal core-minutes, paired by seed.

    python benchmarks/fidelity.py ROWS.csv DATA [SEED ...] [-- ARM ...]

A row of ROWS.csv is one search of 20 core-minutes (one worker, by the clock of its processor, so that what else the
machine does matters little) on the small preset of GeNet, by its genetic algorithm or by aging evolution: arm, seed,
candidates that it saw, those that came to their end, epochs, validation and test accuracy of its winner after the final
recipe, seconds, commit, load. Arms are SYSTEM-whole (each candidate gets all of 12 epochs), SYSTEM-asha (eta 3, from 1
epoch on) and SYSTEM-short (each gets the preset's own few epochs: the simplest rule), for SYSTEM genet and aging. Rows
that are there are not made again; seeds are 0 to 4 where none are given. At the end the means are printed, and paired
differences from SYSTEM-whole with their standard errors.
With EVONAS_SMALL=1: digits, a second, one arm of each.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rows import commit, opened

import evonas
from evonas.run.budget import Budget

SMALL = bool(os.environ.get("EVONAS_SMALL"))
SECONDS, EPOCHS = (1.0, 3) if SMALL else (1200.0, 12)
STRATEGIES = {"genet": None, "aging": "aging:population=20,sample=5"}
ARMS = {
    f"{name}-{how}": (strategy, fidelity, epochs)
    for name, strategy in STRATEGIES.items()
    for how, fidelity, epochs in (
        ("whole", None, EPOCHS),
        ("asha", "asha:eta=3,least=1", EPOCHS),
        ("short", None, None),
    )
}
COLUMNS = (
    "data",
    "arm",
    "seed",
    "candidates",
    "to_the_end",
    "epochs",
    "validation",
    "test",
    "seconds",
    "commit",
    "load",
)


def one(data: str, arm: str, seed: int, out: Path) -> dict:
    strategy, fidelity, epochs = ARMS[arm]
    settings = {} if epochs is None else {"search.epochs": epochs}
    settings |= {"final.epochs": 1} if SMALL else {}
    load, start = os.getloadavg()[0], time.monotonic()
    run = evonas.search("genet", data, strategy=strategy, fidelity=fidelity, settings=settings, seed=seed, out=out,
                        budget=Budget(core_seconds=SECONDS), workers=1, progress=False)  # fmt: skip
    if run.interrupted:
        raise KeyboardInterrupt
    searched = [record for record in run.records() if record["phase"] == "search"]
    return {
        "data": Path(data).stem, "arm": arm, "seed": seed, "candidates": len(searched),
        "to_the_end": sum(record.get("status") == "full" for record in searched),
        "epochs": sum(record["cost"]["epochs"] for record in searched),
        "validation": run.summary["winner"]["validation_accuracy"], "test": run.summary["winner"]["test_accuracy"],
        "seconds": round(time.monotonic() - start, 1), "commit": commit(), "load": round(load, 2),
    }  # fmt: skip


def main(rows: str, data: str = "digits", *arguments: str) -> None:
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or ([0] if SMALL else list(range(5)))
    arms = list(arguments[words.index("--") + 1 :]) or (["genet-asha", "aging-asha"] if SMALL else list(ARMS))
    with tempfile.TemporaryDirectory() as place, opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["arm"], int(row["seed"])) for row in known}
        for seed in seeds:
            for arm in arms:
                if (Path(data).stem, arm, seed) not in made:
                    append(one(data, arm, seed, Path(place) / f"{arm}-{seed}"))
    report(Path(rows), Path(data).stem)


def report(rows: Path, data: str) -> None:
    with rows.open() as file:
        found = [row for row in csv.DictReader(file) if row["data"] == data]
    tests: dict[str, dict[str, float]] = {}
    for row in found:
        tests.setdefault(row["arm"], {})[row["seed"]] = 100 * float(row["test"])
    for arm, by_seed in tests.items():
        mine = [row for row in found if row["arm"] == arm]
        saw, ended = (statistics.fmean(int(row[name]) for row in mine) for name in ("candidates", "to_the_end"))
        whole = tests.get(f"{arm.partition('-')[0]}-whole", {})
        pairs = [by_seed[seed] - whole[seed] for seed in by_seed if seed in whole]
        spread = f" ± {statistics.stdev(pairs) / len(pairs) ** 0.5:.2f}" if len(pairs) > 1 else ""
        against = (
            f", {statistics.fmean(pairs):+.2f}{spread} beside whole" if pairs and not arm.endswith("whole") else ""
        )
        print(f"{data}: {arm}: {statistics.fmean(by_seed.values()):.2f} % test in {len(by_seed)} searches{against}; "
              f"{saw:.0f} candidates, {ended:.0f} to the end")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
