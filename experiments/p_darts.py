"""P-DARTS (Chen et al. 2019, arXiv:1904.12760) in one screen: DARTS in stages, deeper and with fewer operations.

    python experiments/p_darts.py [EPOCHS] [FINAL_EPOCHS]

EPOCHS are those of a stage. This searches handwritten digits in minutes; run again, it goes on where it stopped. The
paper's search is `evonas search p-darts --preset cifar10 --data cifar10 --validation 0.5`.
"""

import sys

import evonas
from evonas.genomes.darts import DARTSSpace
from evonas.supernets.p_darts import PDARTS
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = DARTSSpace(layers=3, channels=8, input_shape=(1, 8, 8))


def main(epochs: int = 5, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            PDARTS(
                toolbox.space.supernet,
                rng=rng,
                depths=(3, 4, 5),  # the paper's 5, 11 and 17 cells are for 25 epochs each
                dropped=(3, 2),
                dropout=(0.0, 0.4, 0.7),
                skips=2,
                beginning=epochs * 10 // 25,
                learning_rate=0.01,
            )
        ),
        settings={
            "epochs": 3 * epochs, "batch_size": 64, "learning_rate": 0.025, "nesterov": False, "weight_decay": 3e-4,
            "clip_norm": 5, "crop": 1, "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/p-darts-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
