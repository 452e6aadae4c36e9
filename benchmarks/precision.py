"""bfloat16 autocast against float32: time and test accuracy of the hand-written network, paired by seed; one thread.

    python benchmarks/precision.py [cifar10 | FILE.npz] [EPOCHS]

Prints, for each of five seeds, both test accuracies and the ratio of the training times bfloat16 / float32.
"""

import statistics
import sys
import time

import torch
from paired import sized

from evonas.data.sources import Source
from evonas.genomes import residual
from evonas.network import build
from evonas.recipe import Recipe
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import evaluate

SEEDS = sized(5, 1)


def main() -> None:
    torch.set_num_threads(1)
    source = Source(sys.argv[1] if len(sys.argv) > 1 else sized("cifar10", "digits"))
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else sized(10, 2)
    recipe = Recipe(epochs=epochs, batch_size=64, learning_rate=0.05, warmup=1, crop=4, flip=True)
    task = ImageClassification(source)
    splits = task.splits("cpu")
    graph = residual.reference(task.input_shape, *task.output_shape).decode(())
    ratios, found = [], {"float32": [], "bfloat16": []}
    for seed in range(SEEDS):
        took = {}
        for precision in ("float32", "bfloat16") if seed % 2 else ("bfloat16", "float32"):
            network = build(graph, seed=seed)
            start = time.perf_counter()
            train(network, splits.whole, recipe, seed=seed, precision=precision)
            took[precision] = time.perf_counter() - start
            found[precision].append(evaluate(network, splits.test, precision=precision)["accuracy"])
        ratios.append(took["bfloat16"] / took["float32"])
        print(f"seed {seed}: bfloat16 {found['bfloat16'][-1]:.2%}, float32 {found['float32'][-1]:.2%}, "
              f"{ratios[-1]:.2f} of the time", flush=True)  # fmt: skip
    means = {precision: statistics.mean(values) for precision, values in found.items()}
    print(f"mean: bfloat16 {means['bfloat16']:.2%}, float32 {means['float32']:.2%}; "
          f"median {statistics.median(ratios):.2f} of the time")  # fmt: skip


if __name__ == "__main__":
    main()
