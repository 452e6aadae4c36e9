"""SNAS (Xie, Zheng, Liu and Lin 2019, arXiv:1812.09926) in one screen: samples of each edge that become one-hot.

    python experiments/snas.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search snas --preset cifar10 --data cifar10 --validation 0.5`.
"""

import sys
from dataclasses import replace

import evonas
from evonas.genomes.darts import DARTSSpace
from evonas.supernets.search import SupernetSearch
from evonas.supernets.snas import SNAS

SEED = 0
SPACE = DARTSSpace(layers=3, channels=8, every=True, input_shape=(1, 8, 8))  # all 14 edges, an operation or none


def main(epochs: int = 45, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            SNAS(
                replace(toolbox.space, search=True),
                rng=rng,
                resource=0.0,  # above 0, operations cost
                learning_rate=0.01,  # of alpha, for so few steps; as published 3e-4, for 117,000
            )
        ),
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.025, "last_rate": 1e-3, "nesterov": False,
            "weight_decay": 3e-4, "clip_norm": 5, "crop": 1, "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/snas-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
