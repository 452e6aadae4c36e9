"""Searches over a table: queries a second of the loop beside a hand-written DEAP loop.

    python benchmarks/tables.py nasbench201.csv.gz

Aging evolution (P=100, S=25) on NAS-Bench-201, one thread. Repeats are interleaved; medians of three.
"""

import random
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from deap import base, creator
from paired import sized

from evonas.comparison.trials import read_contenders
from evonas.evaluation.table import Table, read_table
from evonas.executors import Serial
from evonas.run.budget import Budget
from evonas.run.journal import Journal, Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.support.streams import stream

REPEATS, QUERIES = sized((3, (1_000, 10_000, 100_000)), (1, (200,)))
creator.create("HandFitness", base.Fitness, weights=(1.0,))
creator.create("HandIndividual", list, fitness=creator.HandFitness)


def ours(table: Table, queries: int, *, journal: bool) -> float:
    rng = stream(0, "aging")
    (contender,) = read_contenders("aging:population=100,sample=25")
    strategy = contender.chosen.strategy(contender.chosen.tools(table.space, rng), rng)
    phase = Phase("search", strategy, table.signal(0), repeats_cost=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        kept = Journal(path, table.space.to_json(), clock=time.monotonic) if journal else Unwritten()
        start = time.perf_counter()
        Loop(kept, Serial(), 1).run(phase, Budget(queries))
        return queries / (time.perf_counter() - start)


def by_hand(table: Table, queries: int) -> float:
    """As a DEAP user would write it for this one space, with the global generator."""
    options = [decision.options for decision in table.space.decisions(next(iter(table.space.genomes())))]
    box = base.Toolbox()
    box.register("clone", lambda individual: creator.HandIndividual(individual))

    def evaluate(individual):
        return (table.signals[table.space.key(individual)][0],)

    start = time.perf_counter()
    population: deque = deque()
    history = []
    for _ in range(queries):
        if len(population) < 100:
            child = creator.HandIndividual(random.choice(each) for each in options)
        else:
            parent = max((random.choice(population) for _ in range(25)), key=lambda i: i.fitness.values[0])
            child = box.clone(parent)
            place = random.randrange(6)
            child[place] = random.choice([option for option in options[place] if option != child[place]])
        child.fitness.values = evaluate(child)
        population.append(child)
        history.append(child)
        if len(population) > 100:
            population.popleft()
    return queries / (time.perf_counter() - start)


def speeds(table: Table) -> None:
    for queries in QUERIES:
        found: dict[str, list[float]] = {"loop": [], "loop with journal": [], "hand-written DEAP": []}
        for _ in range(REPEATS):
            found["loop"].append(ours(table, queries, journal=False))
            found["loop with journal"].append(ours(table, queries, journal=True))
            found["hand-written DEAP"].append(by_hand(table, queries))
        middle = {name: statistics.median(values) for name, values in found.items()}
        ratio = middle["hand-written DEAP"] / middle["loop"]
        print(f"{queries:>7,} queries: " + ", ".join(f"{name} {value:,.0f}/s" for name, value in middle.items())
              + f"; by hand {ratio:.1f} times as fast as the loop", flush=True)  # fmt: skip


if __name__ == "__main__":
    speeds(read_table("nasbench201", Path(sys.argv[1])))
