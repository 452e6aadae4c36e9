"""What NAO decodes, against the cells that it goes uphill from and against random ones, at equal trainings.

    python benchmarks/nao.py ROWS.csv DATA [SEED ...]

DATA is as for `evonas search --data`; the preset is the one for its images, seeds are 0 to 4 where none are given. With
each seed the search recipe trains 20 random cells (`initial`), two rounds of ten that NAO decodes, from the ten best
so far (`decoded`), and 20 further random cells (`random`). The ten best of `initial` are chosen by the accuracy by
which they would be judged, so they are trained once more with other weights (`seeds`). Each row of ROWS.csv is one
training: its group, number, code, validation accuracy and seconds of a core. Rows that are there are not made again.
Printed are the mean and best accuracy of each group, and over the seeds what the decoded are ahead by, with standard
errors. With EVONAS_SMALL=1: one seed, and a few cells for an epoch.
"""

import csv
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from paired import sized
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.training import Training
from evonas.individual import Individual, judge
from evonas.run.problem import fitted
from evonas.strategies.nao import NAO
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification

INITIAL, BEST, NEW, ROUNDS, SEEDS = sized((20, 10, 10, 2, 5), (4, 2, 2, 1, 1))
GROUPS = ("initial", "seeds", "decoded", "random")
COLUMNS = ("data", "seed", "group", "number", "code", "operator", "accuracy", "core_s", "commit")


class Search:
    """The trainings of one seed, those of them that are rows excepted."""

    def __init__(self, data: str, seed: int, known: list[dict[str, str]]) -> None:
        task, system = ImageClassification(Source(data)), registry.system("nao")
        suited = registry.setup(system, system.preset_for(task.input_shape)).suited(task.augmentation())
        setup = fitted(suited, (task.input_shape, task.output_shape), {})
        self.data, self.seed, self.space = task.data, seed, setup.space
        self.evaluator = Training(task, setup.search.lasting(sized(setup.search.epochs, 1)), seed=seed)
        self.toolbox = system.toolbox(self.space, rng=stream(seed, "cells"))
        self.nao = NAO(self.toolbox, rng=stream(seed, "nao"), initial=INITIAL, seeds=BEST, new=NEW)
        self.known = {
            (row["group"], int(row["number"])): row
            for row in known
            if (row["data"], int(row["seed"])) == (self.data, seed)
        }

    def rows(self) -> Iterator[dict]:
        """Those that are new, in an order in which a search that was interrupted is the same as one that was not."""
        told: list[Individual] = []
        for number in range(INITIAL + ROUNDS * NEW):
            (individual,) = self.nao.generate(1)
            group = ("initial", number) if number < INITIAL else ("decoded", number - INITIAL)
            row = yield from self._row(group, individual)
            judge(individual, (float(row["accuracy"]),))
            told.append(individual)
            self.nao.update([individual])
        proposed = {tuple(each) for each in told}
        best = sorted(told[:INITIAL], key=lambda each: each.fitness, reverse=True)[:BEST]
        for number, individual in enumerate(best):
            yield from self._row(("seeds", number), Individual(individual), replicate=1)
        for number in range(ROUNDS * NEW):
            while tuple(individual := self.toolbox.individual()) in proposed:
                pass
            proposed.add(tuple(individual))
            yield from self._row(("random", number), individual)

    def _row(self, group: tuple[str, int], individual: Individual, replicate: int = 0) -> Iterator[dict]:
        code = self.space.format(individual)
        if (row := self.known.get(group)) is not None:
            if row["code"] != code:
                raise SystemExit(f"{group} of seed {self.seed} is another cell now; give a new file of rows")
            return row
        start = time.process_time()
        outcome = self.evaluator(Candidate.of(individual, self.space), replicate)
        row = {"data": self.data, "seed": self.seed, "group": group[0], "number": group[1], "code": code,
               "operator": individual.operator, "accuracy": 0.0 if outcome.failed else outcome.values[0],
               "core_s": round(time.process_time() - start, 2), "commit": commit()}  # fmt: skip
        yield row
        return row


def report(path: Path, data: str) -> None:
    """Mean and best of each group, by seed; over the seeds, the decoded against the others."""
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: {group: [] for group in GROUPS})
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["data"] == data and not (row["group"] == "decoded" and row["operator"] != "nao"):
                found[int(row["seed"])][row["group"]].append(100 * float(row["accuracy"]))
    for seed, groups in sorted(found.items()):
        shown = (
            f"{group} {statistics.fmean(values):.2f}, best {max(values):.2f} of {len(values)}"
            for group, values in groups.items()
            if values
        )
        print(f"seed {seed}: {'; '.join(shown)}")
    whole = [groups for groups in found.values() if all(groups.values())]
    for other in ("seeds", "random"):
        for called, of in (("mean", statistics.fmean), ("best", max)):
            ahead = [of(groups["decoded"]) - of(groups[other]) for groups in whole]
            error = f" ± {statistics.stdev(ahead) / len(ahead) ** 0.5:.2f}" if len(ahead) > 1 else ""
            print(f"{called} of decoded less {called} of {other}: {statistics.fmean(ahead):.2f}{error} points")


def main(rows: str, data: str, *seeds: str) -> None:
    torch.set_num_threads(1)
    with opened(Path(rows), COLUMNS) as (known, append):
        for seed in map(int, seeds or range(SEEDS)):
            search = Search(data, seed, known)
            for row in search.rows():
                append(row)
    report(Path(rows), search.data)


if __name__ == "__main__":
    main(*sys.argv[1:])
