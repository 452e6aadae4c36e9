"""PNAS (Liu et al. 2018, arXiv:1712.00559) in one screen: cells grow by a block at a time, and a predictor that has
learnt from all smaller ones chooses which of the larger ones are trained.

    python experiments/pnas.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search pnas --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.pnas import PNASSpace
from evonas.predictors.pnas import PNASEnsemble
from evonas.strategies.progressive import Progressive

SEED = 0
SPACE = PNASSpace(normals=1, channels=8, blocks=4, input_shape=(1, 8, 8))  # N, F, B


def strategy(toolbox, rng):
    seed = rng.getrandbits(32)
    return Progressive(toolbox, lambda: PNASEnsemble(SPACE, seed=seed), rng=rng, beam=8, smallest=24)  # the paper: 256


def main(evaluations: int = 48, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={
            "epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "clip_norm": 5,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/pnas-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
