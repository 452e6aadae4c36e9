"""ENAS (Pham et al. 2018, arXiv:1802.03268) in one screen: an LSTM writes cells and learns on weights that all share.

    python experiments/enas.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search enas --preset cifar10 --data cifar10 --validation 0.1`.
"""

import sys
from dataclasses import replace

import evonas
from evonas.genomes.enas import ENASMicroSpace
from evonas.supernets.enas import ENAS
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = ENASMicroSpace(layers=1, channels=8, nodes=3, input_shape=(1, 8, 8))


def main(epochs: int = 30, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            ENAS(
                replace(toolbox.space, search=True),
                rng=rng,
                steps=20,  # of the controller after each epoch,
                samples=5,  # by so many cells each
                learning_rate=5e-3,
                decay=0.95,
                controller={"units": 64, "tanh": {"": 1.1, "operation": 0.44}},
            )
        ),
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "last_rate": 5e-4, "cycle": 10,
            "weight_decay": 2e-4, "clip_norm": 5, "crop": 1, "final.epochs": final_epochs, "final.cycle": 0,
        },
        seed=SEED,
        out="runs/enas-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
