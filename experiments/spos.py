"""SPOS (Guo et al. 2020, arXiv:1904.00420) in one screen: one supernet is trained by single paths and then searched
twice, by its own evolution and, within a limit, by NSGA-II.

    python experiments/spos.py [EPOCHS] [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search spos --preset imagenet --data FOLDER --size 224 --max-multiply-adds 330M`.
"""

import sys

import evonas
from evonas.genomes.spos import SPOSSpace
from evonas.strategies.nsga2 import NSGA2
from evonas.strategies.spos import SPOS

SEED = 0
SPACE = SPOSSpace((3, 3), (32, 64), 16, False, 128, 0.0, input_shape=(1, 8, 8), outputs=10)


def main(epochs: int = 200, evaluations: int = 200, final_epochs: int = 40) -> None:
    same = {
        "data": "digits",
        "budget": evaluations,
        "settings": {
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "clip_norm": 5,
            "final.epochs": final_epochs,
        },
        "seed": SEED,
        "resume": True,
    }  # fmt: skip
    first = evonas.search(
        SPACE,
        supernet="uniform",
        strategy=lambda toolbox, rng: SPOS(toolbox, rng=rng, population=20, parents=5),
        out="runs/spos-experiment",
        **same,
    )
    print(first.best, f"{first.best.trained().test:.2%} test accuracy")
    small = evonas.search(
        SPACE,
        supernet=first.directory,  # nothing is trained again but the winner
        strategy=lambda toolbox, rng: NSGA2(toolbox, rng=rng, population=10),
        max_multiply_adds="150k",
        out="runs/spos-experiment-small",
        **same,
    )
    print(small.best, f"{small.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
