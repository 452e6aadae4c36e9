"""One-Shot (Bender et al. 2018) in one screen: a supernet trained with path dropout judges cells drawn at random.

    python experiments/one_shot.py [EVALUATIONS] [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search one-shot --preset cifar10 --data cifar10 --validation 0.1`.
"""

import sys

import evonas
from evonas.genomes.one_shot import OneShotSpace
from evonas.strategies.random_search import RandomSearch

SEED = 0
SPACE = OneShotSpace(cells=3, channels=8, input_shape=(1, 8, 8))


def main(evaluations: int = 200, epochs: int = 30, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: RandomSearch(toolbox),
        supernet="path-dropout",
        budget=evaluations,
        baseline=False,  # which would be random search too
        settings={
            "dropped": 0.1,  # probability that all paths into an operation are, at the last step
            "ghost": 32,  # images that have a draw of their own
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.1, "schedule": "constant", "weight_decay": 1e-4,
            "crop": 1, "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/one-shot-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
