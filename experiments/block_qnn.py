"""Block-QNN (Zhong et al. 2018, arXiv:1708.05552) in one screen: one block, written by Q-learning, and stacked.

    python experiments/block_qnn.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search block-qnn --preset cifar10 --data cifar100`.
"""

import sys

import evonas
from evonas.genomes.block_qnn import BlockQNNSpace
from evonas.strategies.q_learning import BLOCK_QNN_SCHEDULE, QLearning, scaled
from evonas.strategies.rewards import lean_block
from evonas.support.streams import stream

SEED = 0
SPACE = BlockQNNSpace(longest=7, blocks=1, channels=8, input_shape=(1, 8, 8))
ONE_CONVOLUTION = SPACE.decode(SPACE.parse("(1,1,3,0,0)(2,7,0,0,0)"))


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    strategy = QLearning(
        SPACE,
        rng=stream(SEED, "block-qnn"),
        schedule=scaled(BLOCK_QNN_SCHEDULE, evaluations),  # epsilon from 1 to 0.1, as in the paper's 11,392 blocks
        distinct=False,  # a genome that comes again counts again, as in the budget
        rate=0.1,  # alpha; the paper's 0.01 is for so many
        initial=50.0,  # per cent, as the reward
        replays=20,
        shaping=True,
        reward=lean_block(SPACE, reference=ONE_CONVOLUTION.multiply_adds),  # accuracy, computation, density
    )
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/block-qnn-experiment",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
