"""PC-DARTS (Xu et al. 2020, arXiv:1907.05737) in one screen: DARTS on a quarter of the channels, with edge weights.

    python experiments/pc_darts.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search pc-darts --preset cifar10 --data cifar10 --validation 0.5`.
"""

import sys
from dataclasses import replace

import evonas
from evonas.genomes.darts import DARTSSpace
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = DARTSSpace(layers=3, channels=8, input_shape=(1, 8, 8))


def main(epochs: int = 15, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            PCDARTS(
                replace(toolbox.space, search=True, partial=4),
                rng=rng,
                beginning=epochs * 15 // 50,  # in the first 15 of 50 epochs the weights alone learn
                learning_rate=0.01,  # of alpha and beta, for so few steps; the paper's 6e-4 is for 3,400
            )
        ),
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.025, "last_rate": 1e-3, "nesterov": False,
            "weight_decay": 3e-4, "clip_norm": 5, "crop": 1, "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/pc-darts-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
