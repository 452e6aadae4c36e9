"""Genetic CNN (Xie and Yuille 2017, arXiv:1703.01513) in one screen: binary strings evolve on handwritten digits.

    python experiments/genet.py [EVALUATIONS] [FINAL_EPOCHS]

As it stands it takes about half a minute on two cores; run again, it goes on where it stopped. To go further, change
the space (`evonas.genomes.genet` has the paper's MNIST and CIFAR10), the data, the recipe, or a role of the toolbox.
"""

import sys

import evonas
from evonas.genomes.genet import DIGITS
from evonas.operators.genet import toolbox
from evonas.strategies.genet import GeNet
from evonas.support.streams import stream

SEED = 0


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    rng = stream(SEED, "genet")
    roles = toolbox(DIGITS, rng=rng, stage_swap_rate=0.2, bit_flip_rate=0.1)  # q_C, q_M: a DEAP toolbox
    strategy = GeNet(roles, rng=rng, population=20, crossover_rate=0.2, mutation_rate=0.8)  # N, p_C, p_M
    run = evonas.search(
        DIGITS,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/genet-experiment",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")
    print(run.best.graph)


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
