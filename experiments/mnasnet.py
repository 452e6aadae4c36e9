"""MnasNet (Tan et al. 2019, arXiv:1807.11626) in one screen: an LSTM writes mobile blocks, and learns by PPO to make
them accurate and quick at once.

    python experiments/mnasnet.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search mnasnet --preset imagenet --data FOLDER`.
"""

import sys

import evonas
from evonas.genomes.mnasnet import MnasNetSpace
from evonas.strategies.controllers import Recurrent
from evonas.strategies.reinforce import PPO
from evonas.strategies.rewards import product
from evonas.support.streams import stream

SEED = 0
SPACE = MnasNetSpace(
    widths=(8, 12, 16), depths=(1, 2, 2), strides=(1, 2, 1), stem=8, stem_stride=1, head=64, dropout=0.0,
    input_shape=(1, 8, 8), outputs=10,
)  # fmt: skip


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    strategy = PPO(
        Recurrent(SPACE, rng=stream(SEED, "mnasnet"), units=50),
        batch=5,
        learning_rate=5e-3,
        decay=0.9,
        entropy=2e-3,
        reward=product(target=1.0),  # accuracy, times (latency / 1 ms) ** -0.07
    )
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        objectives="accuracy,latency",
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/mnasnet-experiment",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
