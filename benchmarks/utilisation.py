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
from deap import base

from evonas.evaluation import Genome, Outcome
from evonas.genomes.genet import SMALL
from evonas.operators import by_decision, genet
from evonas.run.journal import Unwritten
from evonas.run.loop import Budget, Loop, Part
from evonas.strategies import Strategy
from evonas.strategies.aging import AgingEvolution
from evonas.strategies.genet import GeNet
from evonas.strategies.random_search import RandomSearch

EACH = 50  # evaluations for each worker


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


class Lasts:
    """Worth the number of ones; takes lognormal time with mean 1."""

    def __init__(self, sigma: float) -> None:
        self.sigma, self.rng = sigma, np.random.default_rng(0)

    def key(self, genome: Genome) -> str:
        return "".join(map(str, genome))

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        return Outcome((sum(genome),), seconds=float(self.rng.lognormal(-(self.sigma**2) / 2, self.sigma)))


def toolbox() -> tuple[base.Toolbox, Random]:
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
    part = Part("search", strategy, lambda _: lasts, repeats_cost=True)
    loop = Loop(Unwritten(clock=lambda: simulation.now), simulation, workers, wait=simulation.wait)
    loop.run(part, Budget(EACH * workers))
    return part.seconds / (workers * simulation.now)


def main() -> None:
    strategies = {"GeNet, population = workers": generational, "aging evolution (100, 25)": aging, "random": random}
    print("| strategy | sigma | 8 workers | 64 | 1,000 |\n|---|---|---|---|---|")
    for name, make in strategies.items():
        for sigma in (0.5, 1.0):
            found = (f"{utilisation(make(workers), workers, sigma):.3f}" for workers in (8, 64, 1000))
            print(f"| {name} | {sigma} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
