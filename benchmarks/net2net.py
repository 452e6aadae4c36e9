"""How many epochs a larger network is spared by what a smaller one has learnt (Net2Net; Chen et al. 2016,
arXiv:1511.05641).

    python benchmarks/net2net.py ROWS.csv DATA [SEED ...]

A teacher, a chain of three convolutions, is trained for EPOCHS epochs; then a student with twice its channels, or with
twice its layers. A row of ROWS.csv is one student. It begins as the teacher's function (net2net: copies, extend: new
channels that count as nothing, as in NASH), with the teacher's weights beside drawn ones (pad, the paper's control), or
with drawn weights alone (scratch). It is trained by a cosine of EPOCHS epochs or of half as many, from a share of the
teacher's learning rate on: a tenth, as in the paper, or half of it; from scratch all of it. Its accuracies on the
validation split are those before training and after each epoch. Pictures are shrunk to SIZE x SIZE where they are
larger. Seeds are 0 to 4 where none are given. Rows that are there are not made again. At the end: how far each ends
from the student that had EPOCHS epochs from scratch. With EVONAS_SMALL=1: a few epochs.
"""

import csv
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rows import commit, opened

from evonas.data.sources import Source
from evonas.genomes.edits import EditSpace
from evonas.morphisms import parsed
from evonas.morphisms.rewrite import Heritage, Rewrite
from evonas.morphisms.weights import inherited
from evonas.network import build
from evonas.recipe import Recipe
from evonas.support.streams import number, stream
from evonas.tasks.classification import ImageClassification
from evonas.training.train import Training, evaluate

SMALL = bool(os.environ.get("EVONAS_SMALL"))
EPOCHS = 2 if SMALL else 15
SIZE = 16
TEACHER = "conv16-pool-conv32-pool-conv32-mean"
WIDER = ("widen:conv1.conv:32", "widen:conv3.conv:64", "widen:conv5.conv:64")
DEEPER = ("deepen:conv1.relu:3", "deepen:conv3.relu:3", "deepen:conv5.relu:3")
FORMS = {"wider": WIDER, "deeper": DEEPER}
HALF = EPOCHS // 2
WHOLE = ("scratch", 1.0, EPOCHS)
ARMS = (  # beginning, share of the learning rate, epochs
    WHOLE, ("scratch", 1.0, HALF), ("net2net", 0.1, HALF), ("net2net", 0.5, HALF), ("extend", 0.5, HALF),
    ("pad", 0.5, HALF), ("net2net", 0.1, EPOCHS), ("net2net", 0.5, EPOCHS), ("pad", 0.1, EPOCHS), ("pad", 0.5, EPOCHS),
)  # fmt: skip
NOISE = 0.01  # of copies, as a share of the deviation of their weights
COLUMNS = (
    "data",
    "form",
    "begins",
    "rate",
    "epochs",
    "seed",
    "parameters",
    "teacher",
    "accuracies",
    "core_s",
    "commit",
    "load",
)


def drawn(rewrite: Rewrite) -> Rewrite:
    """The same where what is inserted is drawn: another function."""
    sources = {path: replace(source, identity=False) for path, source in rewrite.sources.items()}
    return Rewrite(rewrite.graph, sources)


def heritage(graph, form: str, begins: str, seed: int) -> Heritage:
    rng, rewrites = stream(seed, "edits"), []
    for text in FORMS[form]:
        kind = begins if begins in ("pad", "extend") else "widen"
        rewrite = parsed(text.replace("widen", kind)).apply(graph, rng)
        rewrites.append(drawn(rewrite) if begins == "pad" else rewrite)
        graph = rewrite.graph
    return Heritage(tuple(rewrites), FORMS[form], NOISE * (begins == "net2net"))


def curve(network, splits, recipe: Recipe, seed: int) -> list[float]:
    training = Training(network, splits.train, recipe, seed=seed)
    values = [evaluate(network, splits.validation)["accuracy"]]
    while training.epochs < recipe.epochs:
        training.epoch()
        values.append(evaluate(training.judged, splits.validation)["accuracy"])
    return values


def main(rows: str, data: str = "digits", *seeds: str) -> None:
    torch.set_num_threads(1)
    side = ImageClassification(Source(data)).input_shape[1]
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["form"], row["begins"], float(row["rate"]), int(row["epochs"]), int(row["seed"]))
                for row in known}  # fmt: skip
        for seed in map(int, seeds or range(1 if SMALL else 5)):
            missing = [(form, *arm) for form in FORMS for arm in ARMS if (name, form, *arm, seed) not in made]
            if not missing:
                continue
            task = ImageClassification(Source(data, size=SIZE if side > SIZE else None, seed=seed))
            splits = task.splits("cpu")
            recipe = Recipe(epochs=EPOCHS, batch_size=64, learning_rate=0.1, weight_decay=5e-4, warmup=1,
                            **task.augmentation())  # fmt: skip
            space = EditSpace(TEACHER, input_shape=task.input_shape, outputs=task.output_shape[0])
            graph = space.decode(space.parse("start"))
            teacher = build(graph, seed=seed)
            taught = curve(teacher, splits, recipe, number(seed, "teacher"))[-1]
            batch = next(splits.train[:64].batches())[0]
            for form, begins, rate, epochs in missing:
                load, start = os.getloadavg()[0], time.process_time()
                come = heritage(graph, form, begins, seed)
                student = build(come.rewrites[-1].graph, seed=number(seed, "student"))
                if begins != "scratch":
                    weights, _ = inherited(come, teacher.state_dict(), lambda graph: build(graph, seed=1), batch,
                                           torch.Generator().manual_seed(seed))  # fmt: skip
                    student.load_state_dict(weights)
                own = replace(recipe.lasting(epochs), learning_rate=rate * recipe.learning_rate)
                values = curve(student, splits, own, number(seed, "training"))
                append({
                    "data": name, "form": form, "begins": begins, "rate": rate, "epochs": epochs, "seed": seed,
                    "parameters": come.rewrites[-1].graph.parameters, "teacher": round(taught, 4),
                    "accuracies": " ".join(f"{value:.4f}" for value in values),
                    "core_s": round(time.process_time() - start, 1), "commit": commit(), "load": round(load, 2),
                })  # fmt: skip
    report(Path(rows), name)


def report(path: Path, data: str) -> None:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["data"] == data]
    for form in FORMS:
        ends = {
            arm: {row["seed"]: 100 * float(row["accuracies"].split()[-1]) for row in rows if row["form"] == form
                  and (row["begins"], float(row["rate"]), int(row["epochs"])) == arm}
            for arm in ARMS
        }  # fmt: skip
        for (begins, rate, epochs), of in ends.items():
            beside = [value - ends[WHOLE][seed] for seed, value in of.items() if seed in ends[WHOLE]]
            if beside:
                error = f" ± {statistics.stdev(beside) / len(beside) ** 0.5:.2f}" if len(beside) > 1 else ""
                print(
                    f"{data}, {form}, {begins} at {rate:g}, {epochs} epochs: {statistics.fmean(of.values()):.2f} % "
                    f"of {len(of)} seeds, {statistics.fmean(beside):+.2f}{error} beside {WHOLE[-1]} from scratch"
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
