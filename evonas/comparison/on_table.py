"""Trials of strategies on one table of trained networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from evonas.comparison.trials import NEARLY, ONE_RANDOM, Contender, Trial
from evonas.errors import UserError
from evonas.evaluation.table import Lookup, Table
from evonas.executors import Serial
from evonas.individual import Individual
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.support.streams import stream


@dataclass(frozen=True)
class Rules:
    """How a trial on a table counts, and when it ends.

    free_repeats  a network that was met before costs nothing and is no query: queries are different networks
    target        what the incumbents are shown by: `test`, their test metric, or `signal`, the signal itself
    goal          the value of an incumbent with which the trial ends; None: it goes on until the budget is spent
    """

    free_repeats: bool = False
    target: str = "test"
    goal: float | None = None


AS_PAPERS = Rules()


def queries(table: Table, budget: Budget) -> int:
    """About how many a budget of queries or seconds is worth."""
    if budget.evaluations is not None:
        return budget.evaluations
    if budget.cost_seconds is None:
        raise UserError("a search on a table has a budget of queries, or of seconds of evaluation")
    return max(1, round(budget.cost_seconds / table.mean_seconds))


class Progress:
    """The incumbents of a trial, query by query: a phase's `enough`.

    distinct   different networks after which it is enough; None: the loop counts
    """

    def __init__(self, lookup: Lookup, rules: Rules, distinct: int | None = None) -> None:
        self.lookup, self.rules, self.distinct = lookup, rules, distinct
        self.best, self.key = -math.inf, ""
        self.incumbent: list[float] = []
        self.met: set[str] = set()
        self.heard = 0

    def __call__(self, phase: Phase) -> str:
        while self.heard < len(phase.asked):  # one worker: what was asked has been told
            self._hear(phase, phase.asked[self.heard])
            self.heard += 1
        goal = self.rules.goal
        if goal is not None and self.incumbent and self.incumbent[-1] >= goal - NEARLY:
            return "the goal is reached"
        return f"{self.distinct} different networks" if self.distinct == len(self.incumbent) else ""

    def _hear(self, phase: Phase, individual: Individual) -> None:
        outcome = phase.outcomes[individual.id or 0]
        if outcome.failed:
            self.lookup(phase.candidate(individual))  # raises what the loop has written down as a failure
        key = self.lookup.key(individual)
        if self.rules.free_repeats and key in self.met:
            return
        self.met.add(key)
        table = self.lookup.table
        if outcome.values[0] > self.best:
            self.best, self.key = outcome.values[0], key
        is_test = self.rules.target == "test"
        self.incumbent.append(table.test[self.key] if is_test else table.signals[self.key][self.lookup.which])


def trial(table: Table, contender: Contender, seed: int, budget: Budget, rules: Rules = AS_PAPERS) -> Trial:
    """The signal of a trial is drawn by its seed, the same for every strategy."""
    lookup = table.signal(stream(seed, "signal").randrange(table.several))
    rng = stream(seed, contender.text)
    using = contender.chosen.planned(queries(table, budget))
    strategy = using.strategy(using.tools(table.space, rng), rng)
    distinct = budget.evaluations if rules.free_repeats else None
    progress = Progress(lookup, rules, distinct)
    phase = Phase("search", strategy, lookup, repeats_cost=not rules.free_repeats, enough=progress)
    Loop(Unwritten(), Serial(), 1).run(phase, budget if distinct is None else replace(budget, evaluations=None))
    progress(phase)
    elsewhere = {name: worth[progress.key] for name, worth in table.elsewhere.items()}
    return Trial(tuple(progress.incumbent), table.test[progress.key], elsewhere)


def one_random(table: Table, seed: int) -> Trial:
    """What a genome is worth that is drawn uniformly over genomes, without a look at its signal."""
    genome = table.space.random(stream(seed, ONE_RANDOM))
    key = table.key(genome)
    return Trial((), table.worth(genome), {name: worth[key] for name, worth in table.elsewhere.items()})


def trials(table: Table, contender: Contender, seeds: Iterable[int], budget: Budget, rules: Rules) -> list[Trial]:
    return [trial(table, contender, seed, budget, rules) for seed in seeds]


def on_table(
    table: Table,
    contenders: Sequence[Contender],
    *,
    seeds: Sequence[int],
    budget: Budget,
    rules: Rules = AS_PAPERS,
    executor: Executor | None = None,
    workers: int = 1,
) -> dict[str, list[Trial]]:
    """All trials, by the text of the contender, in the order of the seeds, which the workers of the executor share."""
    executor = executor or Serial()
    shares = [seeds[first::workers] for first in range(workers)]
    running = {
        contender.text: [executor.submit(trials, table, contender, share, budget, rules) for share in shares]
        for contender in contenders
    }
    found: dict[str, list[Trial]] = {}
    for text, futures in running.items():
        parts = [future.result() for future in futures]
        found[text] = [parts[place % workers][place // workers] for place in range(len(seeds))]
    return found
