"""A thousand evaluations in one process: does its memory grow?

    python benchmarks/flat.py [EVALUATIONS]

Trains random GeNet genomes for one epoch on a fourth of the digits, and prints the resident memory after 50 and after
all, and the largest growth since. Linux only.
"""

import sys
from pathlib import Path

import torch
from paired import sized

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.genomes.genet import DIGITS
from evonas.recipe import Recipe
from evonas.support.streams import stream
from evonas.tasks.classification import ImageClassification

SETTLED = sized(50, 2)


def resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])


def main(evaluations: int = sized(1000, 4)) -> None:
    torch.set_num_threads(1)
    task = ImageClassification(Source("digits", validation=0.75))
    training = Training(task, Recipe(epochs=1, learning_rate=0.05), seed=0)
    rng, settled, most = stream(0, "flat"), 0, 0
    for number in range(1, evaluations + 1):
        outcome = training.job(Candidate(DIGITS.random(rng), DIGITS))()
        assert not outcome.failed, outcome.error
        now = resident()
        if number <= SETTLED:
            settled = max(settled, now)
        most = max(most, now)
        if number == SETTLED or number % 250 == 0:
            print(f"after {number}: {now / 2**20:.0f} MiB, {now / settled - 1:+.1%} of the first {SETTLED}", flush=True)
    print(f"largest growth after the first {SETTLED}: {most / settled - 1:+.1%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
