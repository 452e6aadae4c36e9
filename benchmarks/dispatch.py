"""What is lost between evaluations: 60 sleeps (lognormal, sigma 0.5, mean 200 ms), steady state, on 2 workers.

    python benchmarks/dispatch.py

Prints the time over half the sum of the sleeps: with local processes, and with SCOOP (-n 3: two workers and the root)
as evonas drives it, beside SCOOP's own `futures.map` in the same SCOOP run. The limit is 1.05.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from paired import sized

from evonas.evaluation import Function, Genome
from evonas.executors import Processes, Scoop
from evonas.individual import Individual
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.strategies.first import First

REPEATS, SLEEPS, MEAN, SIGMA, WORKERS = sized(5, 1), sized(60, 4), 0.2, 0.5, 2


def sleeps(repeat: int) -> list[float]:
    return list(np.random.default_rng(repeat).lognormal(np.log(MEAN) - SIGMA**2 / 2, SIGMA, SLEEPS))


def sleep_for(seconds: Sequence[float], genome: Genome) -> float:
    time.sleep(seconds[genome[0]])
    return 0.0


def search(executor: Executor, seconds: list[float]) -> None:
    proposals = First([Individual((n,)) for n in range(SLEEPS)])
    phase = Phase("search", proposals, Function(partial(sleep_for, seconds)))
    Loop(Unwritten(), executor, WORKERS).run(phase, Budget(SLEEPS))


def shown(name: str, run: Callable[[list[float]], object]) -> None:
    ratios = []
    for repeat in range(REPEATS):
        seconds = sleeps(repeat)
        start = time.perf_counter()
        run(seconds)
        ratios.append((time.perf_counter() - start) / (sum(seconds) / WORKERS))
    print(f"{name}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


def warm(executor: Executor) -> None:
    """Workers have started."""
    for future in [executor.submit(time.sleep, 1.0) for _ in range(WORKERS)]:
        future.result()


def with_processes() -> None:
    executor = Processes(WORKERS)
    warm(executor)
    shown("evonas, processes", partial(search, executor))
    executor.shutdown()


def with_scoop() -> None:
    from scoop import futures

    list(futures.map(time.sleep, [0.5] * 6))
    shown("SCOOP's futures.map", lambda seconds: list(futures.map(time.sleep, seconds)))
    executor = Scoop()  # takes SCOOP's workers for the rest of the run
    warm(executor)
    shown("evonas, SCOOP", partial(search, executor))
    executor.shutdown()


if __name__ == "__main__":
    if "--inside" in sys.argv:
        with_scoop()
    else:
        with_processes()
        command = [sys.executable, "-m", "scoop", "-q", "-n", str(WORKERS + 1), __file__, "--inside"]
        subprocess.run(command, check=True)
