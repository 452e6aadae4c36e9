"""Regularized evolution (Real et al. 2019, arXiv:1802.01548) in one screen: NASNet cells, and the oldest dies.

    python experiments/amoebanet.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search amoebanet --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.nasnet import NASNetSpace
from evonas.operators.amoebanet import toolbox
from evonas.strategies.aging import AgingEvolution
from evonas.support.streams import stream

SEED = 0
SPACE = NASNetSpace(normals=1, channels=8, input_shape=(1, 8, 8))  # N, F


def main(evaluations: int = 40, final_epochs: int = 40) -> None:
    rng = stream(SEED, "amoebanet")
    strategy = AgingEvolution(toolbox(SPACE, rng=rng, identity=0.05), rng=rng, population=10, sample=5)  # P, S
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/amoebanet-experiment",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
