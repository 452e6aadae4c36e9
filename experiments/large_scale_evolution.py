"""Large-scale Evolution (Real et al. 2017, arXiv:1703.01041) in one screen: networks that grow from a single layer.

    python experiments/large_scale_evolution.py [DATA] [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, or with DATA=cifar10 CIFAR-10 in hours; run again, it goes on where it
stopped. The paper's search (a population of 1,000, 28 epochs for each child) is `evonas search large-scale --preset
cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.large_scale import LargeScaleSpace
from evonas.operators.large_scale import toolbox
from evonas.strategies.tournament import Tournament
from evonas.support.streams import stream

SEED = 0
RECIPE = {"batch_size": 64, "weight_decay": 1e-4}  # the learning rate is in the genome
SCALED = {  # to small machines: space, population, recipe of the children and of the winner's last training
    "digits": (
        LargeScaleSpace(input_shape=(1, 8, 8)), 40,
        {"epochs": 12, "schedule": "constant", "crop": 1, "final.epochs": 40},
    ),
    "cifar10": (
        LargeScaleSpace(least=16), 16,  # with the paper's rule networks begin with the three channels of the image
        {"epochs": 2, "schedule": "cosine", "crop": 4, "flip": True, "final.epochs": 20},
    ),
}  # fmt: skip


def main(data: str = "digits", evaluations: int = 1000, final_epochs: int | None = None) -> None:
    space, population, settings = SCALED[data]
    if final_epochs is not None:
        settings = settings | {"final.epochs": final_epochs}
    rng = stream(SEED, "large-scale")
    box = toolbox(space, rng=rng, mutations=3)  # of a child; the paper has 1, and 5 to leave a local optimum
    strategy = Tournament(box, rng=rng, population=population, resets=(400, 800))  # the paper: 1,000
    run = evonas.search(
        space,
        data=data,
        strategy=strategy,
        budget=evaluations,
        inherit=True,
        settings=RECIPE | settings,
        seed=SEED,
        out=f"runs/large-scale-{data}-experiment",
        resume=True,
    )
    left = evonas.TrainedNetwork.open(run.directory / "as_trained")
    print(run.best, f"{left.test:.2%} test accuracy, as the search left it")


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
