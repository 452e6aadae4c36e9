"""NAS-RL (Zoph and Le 2017, arXiv:1611.01578) in one screen: an LSTM writes layers and skips, and learns by REINFORCE.

    python experiments/nas_rl.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search nas-rl --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.nas_rl import NASRLSpace
from evonas.strategies.controllers import Recurrent
from evonas.strategies.reinforce import Reinforce
from evonas.strategies.rewards import cube
from evonas.support.streams import stream
from evonas.systems.nas_rl import growing

SEED = 0
SPACE = NASRLSpace(lengths=(3, 4, 5, 6), filters=(8, 12, 16, 24), input_shape=(1, 8, 8))


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    controller = Recurrent(SPACE, rng=stream(SEED, "nas-rl"), units=35, layers=2, initial=0.08)
    strategy = Reinforce(
        controller,
        batch=5,
        learning_rate=5e-3,  # for so few; the paper's 6e-4 is for 12,800
        decay=0.9,
        reward=cube,
        begin=growing(SPACE, evaluations),  # three layers at first, six at the end
    )
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={
            "epochs": 4, "batch_size": 64, "learning_rate": 0.05, "weight_decay": 1e-4, "crop": 1, "best_of": 2,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/nas-rl-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
