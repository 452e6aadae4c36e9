"""How small N2N makes a network, and whether its policies are worth it: beside random genomes and uniform shrinking.

    python benchmarks/n2n.py ROWS.csv DATA [SEED ...] [-- WAY ...]

The teacher is the residual network by hand, trained on the training split by the final recipe of the preset; DATA as
for `evonas search --data`. A row is one way and one seed (0 to 2 by default): ROLLOUTS networks, each trained by the
search recipe, which learns the teacher's logits; those that come again are not trained again. The ways: `n2n`, its two
policies (or with settings, `n2n:removal=0,min_relative=0.97`); `random`, genomes drawn decision by decision from the
same space; `uniform`, the channels of all layers times one factor, of as many as there are rollouts. A row has the best
reward C (2 - C) R_a with its compression C and its relative accuracy R_a, both on the validation split; then C of the
most compressed network with R_a of at least GOOD, and which rollout was the first with C of at least .8 and such an
R_a. Rows that are there are not made again. With EVONAS_SMALL=1: a few rollouts of an epoch.
"""

import csv
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from rows import commit, opened

from evonas.data.sources import Source
from evonas.evaluation import Candidate
from evonas.evaluation.evaluator import Job
from evonas.evaluation.teacher import Teacher, packed
from evonas.evaluation.training import Training
from evonas.genomes.n2n import N2NSpace
from evonas.genomes.start import GivenGraph
from evonas.graph import GraphError
from evonas.individual import Individual
from evonas.run.problem import fitted
from evonas.strategies.rewards import DEGENERATE, compression
from evonas.support.files import checksum
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.tasks.classification import ImageClassification

SMALL = bool(os.environ.get("EVONAS_SMALL"))
ROLLOUTS = 2 if SMALL else 100
WAYS = ("n2n", "random", "uniform")
GOOD, TARGET = 0.97, 0.8
COLUMNS = (
    "data", "way", "seed", "teacher", "rollouts", "trained", "reward", "compression", "relative", "good_compression",
    "first", "core_s", "commit", "load",
)  # fmt: skip


def taught(task: ImageClassification, space: N2NSpace, recipe: object, seed: int, folder: Path) -> Teacher:
    """The teacher of a seed."""
    graph = space.whole
    only = GivenGraph.of(graph)
    outcome = Training(task, recipe, seed, ("accuracy",))(Candidate((), only, keeps=True))
    content = packed(outcome.weights, graph, outcome.values[0], task.preprocessing())
    file = folder / f"{checksum(content)}.safetensors"
    file.write_bytes(content)
    return Teacher.read(file)


def proposals(way: str, setup: object, teacher: Teacher, seed: int) -> Iterator[tuple[N2NSpace, Individual, object]]:
    """Individuals, each with its space and the strategy that is to hear of it."""
    space, rng = setup.space, stream(seed, way)
    if way == "uniform":
        fine = replace(space, multipliers=tuple((step + 1) / ROLLOUTS for step in range(ROLLOUTS)))
        for width in fine.multipliers:
            yield fine, Individual(fine.smaller(width)), None
        return
    name, _, settings = way.partition(":")
    chosen = setup.strategy if name == "n2n" else registry.chosen("random", setup.strategy.toolbox)
    if name == "n2n":
        given = {key: float(value) for key, value in (each.split("=") for each in settings.split(",") if each)}
        chosen = chosen.having(evaluations=ROLLOUTS + 1, **given)  # the last one repeats the best
    strategy = chosen.strategy(chosen.tools(space, rng), rng)
    if name == "n2n":
        strategy.prepare(type("Bench", (), {"teacher": teacher}))
    for _ in range(ROLLOUTS):
        (individual,) = strategy.generate(1)
        yield space, individual, strategy


def measured(task: ImageClassification, setup: object, teacher: Teacher, way: str, seed: int) -> dict:
    start = time.process_time()
    evaluator = Training(task, setup.search, seed, ("accuracy",), teacher=teacher)
    known: dict[str, tuple[float, ...]] = {}
    found = []
    for space, individual, strategy in proposals(way, setup, teacher, seed):
        candidate = Candidate(tuple(individual), space)
        try:
            key = evaluator.identity(candidate)
        except GraphError as error:  # it cannot be, and its training says so
            key = str(error)
        if key not in known:
            known[key] = Job(evaluator, candidate)().values
        if known[key]:
            spared = 1 - candidate.graph.parameters / teacher.graph.parameters
            relative = known[key][0] / teacher.value
            found.append((compression(1 - spared, relative), spared, relative))
            individual.fitness.values = known[key]
        else:
            found.append((DEGENERATE, 0.0, 0.0))
        if strategy is not None:
            strategy.update([individual])
    best = max(found)
    good = [spared for _, spared, relative in found if relative >= GOOD]
    first = next((n for n, (_, spared, relative) in enumerate(found, 1) if spared >= TARGET and relative >= GOOD), "")
    return {
        "teacher": round(teacher.value, 4),
        "rollouts": len(found),
        "trained": len(known),
        "reward": round(best[0], 4),
        "compression": round(best[1], 4),
        "relative": round(best[2], 4),
        "good_compression": round(max(good), 4) if good else "",
        "first": first,
        "core_s": round(time.process_time() - start, 1),
    }


def main(rows: str, data: str, *words: str) -> None:
    torch.set_num_threads(1)
    words = (*words, "--")
    seeds, asked = words[: words.index("--")], words[words.index("--") + 1 : -1] or WAYS
    name, system = Path(data).stem, registry.system("n2n")
    with opened(Path(rows), COLUMNS) as (known, append), tempfile.TemporaryDirectory() as folder:
        made = {(row["data"], row["way"], int(row["seed"])) for row in known}
        for seed in map(int, seeds or range(1 if SMALL else 3)):
            ways = [way for way in asked if (name, way, seed) not in made]
            if not ways:
                continue
            task = ImageClassification(Source(data, seed=seed)).identified()
            shapes = (task.input_shape, task.output_shape)
            suited = registry.setup(system, system.preset_for(task.input_shape)).suited(task.augmentation())
            setup = fitted(suited, shapes, {"search.epochs": 1, "final.epochs": 1} if SMALL else {})
            final = setup.final.by_labels()
            teacher = taught(task, setup.space, final.lasting(final.epochs), seed, Path(folder))
            for way in ways:
                load = os.getloadavg()[0]
                append({"data": name, "way": way, "seed": seed} | measured(task, setup, teacher, way, seed)
                       | {"commit": commit(), "load": round(load, 2)})  # fmt: skip
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    for way in dict.fromkeys(row["way"] for row in rows):
        of = [row for row in rows if row["way"] == way]
        mean = {name: statistics.fmean(float(row[name]) for row in of) for name in COLUMNS[6:9]}
        reached = sum(row["first"] != "" for row in of)
        print(f"{way}: reward {mean['reward']:.4f} (C {mean['compression']:.3f}, R_a {mean['relative']:.3f}); "
              f"C >= {TARGET} with R_a >= {GOOD} in {reached} of {len(of)} seeds")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
