"""What inherited weights are worth on digits: for a child, in epochs, and for a whole search.

    python benchmarks/inheritance.py [children | searches] [SEEDS] [EPOCHS]

children  a network of three convolutions is trained for 24 epochs. Of each kind (a convolution inserted or widened, a
          skip added) it has one child a seed, which is trained on from what it inherits and, beside that, from scratch:
          printed are the epochs that each takes to the parent's validation accuracy, and the ratio.
searches  Large-scale Evolution with and without inheritance until EPOCHS (6000) are spent, two workers, paired by seed.
          A third search is the paper's control: with inheritance, but parents and victims are left to chance.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import torch
from paired import sized

import evonas
from evonas.data.sources import Source
from evonas.genomes.large_scale import DNA, Filter, LargeScaleSpace, Vertex
from evonas.network import build
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.strategies.tournament import Tournament
from evonas.tasks.classification import ImageClassification
from evonas.training.train import Training, evaluate
from evonas.training.weights import inherit, saved

SPACE = LargeScaleSpace(input_shape=(1, 8, 8))
PARENT = DNA(
    0.05,
    tuple(Vertex(n, Filter(width, scale=n % 2), True) for n, width in ((1, 8.0), (2, 16.0), (3, 16.0))),
    (),
    3,
)
CHILDREN = {
    "insert-convolution": PARENT.inserted(2, Filter(16.0), True),
    "widen": PARENT.changed(2, Filter(24.0)),
    "skip": PARENT.with_skip((1, 3)),
}
TRAINED, LONGEST = sized((24, 120), (1, 2))  # epochs of the parent; after which a child is given up
RECIPE = Recipe(epochs=LONGEST, batch_size=64, learning_rate=0.05, schedule="constant", weight_decay=1e-4, crop=1)


def epochs_to(goal: float, dna: DNA, weights: bytes | None, seed: int) -> int:
    """Epochs until the validation accuracy is the goal; LONGEST where it never was."""
    splits = ImageClassification(Source("digits")).splits("cpu")
    network = build(SPACE.decode(dna.genes).simplified(training=True), seed=seed)
    inherit(network, weights)
    training = Training(network, splits.train, RECIPE, seed=seed)
    while training.epochs < LONGEST:
        training.epoch()
        if evaluate(network, splits.validation)["accuracy"] >= goal:
            break
    return training.epochs


def children(seeds: int) -> None:
    splits = ImageClassification(Source("digits")).splits("cpu")
    for kind, dna in CHILDREN.items():
        inherited, scratch = [], []
        for seed in range(seeds):
            parent = build(SPACE.decode(PARENT.genes).simplified(training=True), seed=seed)
            training = Training(parent, splits.train, RECIPE, seed=seed)
            while training.epochs < TRAINED:
                training.epoch()
            goal = evaluate(parent, splits.validation)["accuracy"]
            inherited.append(epochs_to(goal, dna, saved(parent), seed + 1000))
            scratch.append(epochs_to(goal, dna, None, seed + 1000))
        ratio = statistics.median(b / a for a, b in zip(inherited, scratch, strict=True))
        print(f"{kind}: {inherited} epochs inherited, {scratch} from scratch; {ratio:.1f} times (median)", flush=True)


def searches(seeds: int, epochs: int) -> None:
    ways = {
        "inherited": {"inherit": True},
        "from scratch": {"inherit": False},
        "no selection": {"inherit": True, "strategy": lambda toolbox, rng: Tournament(
            toolbox, rng=rng, population=40, selection=False)},
    }  # fmt: skip
    found: dict[str, list[float]] = {way: [] for way in ways}
    for seed in range(seeds):
        for way, options in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                run = evonas.search(
                    "large-scale", data="digits", budget=Budget(epochs=epochs), settings={"final.epochs": 1},
                    seed=seed, workers=sized(2, 1), out=Path(folder) / "run", progress=False, **options,
                )  # fmt: skip
                found[way].append(run.summary["winner"]["validation_accuracy"])
        print(f"seed {seed}: " + ", ".join(f"{way} {values[-1]:.2%}" for way, values in found.items()), flush=True)
    for way, values in found.items():
        print(f"{way}: mean {statistics.mean(values):.2%} ± {statistics.stdev(values):.2%}")


def main(what: str = "children", seeds: str = sized("5", "2"), epochs: str = sized("6000", "24")) -> None:
    torch.set_num_threads(1)
    if what == "children":
        children(int(seeds))
    else:
        searches(int(seeds), int(epochs))


if __name__ == "__main__":
    main(*sys.argv[1:])
