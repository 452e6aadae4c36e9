"""Trials of strategies, by training, and what trials come to: numbers, a table, and a picture."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas import plots
from evonas.api import search
from evonas.comparison import alone
from evonas.comparison.ranks import welch
from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.table import ACCURACY, Metric
from evonas.operators.by_decision import one_change_toolbox
from evonas.plots.style import png
from evonas.run.budget import Budget
from evonas.run.store import Run
from evonas.support.files import write_bytes, write_json
from evonas.support.streams import stream
from evonas.support.text import probability
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


@dataclass(frozen=True)
class Trial:
    """One strategy with one seed.

    incumbent   after each query, the value of the best network by the signal so far: on a table its test metric, or the
                signal itself where regret is counted on that; where networks are trained, its validation accuracy in
                per cent
    final       the test metric of the last incumbent, and
    elsewhere   its test metric on other data, where a table knows it
    """

    incumbent: tuple[float, ...]
    final: float
    elsewhere: Mapping[str, float] = field(default_factory=dict)


ONE_RANDOM = "one random genome"  # a seed, drawn without a look at any value


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
) -> tuple[dict[str, list[Trial]], list[Trial]]:
    """Trials by training, over the system's own toolbox: a run for each strategy and seed, resumed where it is in
    `directory` already; and one random genome for each seed.

    The winner of each run is trained by the final recipe and tested, and so is the random genome.
    """
    found: dict[str, list[Trial]] = {contender.text: [] for contender in contenders}
    random: list[Trial] = []
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
        random += random_by_training(run, directory / "random.jsonl")
    return found, random


def random_by_training(run: Run, file: Path) -> list[Trial]:
    """One random genome, trained as the winner of the run was, with the run's seed; [] where its training fails. `file`
    has the trainings of all seeds."""
    problem, config = run.problem, run.config
    genome = alone.draws(problem, stream(config.seed, ONE_RANDOM))()
    recipe = problem.final.lasting(problem.final.epochs)
    by = alone.training(run, recipe, seed=config.seed, workers=config.workers, final=True)
    with alone.workplace(config, 1) as executor:
        (row,) = alone.trained([genome], by, Decoder(problem.space), file, executor=executor, workers=1)
    return [] if row.value is None else [Trial((), 100 * row.value)]


NEARLY = 1e-9  # by which a value may miss what it should reach: sums of floating-point numbers


@dataclass(frozen=True)
class Comparison:
    """Trials by strategy, and what they come to.

    signal   what regret is counted in, and shown by the picture: the test metric or the signal of a table, validation
             accuracy where networks are trained; the rows have the test metric of the last incumbents in any case
    best     the value from which regret is counted
    metric   what the values are
    random   of each seed one random genome, which no signal has chosen: what any search has to beat (Yu et al. 2020,
             arXiv:1902.08142)
    """

    title: str
    signal: str
    trials: Mapping[str, Sequence[Trial]]
    best: float
    regret: float | None
    directory: Path
    metric: Metric = ACCURACY
    random: Sequence[Trial] = ()

    @property
    def worth(self) -> str:
        """What the rows have."""
        return f"test {self.metric.name}"

    def to_json(self) -> dict[str, Any]:
        shown = {text: summary(trials, self.best, self.regret, self.metric) for text, trials in self.trials.items()}
        return {"title": self.title, "metric": self.metric.name, "regret in": self.signal, "best": self.best,
                "regret": self.regret, "strategies": shown, "random": self._random()}  # fmt: skip

    def _random(self) -> dict[str, Any] | None:
        """One random genome a seed: its test metric, and by strategy the p-value of Welch's test of the trials' against
        it; None where there is none to be had."""
        if not self.random:
            return None
        finals = [trial.final for trial in self.random]
        tested = {text: welch([trial.final for trial in trials], finals) for text, trials in self.trials.items()}
        known = {text: None if math.isnan(p) else p for text, p in tested.items()}
        return {"seeds": len(finals)} | _finals(self.random, self.metric) | {"p": known}

    def rows(self) -> list[dict[str, str]]:
        shown = self.to_json()
        rows = []
        for text, found in shown["strategies"].items():
            row = {"": text} | self._tested(found)
            if shown["random"]:
                row["Welch's p"] = probability(shown["random"]["p"][text])
            row["queries"] = f"{found['queries']:g}"
            if self.regret is not None:
                middle = found["median_queries_to_regret"]
                row[f"median queries to {self.regret:g}"] = "more" if middle is None else f"{middle:g}"
                row["reached by"] = f"{found['reached_share']:.1%}"
            rows.append(row)
        if shown["random"]:
            named = {"": f"{ONE_RANDOM} a seed"} | self._tested(shown["random"])
            rows.append(dict.fromkeys(rows[0], "") | named)
        return rows

    def _tested(self, found: Mapping[str, Any]) -> dict[str, str]:
        """The cells of test metrics."""
        digits = self.metric.digits
        worth = {f"test {self.metric}": found} | {f"on {name}": each for name, each in found["elsewhere"].items()}
        return {name: f"{each['mean']:.{digits}f} ± {each['std']:.{digits}f}" for name, each in worth.items()}

    @property
    def heading(self) -> str:
        """What stands above the rows."""
        against = f", Welch's p against {ONE_RANDOM} a seed" if self.random else ""
        shown = f"{self.worth} of the last incumbents, mean ± std of the trials{against}"
        return f"{self.title}: {shown}{self._beside('picture')}"

    def _beside(self, other: str) -> str:
        """Where the picture and the table show different things, one says what the other shows."""
        what = {"picture": f"the regret in {self.signal}", "table": self.worth}[other]
        return "" if self.signal == self.worth else f"; the {other} shows {what}, which may rank otherwise"

    def figure(self) -> Figure:
        curves = {text: regret_over_queries(trials, self.best) for text, trials in self.trials.items()}
        title = f"{self.title}: regret in {self.signal} of the incumbents{self._beside('table')}"
        return plots.regret(curves, of=self.signal, unit=self.metric.difference, title=title)

    def write(self) -> None:
        """comparison.json, trials.json, queries_to_regret.json where a regret is given, and regret.png into the
        directory."""
        write_json(self.directory / "comparison.json", self.to_json())
        every = {**self.trials, ONE_RANDOM: self.random} if self.random else self.trials
        write_json(self.directory / "trials.json", {text: [t.final for t in ts] for text, ts in every.items()})
        if self.regret is not None:
            write_json(self.directory / "queries_to_regret.json", self.queries_to_regret)
        write_bytes(self.directory / "regret.png", png(self.figure()))

    @property
    def queries_to_regret(self) -> dict[str, list[int | None]]:
        """By strategy, for each trial, the number of queries after which its regret was first small enough; None where
        it never was."""
        goal = self.best - (self.regret or 0.0)
        return {text: [_reached(trial, goal) for trial in trials] for text, trials in self.trials.items()}


def summary(trials: Sequence[Trial], best: float, regret: float | None, metric: Metric = ACCURACY) -> dict[str, Any]:
    """mean and std of the final test metric, and of that on other data; the median of the queries until the
    incumbent's regret is at most `regret` (None where fewer than half get there), and the share of trials that get
    there."""
    queries = round(statistics.fmean(len(trial.incumbent) for trial in trials), 1)
    shown = _finals(trials, metric) | {"queries": queries}
    if regret is not None:
        reached = [_reached(trial, best - regret) for trial in trials]
        middle = statistics.median(math.inf if each is None else each for each in reached)
        shown["median_queries_to_regret"] = None if math.isinf(middle) else middle
        shown["reached_share"] = round(sum(each is not None for each in reached) / len(reached), 4)
    return shown


def _finals(trials: Sequence[Trial], metric: Metric) -> dict[str, Any]:
    digits = metric.digits + 2
    elsewhere = {name: _spread([trial.elsewhere[name] for trial in trials], digits) for name in trials[0].elsewhere}
    return _spread([trial.final for trial in trials], digits) | {"elsewhere": elsewhere}


def _spread(values: Sequence[float], digits: int) -> dict[str, float]:
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), digits), "std": round(std, digits)}


def regret_over_queries(trials: Sequence[Trial], best: float) -> np.ndarray:
    """trials x queries: the regret after each query, in the unit of the metric; a trial that ended keeps its last
    one."""
    longest = max(len(trial.incumbent) for trial in trials)
    rows = [trial.incumbent + trial.incumbent[-1:] * (longest - len(trial.incumbent)) for trial in trials]
    return best - np.array(rows)


def _reached(trial: Trial, value: float) -> int | None:
    return next((n for n, worth in enumerate(trial.incumbent, 1) if worth >= value - NEARLY), None)
