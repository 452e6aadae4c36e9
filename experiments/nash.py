"""NASH (Elsken, Metzen and Hutter 2017, arXiv:1711.04528) in one screen: hill climbing by network morphisms.

    python experiments/nash.py [DATA] [STEPS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, or with DATA=cifar10 CIFAR-10 in hours; run again, it goes on where it
stopped. The paper's search is `evonas search nash --preset cifar10 --data cifar10`.
"""

import sys
from dataclasses import replace

import evonas
from evonas.operators.edits import toolbox
from evonas.strategies.hill_climbing import HillClimbing
from evonas.support.streams import stream
from evonas.systems.nash import PAPER

SEED = 0
SCALED = {  # to small machines: the first network, the recipe of each training
    "digits": (
        replace(PAPER, start="conv8-pool-conv16-pool-conv16-fc32", edits=20, input_shape=(1, 8, 8)),
        {"epochs": 5, "crop": 1, "final.epochs": 40},
    ),
    "cifar10": (
        replace(PAPER, start="conv32-pool-conv64-pool-conv64-fc128", edits=20),
        {"epochs": 4, "crop": 4, "flip": True, "final.epochs": 40},
    ),
}


def main(data: str = "digits", steps: int = 4, final_epochs: int | None = None) -> None:
    space, settings = SCALED[data]
    if final_epochs is not None:
        settings = settings | {"final.epochs": final_epochs}
    rng = stream(SEED, "nash")
    box = toolbox(space, rng=rng, mutations=2)  # morphisms of a child; the paper has 5
    strategy = HillClimbing(box, rng=rng, steps=steps, neighbours=6)
    run = evonas.search(space, data=data, strategy=strategy, inherit=True, settings=settings, seed=SEED,
                        out=f"runs/nash-{data}-experiment", resume=True)  # fmt: skip
    left = evonas.TrainedNetwork.open(run.directory / "as_trained")
    print(run.best, f"{left.test:.2%} test accuracy, as the search left it")


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
