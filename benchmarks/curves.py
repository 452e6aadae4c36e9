"""How well curve models predict the end of trainings from their first epochs, beside the last value.

    python benchmarks/curves.py ROWS.csv FOLDER [MODEL ...]

The sets are the digits of tests/data (200 curves of 40 epochs) and, where FOLDER has them, curves that Baker et al.
(2017) published: curves_metaqnn_cifar10.csv.gz (20 epochs) and curves_deep_resnets_tinyimagenet.csv.gz (140). Of each,
in five orders, 100 curves are known and 100 others asked for. Each row of ROWS.csv is one model after so many epochs in
one order; rows that are there are not made again. MODELs are names, all by default. At the end the means over the
orders are printed: R2, mean absolute error, Spearman's rank correlation, and how many ends 90 % intervals cover. Where
a model abstains, the last value stands for it, and no interval is counted.

Domhan's model is asked for 40 of the curves alone, and learns from none; `last value of 40` is that of the same. What
rules make of such forecasts is measured by `evonas replay`. With EVONAS_SMALL=1: 25 curves known, three asked for,
small samplers.
"""

import csv
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from paired import sized
from rows import commit, opened
from scipy.stats import spearmanr

from evonas.curves import Curve, CurveModel
from evonas.curves.baker import Baker
from evonas.curves.domhan import Domhan
from evonas.curves.lcnet import LCNet
from evonas.curves.statistics import BestSoFar, LastValue, TrainingSpeed
from evonas.curves.table import read_curves

DIGITS = Path(__file__).parents[1] / "tests" / "data" / "curves_digits.csv.gz"
SETS = {  # file, epochs, those after which a model is asked
    "digits": ("", 40, sized((0, 4, 10, 16, 20), (4,))),
    "metaqnn": ("curves_metaqnn_cifar10.csv.gz", 20, (5,)),
    "tinyimagenet": ("curves_deep_resnets_tinyimagenet.csv.gz", 140, (35,)),
}
SEEDS, KNOWN, ASKED, ASKED_ALONE = sized((5, 100, 100, 40), (1, 25, 3, 1))
STEPS, LONG = sized(({}, {"steps": 2500, "burn_in": 500}), ({"steps": 20, "burn_in": 10},) * 2)
DRAWS, NET = sized(({}, {}), ({"draws": 2}, {"chains": 2, "steps": 60, "burn_in": 20, "thin": 10}))
MODELS: dict[str, Callable[[int], CurveModel]] = {
    "last value": lambda seed: LastValue(),
    "best so far": lambda seed: BestSoFar(),
    "sotl": lambda seed: TrainingSpeed(),
    "sotl-1": lambda seed: TrainingSpeed(last=1),
    "baker, curve": lambda seed: Baker(use_features=False, seed=seed, **DRAWS),
    "baker, features": lambda seed: Baker(use_curve=False, seed=seed, **DRAWS),
    "baker": lambda seed: Baker(seed=seed, **DRAWS),
    "baker, linear": lambda seed: Baker(regressor="linear-nu-svr", seed=seed, **DRAWS),
    "baker, ols": lambda seed: Baker(regressor="ols", seed=seed),
    "baker, forest": lambda seed: Baker(regressor="forest", draws=2, seed=seed),
    "lc-net": lambda seed: LCNet(seed=seed, **NET),
    "lc-net, three": lambda seed: LCNet(bases="three", seed=seed, **NET),
    "last value of 40": lambda seed: LastValue(),
    "domhan": lambda seed: Domhan(seed=seed, **STEPS),
    "domhan, long": lambda seed: Domhan(seed=seed, **LONG),
    "domhan, const": lambda seed: Domhan(weights="const", seed=seed, **STEPS),
}
ALONE = {name for name in MODELS if name.startswith("domhan")} | {"last value of 40"}
COLUMNS = ("set", "seen", "seed", "model", "asked", "abstained", "r2", "mae", "rho", "covers", "s",
           "commit")  # fmt: skip


def main(rows: str, folder: str, *wanted: str) -> None:
    names = wanted or tuple(MODELS)
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["set"], row["seen"], row["seed"], row["model"]) for row in known}
        for name in names:
            for data, (file, epochs, prefixes) in SETS.items():
                path = Path(folder) / file if file else DIGITS
                if not path.exists():
                    print(f"there is no {path}: {data} is left out")
                    continue
                curves = [each for each in read_curves(path, without=("network",)) if len(each.values) == epochs]
                seens = [seen for seen in prefixes if asks(name, data, seen)]
                for seen, seed in ((seen, seed) for seen in seens for seed in range(SEEDS)):
                    if (data, str(seen), str(seed), name) not in made:
                        order = [curves[place] for place in np.random.default_rng(seed).permutation(len(curves))]
                        row = measured(name, order, epochs, seen, seed)
                        append({"set": data, "seen": seen, "seed": seed, "model": name, **row, "commit": commit()})
    report(Path(rows))


def asks(name: str, data: str, seen: int) -> bool:
    """Whether a model is asked there: samplers take seconds for a curve, and only features tell of no epoch at all."""
    if name in ALONE:
        return data == "digits" and seen in sized((16,), (4,))
    if name.startswith("sotl"):
        return data == "digits" and seen > 0
    return seen > 0 or name.startswith("lc-net") or name == "baker, features"


def measured(name: str, order: Sequence[Curve], epochs: int, seen: int, seed: int) -> dict:
    """One row of a model."""
    known, asked = order[:KNOWN], order[KNOWN : KNOWN + (ASKED_ALONE if name in ALONE else ASKED)]
    begun = [curve.seen(seen) for curve in asked]
    start = time.perf_counter()
    model = MODELS[name](seed).fit([*known, *begun], epochs)  # LC-Net learns from those that have begun, too
    found = [model.predict(curve) for curve in begun]
    took = time.perf_counter() - start
    for remark in model.remarks():
        print(f"{name}: {remark}")
    ends = np.array([curve.values[-1] for curve in asked])
    means = np.array([curve.values[-1] if each is None else each.mean
                      for each, curve in zip(found, begun, strict=True)])  # fmt: skip
    covered = [each.interval()[0] <= end <= each.interval()[1] for each, end in zip(found, ends, strict=True)
               if each is not None]  # fmt: skip
    row = {"asked": len(asked), "abstained": found.count(None), "r2": 1 - np.mean((means - ends) ** 2) / ends.var(),
           "mae": np.abs(means - ends).mean(), "rho": spearmanr(means, ends).statistic,
           "covers": np.mean(covered)}  # fmt: skip
    rounded = {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
    return rounded | {"s": round(took, 2)}


def report(rows: Path) -> None:
    """Means over the orders, a table."""
    with rows.open() as file:
        found = list(csv.DictReader(file))
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in found:
        groups.setdefault((row["set"], row["seen"], row["model"]), []).append(row)
    print("| set | seen | model | orders | R2 | MAE | rank | 90 % covers | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (data, seen, name), group in sorted(groups.items(), key=lambda item: (item[0][0], int(item[0][1]))):
        means = [f"{np.mean([float(row[key]) for row in group]):.3f}" if group[0][key] else ""
                 for key in ("r2", "mae", "rho", "covers")]  # fmt: skip
        seconds = f"{np.mean([float(row['s']) for row in group]):.1f}"
        print("|", " | ".join((data, seen, name, str(len(group)), *means, seconds)), "|")


if __name__ == "__main__":
    main(*sys.argv[1:])
