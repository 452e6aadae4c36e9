"""Strategies beside each other, over many seeds: on one table of trained networks, or by training."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas import plots
from evonas.api import search
from evonas.errors import UserError
from evonas.evaluation.table import Table
from evonas.executors import Serial
from evonas.operators.by_decision import one_change_toolbox
from evonas.reports.report import png
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.support.files import write_bytes, write_json
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.systems.setup import Chosen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Contender:
    """A strategy with its settings, by name, as it was written: `aging:population=10,sample=10`."""

    text: str
    chosen: Chosen


def divided(text: str) -> list[str]:
    """Names with their settings, one by one: settings follow their name; a name begins the next one."""
    parts: list[str] = []
    for word in text.split(","):
        if parts and "=" in word and ":" not in word.partition("=")[0]:
            parts[-1] += f",{word}"
        else:
            parts.append(word)
    return [part.strip() for part in parts]


def read_contenders(text: str) -> list[Contender]:
    """`random,aging:population=10,sample=10,my.py:Climb`: settings follow their strategy; a name begins the next one.

    Raises UserError for an unknown strategy or setting, a value of another kind, and a strategy that is given twice.
    """
    contenders = [Contender(part, registry.chosen(part, one_change_toolbox)) for part in divided(text)]
    if len({contender.text for contender in contenders}) < len(contenders):
        raise UserError(f"strategies {text!r}: one of them is given twice")
    return contenders


def queries(table: Table, budget: Budget) -> int:
    """About how many a budget of queries or seconds is worth."""
    if budget.evaluations is not None:
        return budget.evaluations
    if budget.cost_seconds is None:
        raise UserError("a search on a table has a budget of queries, or of seconds of evaluation")
    return max(1, round(budget.cost_seconds / table.mean_seconds))


@dataclass(frozen=True)
class Trial:
    """One strategy with one seed.

    incumbent   after each query, the accuracy (per cent) of the best network by the signal so far: its test accuracy on
                a table, its validation accuracy where networks are trained
    final       the test accuracy of the last incumbent, and
    elsewhere   its test accuracy on other data, where a table knows it
    """

    incumbent: tuple[float, ...]
    final: float
    elsewhere: Mapping[str, float] = field(default_factory=dict)


def trial(table: Table, contender: Contender, seed: int, budget: Budget, *, free_repeats: bool = False) -> Trial:
    """The signal of a trial is drawn by its seed, the same for every strategy."""
    lookup = table.signal(stream(seed, "signal").randrange(len(next(iter(table.signals.values())))))
    rng = stream(seed, contender.text)
    using = contender.chosen.planned(queries(table, budget))
    strategy = using.strategy(using.tools(table.space, rng), rng)
    phase = Phase("search", strategy, lookup, repeats_cost=not free_repeats)
    Loop(Unwritten(), Serial(), 1).run(phase, budget)
    best, incumbent = -math.inf, []
    for individual, outcome in phase.told():
        if outcome.failed:
            lookup(phase.candidate(individual))  # raises what the loop has written down as a failure
        if outcome.values[0] > best:
            best, key = outcome.values[0], lookup.key(individual)
        incumbent.append(table.test[key])
    return Trial(tuple(incumbent), incumbent[-1], {name: worth[key] for name, worth in table.elsewhere.items()})


def trials(table: Table, contender: Contender, seeds: Iterable[int], budget: Budget, free_repeats: bool) -> list[Trial]:
    return [trial(table, contender, seed, budget, free_repeats=free_repeats) for seed in seeds]


def on_table(
    table: Table,
    contenders: Sequence[Contender],
    *,
    seeds: Sequence[int],
    budget: Budget,
    free_repeats: bool = False,
    executor: Executor | None = None,
    workers: int = 1,
) -> dict[str, list[Trial]]:
    """All trials, by the text of the contender, in the order of the seeds, which the workers of the executor share."""
    executor = executor or Serial()
    shares = [seeds[first::workers] for first in range(workers)]
    running = {
        contender.text: [executor.submit(trials, table, contender, share, budget, free_repeats) for share in shares]
        for contender in contenders
    }
    found: dict[str, list[Trial]] = {}
    for text, futures in running.items():
        parts = [future.result() for future in futures]
        found[text] = [parts[place % workers][place // workers] for place in range(len(seeds))]
    return found


def by_training(
    system: str,
    data: str,
    contenders: Sequence[Contender],
    *,
    seeds: Sequence[int],
    budget: Budget,
    settings: Mapping[str, Any],
    workers: int | None,
    directory: Path,
) -> dict[str, list[Trial]]:
    """Trials by training, over the system's own toolbox: a run for each strategy and seed, resumed where it is in
    `directory` already.

    The winner of each run is trained by the final recipe and tested.
    """
    found: dict[str, list[Trial]] = {contender.text: [] for contender in contenders}
    for seed in seeds:
        for contender in contenders:
            run = search(
                system, data, strategy=contender.text, budget=budget, settings=settings,
                seed=seed, workers=workers, progress=False, resume=True,
                out=directory / f"{re.sub(r'[^a-z0-9]+', '-', contender.text)}-{seed}",
            )  # fmt: skip
            if run.interrupted:
                raise KeyboardInterrupt
            values = [100 * r["values"][0] for r in run.records() if r["phase"] == "search" and r.get("values")]
            summary = run.summary or {}
            tested = summary["winner"][f"test_{summary['metric']}"]
            found[contender.text].append(Trial(tuple(accumulate(values, max)), 100 * tested))
    return found


@dataclass(frozen=True)
class Comparison:
    """Trials by strategy, and what they come to.

    signal   what regret is counted in, and shown by the picture: test accuracy on a table, validation accuracy where
             networks are trained; the rows have the test accuracy of the last incumbents in any case
    best     the accuracy from which regret is counted
    """

    title: str
    signal: str
    trials: Mapping[str, Sequence[Trial]]
    best: float
    regret: float | None
    directory: Path

    def to_json(self) -> dict[str, Any]:
        shown = {text: summary(trials, self.best, self.regret) for text, trials in self.trials.items()}
        return {"title": self.title, "best": self.best, "regret": self.regret, "strategies": shown}

    def rows(self) -> list[dict[str, str]]:
        rows = []
        for text, found in self.to_json()["strategies"].items():
            row = {"": text, "test accuracy (%)": f"{found['mean']:.2f} ± {found['std']:.2f}"}
            for name, worth in found["elsewhere"].items():
                row[f"on {name}"] = f"{worth['mean']:.2f} ± {worth['std']:.2f}"
            row["queries"] = f"{found['queries']:g}"
            if self.regret is not None:
                middle = found["median_queries_to_regret"]
                row[f"median queries to {self.regret:g}"] = "more" if middle is None else f"{middle:g}"
                row["reached by"] = f"{found['reached_share']:.1%}"
            rows.append(row)
        return rows

    @property
    def heading(self) -> str:
        """What stands above the rows."""
        return f"{self.title}: test accuracy of the last incumbents, mean ± std of the trials{self._beside('picture')}"

    def _beside(self, other: str) -> str:
        """Where the picture and the table show different things, one says what the other shows."""
        what = {"picture": f"the regret in {self.signal}", "table": "test accuracy"}[other]
        return "" if self.signal == "test accuracy" else f"; the {other} shows {what}, which may rank otherwise"

    def figure(self) -> Figure:
        curves = {text: regret_over_queries(trials, self.best) for text, trials in self.trials.items()}
        title = f"{self.title}: regret in {self.signal} of the incumbents{self._beside('table')}"
        return plots.regret(curves, of=self.signal, title=title)

    def write(self) -> None:
        """comparison.json, trials.json and regret.png into the directory."""
        write_json(self.directory / "comparison.json", self.to_json())
        write_json(self.directory / "trials.json", {text: [t.final for t in ts] for text, ts in self.trials.items()})
        write_bytes(self.directory / "regret.png", png(self.figure()))


def summary(trials: Sequence[Trial], best: float, regret: float | None) -> dict[str, Any]:
    """mean and std of the final test accuracy in per cent, and of that on other data; the median of the queries until
    the incumbent's regret is at most `regret` (None where fewer than half get there), and the share of trials that get
    there."""
    shown: dict[str, Any] = _spread([trial.final for trial in trials]) | {
        "elsewhere": {name: _spread([trial.elsewhere[name] for trial in trials]) for name in trials[0].elsewhere},
        "queries": round(statistics.fmean(len(trial.incumbent) for trial in trials), 1),
    }
    if regret is not None:
        reached = [_reached(trial, best - regret) for trial in trials]
        middle = statistics.median(reached)
        shown["median_queries_to_regret"] = None if math.isinf(middle) else middle
        shown["reached_share"] = round(sum(map(math.isfinite, reached)) / len(reached), 4)
    return shown


def _spread(values: Sequence[float]) -> dict[str, float]:
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "std": round(std, 4)}


def regret_over_queries(trials: Sequence[Trial], best: float) -> np.ndarray:
    """trials x queries: the regret after each query, in points; a trial that ended keeps its last one."""
    longest = max(len(trial.incumbent) for trial in trials)
    rows = [trial.incumbent + trial.incumbent[-1:] * (longest - len(trial.incumbent)) for trial in trials]
    return best - np.array(rows)


def _reached(trial: Trial, accuracy: float) -> float:
    return next((n for n, worth in enumerate(trial.incumbent, 1) if worth >= accuracy - 1e-9), math.inf)
