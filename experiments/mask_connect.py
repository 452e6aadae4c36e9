"""MaskConnect (Ahmed and Torresani 2018, arXiv:1807.11473) in one screen: which modules read which, by gradients.

    python experiments/mask_connect.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in a minute or two; run again, it goes on where it stopped. The paper's network is
`evonas search mask-connect --preset resnet38 --data cifar100`.
"""

import sys

import evonas
from evonas.genomes.mask_connect import MaskConnectSpace
from evonas.supernets.mask_connect import MaskConnect
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = MaskConnectSpace(modules=3, fan_in=3, input_shape=(1, 8, 8))


def main(epochs: int = 20, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(MaskConnect(toolbox.space, rng=rng, rate=0.1)),
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.1, "clip_norm": 5, "crop": 1,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/mask-connect-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
