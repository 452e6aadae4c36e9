"""How busy strategies keep many workers: evonas's own loop over a simulated clock, evaluation times lognormal.

    python benchmarks/utilisation.py

Utilisation: time in evaluations over workers times the whole time, its end included, where workers run out of work.
Random search never waits for a result: nothing can be better. The limit is 0.95 for aging evolution at 64 workers and
sigma 0.5.
"""

import heapq
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from random import Random
from typing import Any

import numpy as np
from paired import sized

from evonas.evaluation import Candidate, Evaluator, Outcome
from evonas.genomes.genet import SMALL
from evonas.individual import Toolbox
from evonas.operators import by_decision, genet
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.strategies import Strategy
from evonas.strategies.aging import AgingEvolution
from evonas.strategies.genet import GeNet
from evonas.strategies.random_search import RandomSearch

EACH, WORKERS = sized((50, (8, 64, 1000)), (2, (2, 4, 8)))  # evaluations for each worker


class Simulation(Executor):
    """Workers whose evaluations take as long as their outcomes say, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self._running: list[tuple[float, int, Future, Outcome]] = []
        self._count = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        outcome = fn(*args, **kwargs)
        self._count += 1
        heapq.heappush(self._running, (self.now + outcome.seconds, self._count, future, outcome))
        return future

    def wait(self, futures: Iterable[Future], return_when: str = "") -> tuple[set[Future], set[Future]]:
        """The clock goes on to the next end of an evaluation."""
        self.now, _, future, outcome = heapq.heappop(self._running)
        future.set_result(outcome)
        return {future}, set()


class Lasts(Evaluator):
    """Worth the number of ones; takes lognormal time with mean 1."""

    def __init__(self, sigma: float) -> None:
        self.sigma, self.rng = sigma, np.random.default_rng(0)

    def identity(self, candidate: Candidate) -> str:
        return "".join(map(str, candidate.genome))

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        return Outcome((sum(candidate.genome),), seconds=float(self.rng.lognormal(-(self.sigma**2) / 2, self.sigma)))


def toolbox() -> tuple[Toolbox, Random]:
    rng = Random(0)
    return by_decision.toolbox(SMALL, rng=rng), rng


def generational(workers: int) -> Strategy:
    rng = Random(0)
    roles = genet.toolbox(SMALL, rng=rng, stage_swap_rate=0.2, bit_flip_rate=0.05)
    return GeNet(roles, rng=rng, population=workers, crossover_rate=0.2, mutation_rate=0.8)


def aging(workers: int) -> Strategy:
    roles, rng = toolbox()
    return AgingEvolution(roles, rng=rng, population=100, sample=25)


def random(workers: int) -> Strategy:
    return RandomSearch(toolbox()[0])


def utilisation(strategy: Strategy, workers: int, sigma: float) -> float:
    simulation, lasts = Simulation(), Lasts(sigma)
    phase = Phase("search", strategy, lasts, repeats_cost=True)
    loop = Loop(Unwritten(clock=lambda: simulation.now), simulation, workers, wait=simulation.wait)
    loop.run(phase, Budget(EACH * workers))
    return phase.seconds / (workers * simulation.now)


def main() -> None:
    strategies = {"GeNet, population = workers": generational, "aging evolution (100, 25)": aging, "random": random}
    first, *others = (f"{workers:,}" for workers in WORKERS)
    print(f"| strategy | sigma | {first} workers | {' | '.join(others)} |\n|---|---|---|---|---|")
    for name, make in strategies.items():
        for sigma in (0.5, 1.0):
            found = (f"{utilisation(make(workers), workers, sigma):.3f}" for workers in WORKERS)
            print(f"| {name} | {sigma} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
