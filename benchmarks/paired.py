"""The harness of the timings: programs take turns in one process, and what is printed are ratios with their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Of the time of one program to that of another over interleaved repeats: median and quartiles."""

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
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(warm_up + rounds):
        order = list(programs) if number % 2 else list(reversed(programs))
        for name in order:
            took = timed(programs[name])
            if number >= warm_up:
                seconds[name].append(took)
    return Times(seconds)
