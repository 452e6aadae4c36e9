"""What each part of the final recipe is worth: the reference network, with one change at a time.

    python benchmarks/recipes.py ROWS.csv DATA [SEED ...] [-- VARIANT ...]

DATA is as for `evonas search --data`. Each row of ROWS.csv is one training: data, variant, seed, epochs, the images on
which it was judged, accuracy, seconds of a core, precision, commit, load of the machine before it. Seeds from 100 on
are for choosing: they train on the training images and are judged on the validation images. Those below train on all
but the test images and are judged on these: for reporting what was chosen. Rows that are there are not made again.
Without VARIANTs all are tried; without SEEDs, 100 to 102. At the end the mean of each variant is printed, and by how
much it differs from the recipe itself, paired by seed. With EVONAS_SMALL=1: two variants on 300 digits, for an epoch.
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
from evonas.genomes.residual import reference
from evonas.network import build
from evonas.recipe import DIGITS_FINAL, SMALL_FINAL, Recipe
from evonas.support.device import choose_precision
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

COLUMNS = ("data", "variant", "seed", "epochs", "judged_on", "accuracy", "core_s", "precision", "commit", "load")
CHOOSING = 100  # the first of the seeds by which a recipe is chosen


def variants(recipe: Recipe, side: int) -> dict[str, Recipe]:
    """The recipe and its neighbours, each with one change."""
    smaller = {"batch_size": recipe.batch_size // 2, "learning_rate": recipe.learning_rate / 2}
    return {
        "as it is": recipe,
        "a third of the epochs": recipe.lasting(recipe.epochs // 3),
        "twice the epochs": recipe.lasting(2 * recipe.epochs),
        "warm-up of a tenth": replace(recipe, warmup=recipe.epochs / 10),
        "half the batch, half the rate": replace(recipe, **smaller),
        "half the rate": replace(recipe, learning_rate=recipe.learning_rate / 2),
        "twice the rate": replace(recipe, learning_rate=recipe.learning_rate * 2),
        "no label smoothing": replace(recipe, label_smoothing=0.0),
        "no crops": replace(recipe, crop=0),
        "mirrored" if not recipe.flip else "not mirrored": replace(recipe, flip=not recipe.flip),
        "cutout of a quarter": replace(recipe, cutout=side // 4),
        "a fifth of the weight decay": replace(recipe, weight_decay=recipe.weight_decay / 5),
        "twice the weight decay": replace(recipe, weight_decay=recipe.weight_decay * 2),
        "averaged weights, .99": replace(recipe, average=0.99),
        "averaged weights, .998": replace(recipe, average=0.998),
        "no clipping": replace(recipe, clip_norm=0.0),
        "as before: 20 epochs of 64 at .05": Recipe(
            epochs=20, batch_size=64, learning_rate=0.05, warmup=1, crop=recipe.crop, flip=recipe.flip
        ),
    }


def one(task: ImageClassification, recipe: Recipe, seed: int, precision: str) -> tuple[float, float]:
    """Accuracy on the validation or test images, as the seed says, and seconds of a core."""
    splits = task.splits("cpu")
    images, judges = (splits.train, splits.validation) if seed >= CHOOSING else (splits.whole, splits.test)
    images = images[:300] if os.environ.get("EVONAS_SMALL") else images
    network = build(reference(task.input_shape, *task.output_shape).decode(()), seed=seed)
    start = time.process_time()
    train(network, images, recipe, seed=seed, precision=precision)
    took = time.process_time() - start
    return evaluate(network, judges, precision=precision)["accuracy"], took


def main(rows: str, data: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    words = [*arguments, "--"]
    seeds = [int(word) for word in words[: words.index("--")]] or [CHOOSING + each for each in range(3)]
    task = ImageClassification(Source(data))
    side = min(task.input_shape[1:])
    recipe = replace(DIGITS_FINAL if side < 16 else SMALL_FINAL, **task.augmentation())
    tried = variants(recipe, side)
    wanted = list(arguments[words.index("--") + 1 :]) or list(tried)
    if os.environ.get("EVONAS_SMALL"):
        tried = {name: each.lasting(1) for name, each in tried.items()}
        wanted, seeds = ["as it is", "no crops"], [CHOOSING]
    graph = reference(task.input_shape, *task.output_shape).decode(())
    precision = choose_precision("auto", "cpu", lambda: graph)
    name = Path(data).stem
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["data"], row["variant"], int(row["seed"])) for row in known}
        for variant in wanted:
            for seed in seeds:
                if (name, variant, seed) in made:
                    continue
                load = os.getloadavg()[0]
                accuracy, took = one(task, tried[variant], seed, precision)
                append(
                    {
                        "data": name, "variant": variant, "seed": seed, "epochs": tried[variant].epochs,
                        "judged_on": "validation" if seed >= CHOOSING else "test",
                        "accuracy": accuracy, "core_s": round(took, 1), "precision": precision, "commit": commit(),
                        "load": round(load, 2),
                    }
                )  # fmt: skip
    report(Path(rows), name)


def report(rows: Path, data: str) -> None:
    """The mean of each variant, and its mean difference from the recipe itself over the seeds that both have."""
    with rows.open() as file:
        found = [row for row in csv.DictReader(file) if row["data"] == data]
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row in found:
        values.setdefault((row["judged_on"], row["variant"]), {})[row["seed"]] = 100 * float(row["accuracy"])
    for (images, variant), by_seed in values.items():
        base = values.get((images, "as it is"), {})
        pairs = [by_seed[seed] - base[seed] for seed in by_seed if seed in base]
        spread = f" ± {statistics.stdev(pairs) / len(pairs) ** 0.5:.2f}" if len(pairs) > 1 else ""
        against = f"{statistics.mean(pairs):+.2f}{spread}" if pairs and variant != "as it is" else ""
        each = ", ".join(f"{value:.2f}" for value in by_seed.values())
        print(f"{data}, {images}: {variant}: {statistics.mean(by_seed.values()):.2f} % ({each}) {against}")


if __name__ == "__main__":
    main(*sys.argv[1:])
