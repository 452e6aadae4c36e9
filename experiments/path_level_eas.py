"""Path-level EAS (Cai et al. 2018, arXiv:1806.02639) in one screen: a controller lets a tree grow in place of each
convolution of a trained network.

    python experiments/path_level_eas.py [DATA] [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, or with DATA=cifar10 CIFAR-10 in hours; run again, it goes on where it
stopped. The paper's search is `evonas search path-level-eas --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.path_level import PathLevelSpace
from evonas.strategies.path_level import PathLevel
from evonas.support.streams import stream

SEED = 0
SCALED = {  # to small machines: the start, its training, the recipe of its children
    "digits": (
        PathLevelSpace("conv8-conv8-pool-conv16-mean-fc16", noise=6e-3, first_epochs=20, first_rate=0.1,
                       input_shape=(1, 8, 8)),
        {"epochs": 6, "learning_rate": 0.05, "crop": 1, "final.epochs": 40},
    ),
    "cifar10": (
        PathLevelSpace("conv16-conv16-pool-conv32-pool-conv32-mean-fc32", noise=6e-3, first_epochs=10, first_rate=0.1),
        {"epochs": 4, "learning_rate": 0.05, "crop": 4, "flip": True, "final.epochs": 40},
    ),
}  # fmt: skip


def main(data: str = "digits", evaluations: int = 41, final_epochs: int | None = None) -> None:
    space, settings = SCALED[data]
    if final_epochs is not None:
        settings = settings | {"final.epochs": final_epochs}
    strategy = PathLevel(space, rng=stream(SEED, "path-level"), evaluations=evaluations)  # batches of 10
    run = evonas.search(space, data=data, strategy=strategy, inherit=True, settings=settings, seed=SEED,
                        out=f"runs/path-level-eas-{data}-experiment", resume=True)  # fmt: skip
    print(run.best)


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
