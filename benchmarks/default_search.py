"""What the default search finds, beside its parts, other strategies over its space and the network by hand.

    python benchmarks/default_search.py ROWS.csv DATA MINUTES [SEED ...] [-- ARM ...]

A row of ROWS.csv is one search, or one final training. A search of MINUTES has as much time as one of so many minutes
on two cores has before its final trainings, half of them: MINUTES core-minutes, one worker, by the clock of its
processor. Its winner, and the network by hand, are then trained by the final recipe on all but the test images, with
each of three training seeds, the same for all. Arms are the system as it is (evonas), without one of its parts (whole:
no trainings are stopped; unguided: aging evolution in place of the surrogate; anywhere: it does not begin with the
network by hand), and others that begin with the network by hand and stop trainings as it does (random, local,
reinforce, ...: any strategy, with its settings). Seeds are 0 to 2 where none are given, arms evonas and random. Rows
that are there are not made again. At the end: the mean test accuracy of the winners, and the differences from the
network by hand and from the first arm, paired by seed, with standard errors. With EVONAS_SMALL=1: digits, a second.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from rows import commit, opened

import evonas
from evonas.data.sources import Source
from evonas.network import build
from evonas.run.budget import Budget
from evonas.run.problem import fitted
from evonas.support.device import choose_precision
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

SMALL = bool(os.environ.get("EVONAS_SMALL"))
TRAININGS = (1,) if SMALL else (1, 2, 3)  # seeds of the final trainings
SYSTEM = registry.system("evonas")
COLUMNS = ("kind", "data", "minutes", "arm", "seed", "code", "parameters", "multiply_adds", "candidates", "to_the_end",
           "accuracy", "core_s", "commit", "load")  # fmt: skip


def options(arm: str, by_hand: str) -> dict:
    """What the arm has otherwise than the system."""
    parts = {"evonas": {}, "whole": {"fidelity": "none"}, "anywhere": {"init": ["none"]}}
    strategy = "aging:population=20,sample=5" if arm == "unguided" else arm
    return parts.get(arm, {"strategy": strategy, "fidelity": SYSTEM.fidelity, "init": [by_hand]})


def searched(data: str, minutes: float, arm: str, seed: int, by_hand: str, out: Path) -> dict:
    limits = {"max_multiply_adds": multiply_adds(data, by_hand)}
    run = evonas.search(
        "evonas", data, seed=seed, out=out, budget=Budget(core_seconds=60 * minutes), workers=1, progress=False,
        settings={"final.epochs": 1} | ({"search.epochs": 3} if SMALL else {}), **limits, **options(arm, by_hand),
    )  # fmt: skip
    if run.interrupted:
        raise KeyboardInterrupt
    records = [record for record in run.records() if record["phase"] == "search"]
    return {
        "arm": arm, "seed": seed, "code": run.best.code, "candidates": len(records),
        "to_the_end": sum(record.get("status") == "full" for record in records),
        "accuracy": run.best.values["accuracy"],
        "core_s": round(sum(record["cost"]["core_seconds"] for record in records), 1),
    }  # fmt: skip


def setup_for(data: str):
    task = ImageClassification(Source(data))
    suited = registry.setup(SYSTEM, SYSTEM.preset_for(task.input_shape)).suited(task.augmentation())
    return task, fitted(suited, (task.input_shape, task.output_shape), {})


def multiply_adds(data: str, code: str) -> int:
    space = setup_for(data)[1].space
    return space.decode(space.parse(code)).multiply_adds


def trained(data: str, code: str, seed: int) -> dict:
    """The network of a code by the final recipe, on the test images."""
    task, setup = setup_for(data)
    graph = setup.space.decode(setup.space.parse(code))
    precision, splits = choose_precision("auto", "cpu", lambda: graph), task.splits("cpu")
    network, start = build(graph, seed=seed), time.process_time()
    recipe = setup.final.lasting(1) if SMALL else setup.final
    train(network, splits.whole, replace(recipe, trainings=1), seed=seed, precision=precision)
    accuracy = evaluate(network, splits.test, precision=precision)["accuracy"]
    return {"seed": seed, "code": code, "accuracy": accuracy, "core_s": round(time.process_time() - start, 1)}


def main(rows: str, data: str = "digits", minutes: str = "0.02", *arguments: str) -> None:
    torch.set_num_threads(1)
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or list(range(1 if SMALL else 3))
    arms = list(arguments[words.index("--") + 1 :]) or ["evonas", "random"]
    name, length = Path(data).stem, float(minutes)
    space = setup_for(data)[1].space
    by_hand = space.format(space.by_hand())
    with tempfile.TemporaryDirectory() as place, opened(Path(rows), COLUMNS) as (known, append):
        mine = [row for row in known if row["data"] == name]
        found = {(row["minutes"], row["arm"], row["seed"]): row["code"] for row in mine if row["kind"] == "search"}
        tested = {(row["code"], int(row["seed"])) for row in mine if row["kind"] == "final"}

        def add(kind: str, make, *given) -> str:
            load, row = os.getloadavg()[0], make(*given)
            graph = space.decode(space.parse(row["code"]))
            costs = {"parameters": graph.parameters, "multiply_adds": graph.multiply_adds}
            append({"kind": kind, "data": name, "minutes": f"{length:g}"} | row | costs | {"commit": commit(),
                   "load": round(load, 2)})  # fmt: skip
            return row["code"]

        wanted = [(f"{length:g}", arm, str(seed)) for seed in seeds for arm in arms]
        for key in wanted:
            if key not in found:
                _, arm, seed = key
                found[key] = add(
                    "search", searched, data, length, arm, int(seed), by_hand, Path(place) / str(len(found))
                )
        codes = dict.fromkeys([by_hand, *(found[key] for key in wanted)])
        for each in TRAININGS:
            for code in codes:
                if (code, each) not in tested:
                    add("final", trained, data, code, each)
    report(Path(rows), name, f"{length:g}", by_hand)


def report(path: Path, data: str, minutes: str, by_hand: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    finals: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["kind"] == "final":
            finals.setdefault(row["code"], {})[row["seed"]] = 100 * float(row["accuracy"])
    searches = [row for row in rows if row["kind"] == "search" and row["minutes"] == minutes and row["code"] in finals]
    arms = {arm: {row["seed"]: row for row in searches if row["arm"] == arm} for arm in {r["arm"]: 0 for r in searches}}
    worth = {
        arm: {seed: statistics.fmean(finals[row["code"]].values()) for seed, row in by_seed.items()}
        for arm, by_seed in arms.items()
    }
    reference = statistics.fmean(finals[by_hand].values())
    print(f"{data}, {minutes} core-minutes a search; the network by hand: {reference:.2f} % test")
    first = next(iter(worth.values()), {})
    for arm, by_seed in worth.items():
        against = [value - reference for value in by_seed.values()]
        beside = [value - first[seed] for seed, value in by_seed.items() if seed in first]
        rows = list(arms[arm].values())
        costs = statistics.fmean(int(row["multiply_adds"]) for row in rows) / 1e6
        saw = statistics.fmean(int(row["candidates"]) for row in rows)
        print(f"{arm}: {statistics.fmean(by_seed.values()):.2f} % in {len(by_seed)} searches ({told(against)} beside "
              f"the network by hand, {told(beside)} beside the first arm); {saw:.0f} candidates, winners of "
              f"{costs:.1f} M multiply-adds")  # fmt: skip


def told(differences: list[float]) -> str:
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
    return f"{statistics.fmean(differences):+.2f}" + ("" if error is None else f" ± {error:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
