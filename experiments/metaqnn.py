"""MetaQNN (Baker et al. 2017, arXiv:1611.02167) in one screen: chains of layers, written by tabular Q-learning.

    python experiments/metaqnn.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search metaqnn --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.metaqnn import MetaQNNSpace
from evonas.strategies.q_learning import METAQNN_SCHEDULE, QLearning, scaled
from evonas.support.streams import stream

SEED = 0
SPACE = MetaQNNSpace(longest=6, filters=(8, 16, 32, 64), dense=(64, 32, 16), input_shape=(1, 8, 8))


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    strategy = QLearning(
        SPACE,
        rng=stream(SEED, "metaqnn"),
        schedule=scaled(METAQNN_SCHEDULE, evaluations),  # epsilon from 1 to 0.1, as in the paper's 2,700 networks
        distinct=False,  # a genome that comes again counts again, as in the budget
        rate=0.1,  # alpha; the paper's 0.01 is for so many
        replays=100,
    )
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={
            "epochs": 4, "batch_size": 64, "crop": 1, "optimizer": "adam", "learning_rate": 3e-3, "weight_decay": 0.0,
            "final.epochs": final_epochs, "final.optimizer": "adam", "final.learning_rate": 3e-3,
            "final.weight_decay": 0.0,
        },
        seed=SEED,
        out="runs/metaqnn-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
