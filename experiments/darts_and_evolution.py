"""Gradients and evolution hand genomes to each other, on the cells of NAS-Bench-201 and handwritten digits.

A DARTS search derives a cell; aging evolution begins with it in its population; and what evolves there tells a second
DARTS search where to begin. `python experiments/darts_and_evolution.py` takes minutes; run again, it goes on.
"""

import evonas
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.strategies.aging import AgingEvolution
from evonas.supernets.darts import DARTS
from evonas.supernets.search import SupernetSearch

SPACE = NASBench201Space(channels=8, cells=1, input_shape=(1, 8, 8))
COMMON = {"data": "digits", "seed": 0, "resume": True}
TRAINED = {"batch_size": 64, "learning_rate": 0.05, "clip_norm": 5, "crop": 1, "final.epochs": 20}


def gradients(toolbox, rng):
    return SupernetSearch(DARTS(toolbox.space, rng=rng, learning_rate=0.01))


def evolution(toolbox, rng):
    return AgingEvolution(toolbox, rng=rng, population=10, sample=3)


def main(epochs: int = 10, evaluations: int = 30) -> None:
    derived = evonas.search(
        SPACE, strategy=gradients, settings=TRAINED | {"epochs": epochs}, out="runs/hand-over/1-darts", **COMMON
    )
    evolved = evonas.search(
        SPACE,
        strategy=evolution,
        init=[derived.directory],  # its best network is the first of the population
        budget=evaluations,
        settings=TRAINED | {"epochs": 4},
        out="runs/hand-over/2-evolution",
        **COMMON,
    )
    again = evonas.search(
        SPACE,
        strategy=gradients,
        init=[evolved.directory],  # alpha gives each of its operations a probability of three quarters
        settings=TRAINED | {"epochs": epochs},
        out="runs/hand-over/3-darts",
        **COMMON,
    )
    for run in (derived, evolved, again):
        print(run.directory.name, run.best.code, f"{run.best.trained().test_accuracy:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main()
