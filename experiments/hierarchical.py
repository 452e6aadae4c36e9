"""Hierarchical representations (Liu et al. 2018, arXiv:1711.00436) in one screen: motifs of motifs, nobody dies.

    python experiments/hierarchical.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search hierarchical --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.hierarchical import HierarchicalSpace
from evonas.operators.hierarchical import toolbox
from evonas.strategies.growing_tournament import GrowingTournament
from evonas.support.streams import stream

SEED = 0
SPACE = HierarchicalSpace(channels=8, input_shape=(1, 8, 8))


def main(evaluations: int = 40, final_epochs: int = 40) -> None:
    rng = stream(SEED, "hierarchical")
    strategy = GrowingTournament(toolbox(SPACE, rng=rng), rng=rng, population=10, share=0.3)  # the paper: 200 and 0.05
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/hierarchical-experiment",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
