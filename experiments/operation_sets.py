"""DATA (Chang et al. 2019, NeurIPS) and I-DARTS (Jiang et al. 2019, EMNLP) in one screen: edges with any number of
operations.

    python experiments/operation_sets.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits by both, in minutes; run again, it goes on where it stopped. DATA's search as published
is `evonas search data --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.darts_sets import DARTSSetsSpace
from evonas.supernets.data import DATA
from evonas.supernets.i_darts import IDARTS
from evonas.supernets.search import SupernetSearch

SEED = 0
SEARCHES = {  # how many operations lead into a node, and how they are found
    "data": (DARTSSetsSpace(3, 8, pairs=4, input_shape=(1, 8, 8)), DATA),
    "i-darts": (DARTSSetsSpace(3, 8, pairs=2, exact=True, input_shape=(1, 8, 8)), IDARTS),
}


def main(epochs: int = 15, final_epochs: int = 40) -> None:
    for name, (space, policy) in SEARCHES.items():
        run = evonas.search(
            space,
            data="digits",
            strategy=lambda toolbox, rng, policy=policy: SupernetSearch(
                policy(toolbox.space.supernet, rng=rng, learning_rate=0.01)
            ),
            settings={
                "epochs": epochs, "batch_size": 64, "learning_rate": 0.025, "last_rate": 1e-3, "nesterov": False,
                "weight_decay": 3e-4, "clip_norm": 5, "crop": 1, "final.epochs": final_epochs,
            },
            seed=SEED,
            out=f"runs/{name}-experiment",
            resume=True,
        )  # fmt: skip
        print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
