"""EAS (Cai et al. 2018, arXiv:1707.04873) in one screen: a controller that reads a trained network and edits it.

    python experiments/eas.py [DATA] [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, or with DATA=cifar10 CIFAR-10 in hours; run again, it goes on where it
stopped. The first stage of the paper's search is `evonas search eas --preset cifar10 --data cifar10`.
"""

import sys
from dataclasses import replace

import evonas
from evonas.strategies.eas import EAS
from evonas.support.streams import stream
from evonas.systems.eas import SPACE

SEED = 0
SCALED = {  # to small machines: the start, the widths of its layers, the recipe of its children
    "digits": (
        replace(SPACE, start="conv4-pool-conv4-pool-conv4-mean-fc8", widths=tuple(range(4, 41, 4)), first_epochs=20,
                sizes=tuple(range(8, 81, 8)), first_rate=0.1, input_shape=(1, 8, 8)),
        {"epochs": 6, "learning_rate": 0.05, "crop": 1, "final.epochs": 40},
    ),
    "cifar10": (
        replace(SPACE, start="conv8-pool-conv16-pool-conv16-mean-fc32", widths=(8, 16, 24, 32, 48, 64), first_epochs=10,
                sizes=(32, 64, 96, 128), first_rate=0.1),
        {"epochs": 4, "learning_rate": 0.05, "crop": 4, "flip": True, "final.epochs": 40},
    ),
}  # fmt: skip


def main(data: str = "digits", evaluations: int = 41, final_epochs: int | None = None) -> None:
    space, settings = SCALED[data]
    if final_epochs is not None:
        settings = settings | {"final.epochs": final_epochs}
    strategy = EAS(space, rng=stream(SEED, "eas"), evaluations=evaluations)  # 4 wider and 5 deeper steps, batches of 10
    run = evonas.search(space, data=data, strategy=strategy, inherit=True, settings=settings, seed=SEED,
                        out=f"runs/eas-{data}-experiment", resume=True)  # fmt: skip
    print(run.best)


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
