"""What a second worker brings where genomes are judged by the weights of one supernet, and what each worker takes.

    python benchmarks/shared_workers.py [DATA [GENOMES [ROUNDS]]]

A small supernet (NAS-Bench-201's cells, eight channels) is trained for an epoch. Then GENOMES random genomes (60 by
default) are judged by one worker and by two, in turn, ROUNDS times (5), after each worker has opened the supernet. The
median of the paired ratios of evaluations a second, and the peak memory of a worker. On a quiet machine. With
EVONAS_SMALL=1: digits, few genomes.
"""

import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

import evonas
from evonas.evaluation import Decoder
from evonas.executors import Equipment, open_executor
from evonas.individual import Individual
from evonas.run.budget import Budget
from evonas.run.journal import Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.supernet import FOLDER, SharedSearch
from evonas.strategies.first import First
from evonas.support.streams import stream

SMALL = bool(os.environ.get("EVONAS_SMALL"))
WARM = 6  # genomes before the clock starts


def judged(shared, space, executor, workers: int, count: int, seed: int) -> tuple[float, set[int]]:
    """Seconds, and the processes that have judged."""
    rng = stream(seed, "genomes")
    phase = Phase("judged", First([Individual(space.random(rng)) for _ in range(count)]), shared, Decoder(space))
    start = time.monotonic()
    Loop(Unwritten(), executor, workers).run(phase, Budget())
    took = time.monotonic() - start
    assert not any(outcome.failed for outcome in phase.outcomes.values())
    return took, {int(re.search(r"\d+", outcome.worker)[0]) for outcome in phase.outcomes.values()}


def peak(process: int) -> float:
    """MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def main(data: str = "digits", genomes: str = "60", rounds: str = "5") -> None:
    torch.set_num_threads(1)
    count, times = (8, 2) if SMALL else (int(genomes), int(rounds))
    with tempfile.TemporaryDirectory() as place:
        run = evonas.search(
            "nasbench201", data, supernet="uniform", strategy="random", budget=1, workers=1, progress=False,
            settings={"space.channels": 8, "space.cells": 1, "search.epochs": 1, "final.epochs": 1},
            out=Path(place) / "run",
        )  # fmt: skip
        search = SharedSearch(run.problem, run.config, run.directory)
        (search.file,) = (run.directory / FOLDER).glob("*")
        shared = search.evaluator()
        executors = {workers: open_executor("processes", workers, Equipment()) for workers in (1, 2)}
        seen: set[int] = set()
        for workers, executor in executors.items():
            seen |= judged(shared, run.space, executor, workers, WARM, 0)[1]
        ratios, speeds = [], {1: [], 2: []}
        for turn in range(times):
            took = {}
            for workers in (1, 2) if turn % 2 else (2, 1):
                took[workers], some = judged(shared, run.space, executors[workers], workers, count, turn + 1)
                speeds[workers].append(count / took[workers])
                seen |= some
            ratios.append(took[1] / took[2])
        memory = max(map(peak, seen))
        for executor in executors.values():
            executor.shutdown()
    print(f"{Path(data).stem}: one worker {statistics.median(speeds[1]):.1f} genomes a second, two "
          f"{statistics.median(speeds[2]):.1f}; ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f}); a worker takes {memory:.0f} MiB at its peak")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
