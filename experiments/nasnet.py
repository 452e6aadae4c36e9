"""NASNet (Zoph et al. 2018, arXiv:1707.07012) in one screen: an LSTM writes cells and learns by PPO.

    python experiments/nasnet.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search nasnet --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.nasnet import COMBINATIONS, NASNET, NASNetSpace
from evonas.strategies.controllers import Recurrent
from evonas.strategies.reinforce import PPO
from evonas.support.streams import stream

SEED = 0
SPACE = NASNetSpace(  # N, F, the paper's 13 operations and two combinations
    normals=1, channels=8, operations=NASNET, combinations=COMBINATIONS, input_shape=(1, 8, 8)
)


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    controller = Recurrent(SPACE, rng=stream(SEED, "nasnet"), units=50)
    strategy = PPO(controller, batch=5, learning_rate=5e-3, decay=0.9, entropy=2e-3)  # for so few; the paper: 20,000
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
        out="runs/nasnet-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
