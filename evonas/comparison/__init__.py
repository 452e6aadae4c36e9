"""Strategies compared over many seeds: on a table of trained networks, or by training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evonas.comparison.on_table import Rules, on_table, one_random
from evonas.comparison.trials import Comparison, by_training, read_contenders
from evonas.errors import UserError
from evonas.evaluation.table import ACCURACY, read_table
from evonas.executors import Processes, Serial
from evonas.run.budget import Budget
from evonas.support.device import cores
from evonas.support.files import place


def compare(
    space: str,
    *,
    table: str | Path | None = None,
    data: str | None = None,
    signal: str | None = None,
    strategies: str = "random,aging,local",
    seeds: int = 100,
    first_seed: int = 0,
    budget: int | str = 200,
    regret: float | None = None,
    target: str = "test",
    stop: bool = False,
    free_repeats: bool = False,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Strategies compared over `seeds` seeds: each strategy with each seed is a trial. Final
    genomes are held against one random genome for each seed, by Welch's two-sided t-test.

    space         with a table: nasbench201, nasbench101, nasbench-macro, nasbench-graph, transnas101-micro or
                  transnas101-macro; without one, a system or space, which is trained
    table         the file of the table
    data          of a table: cifar10, cifar100 or imagenet16, or a graph or task of its file; any data set or path for
                  training
    signal        of a table, what a search sees: e12 or e200 of nasbench201; 1, 2, 3 or mean of nasbench-macro; None:
                  the usual one
    strategies    by their names, which `evonas list` shows, or FILE.py:NAME, with settings:
                  "random,aging:population=10,sample=10,my.py:Climb"
    first_seed    others than those of a published table are to choose settings by
    budget        queries, or seconds of evaluation such as "20000s" (of a table: simulated)
    regret        count the queries until the incumbent, the best network by the signal so far, is this close to the
                  best network of the target; points of accuracy, or plain values of another metric
    target        of a table, the value that regret is counted in: test, the test metric of the incumbent, or signal,
                  the very value that the search sees
    stop          of a table: a trial ends as soon as it has reached the regret
    free_repeats  of a table: a network that was met before costs nothing, and is no query: queries are different
                  networks (otherwise each proposal is a query, as in the papers)
    out           directory for comparison.json, trials.json, queries_to_regret.json and regret.png; of training, the
                  runs too

    Raises UserError for what cannot be used.
    """
    contenders = read_contenders(strategies)
    limit = _queries_or_seconds(budget)
    numbers = range(first_seed, first_seed + seeds)
    if not numbers or first_seed < 0:
        raise UserError(f"seeds is {seeds} and first_seed {first_seed}; use at least 1, and 0 or more")
    if regret is not None and regret < 0:
        raise UserError(f"regret is {regret}; use points of accuracy, 0 or more")
    if target not in ("test", "signal"):
        raise UserError(f"target is {target!r}; use test or signal")
    if stop and regret is None:
        raise UserError("stop needs a regret, with which a trial ends")
    if table is None:
        if signal is not None or target != "test" or stop:
            raise UserError("signal, target and stop are for a search on a table; give one")
        data = data or "digits"
        directory = _directory(out, space, data)
        found, random = by_training(
            space, data, contenders, seeds=numbers, budget=limit, settings=settings or {}, workers=workers,
            directory=directory,
        )  # fmt: skip
        best = max(max(trial.incumbent) for trials in found.values() for trial in trials)
        metric, counted_in = ACCURACY, "validation accuracy"
    else:
        if settings:
            raise UserError("a table has no settings; give those of strategies as aging:population=10")
        read = read_table(space, place(table), data, signal=signal)
        data = read.data
        directory = _directory(out, space, data)
        best = read.best_test if target == "test" else read.best_signal
        rules = Rules(free_repeats, target, best - regret if stop and regret is not None else None)
        workers = min(workers or cores(), seeds)
        executor = Processes(workers) if workers > 1 else Serial()
        try:
            found = on_table(read, contenders, seeds=numbers, budget=limit, rules=rules, executor=executor,
                             workers=workers)  # fmt: skip
        finally:
            executor.shutdown()
        random = [one_random(read, seed) for seed in numbers]
        metric, counted_in = read.metric, f"test {read.metric.name}" if target == "test" else read.shown
    counted = f"{seeds} seeds" + (f" from {first_seed} on" if first_seed else "")
    title = f"{space} on {Path(data).stem}: {counted}, {_counted(limit)}"
    comparison = Comparison(title, counted_in, found, best, regret, directory, metric, random)
    comparison.write()
    return comparison


def _directory(out: str | Path | None, space: str, data: str) -> Path:
    return place(out) if out is not None else Path("comparisons") / f"{space}-{Path(data).stem}"


def _queries_or_seconds(budget: int | str) -> Budget:
    text = str(budget)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s?)", text)
    if not found or (not found[2] and "." in found[1]):
        raise UserError(f"budget is {text!r}; write a number of queries, or seconds of evaluation such as 20000s")
    return Budget(cost_seconds=float(found[1])) if found[2] else Budget(int(found[1]))


def _counted(budget: Budget) -> str:
    if budget.cost_seconds is not None:
        return f"{budget.cost_seconds:,.0f} s of evaluation"
    return f"{budget.evaluations:,} queries"
