"""The harness of the timings: programs take turns, in one process or each in its own, and what is printed are ratios
with their spread.

With EVONAS_SMALL=1 in the environment every benchmark has its smallest size, which shows in seconds that it runs, and
measures nothing (tests/benchmarks/test_benchmarks_run.py).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Anything = TypeVar("Anything")


def sized(usual: Anything, small: Anything) -> Anything:
    """The usual size of a benchmark, or its smallest one."""
    return small if os.environ.get("EVONAS_SMALL") else usual


@dataclass(frozen=True)
class Ratio:
    """How long one program takes over how long another takes, in interleaved repeats: median and quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Times:
    """Seconds of each program in each round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def total(self, name: str) -> float:
        return sum(self.seconds[name])

    def ratio(self, one: str, other: str) -> Ratio:
        """The time of one in that of the other, round by round."""
        found = [a / b for a, b in zip(self.seconds[one], self.seconds[other], strict=True)]
        if len(found) < 2:
            return Ratio(found[0], found[0], found[0])
        low, median, high = statistics.quantiles(found, n=4)
        return Ratio(median, low, high)


def timed(program: Callable[[], object]) -> float:
    start = time.perf_counter()
    program()
    return time.perf_counter() - start


def interleaved(programs: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> Times:
    """Run all programs in turn, `rounds` times after the warm-up, in reverse order every other time: none has the
    advantage of its place."""
    return _in_turn(
        {name: lambda program=program: timed(program) for name, program in programs.items()}, rounds, warm_up
    )


def interleaved_processes(
    programs: Mapping[str, tuple[Sequence[str], Mapping[str, str]]], *, rounds: int, warm_up: int = 1
) -> Times:
    """The same for programs that need an environment of their own: for each, the arguments of Python and variables.

    A program says "ready" when it is, and runs once for each line of its input (`serve`).
    """
    processes = {
        name: subprocess.Popen([sys.executable, *arguments], env=os.environ | dict(variables), text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name, (arguments, variables) in programs.items()
    }  # fmt: skip
    try:
        for name, process in processes.items():
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{name} ended before it was ready")
        return _in_turn({name: lambda process=process: _asked(process) for name, process in processes.items()}, rounds,
                        warm_up)  # fmt: skip
    finally:
        for process in processes.values():
            process.stdin.close()
            process.wait()


def serve(program: Callable[[], object]) -> None:
    """The other side of `interleaved_processes`: seconds of the program, once a line."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(timed(program), flush=True)


def _asked(process: subprocess.Popen[str]) -> float:
    process.stdin.write("once\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _in_turn(timings: Mapping[str, Callable[[], float]], rounds: int, warm_up: int) -> Times:
    seconds: dict[str, list[float]] = {name: [] for name in timings}
    for number in range(warm_up + rounds):
        order = list(timings) if number % 2 else list(reversed(timings))
        for name in order:
            took = timings[name]()
            if number >= warm_up:
                seconds[name].append(took)
    return Times(seconds)
