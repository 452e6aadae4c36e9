"""Gradients and evolution hand genomes to each other, on the cells of NAS-Bench-201 and handwritten digits.

    python experiments/darts_and_evolution.py [EPOCHS] [EVALUATIONS] [FINAL_EPOCHS]

A DARTS search derives a cell; aging evolution begins with it in its population; and what evolves there tells a second
DARTS search where to begin. It takes minutes; run again, it goes on.
"""

import sys

import evonas
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.strategies.aging import AgingEvolution
from evonas.supernets.darts import DARTS
from evonas.supernets.search import SupernetSearch

SPACE = NASBench201Space(channels=8, cells=1, input_shape=(1, 8, 8))
COMMON = {"data": "digits", "seed": 0, "resume": True}
TRAINED = {"batch_size": 64, "learning_rate": 0.05, "clip_norm": 5, "crop": 1}


def gradients(toolbox, rng):
    return SupernetSearch(DARTS(toolbox.space, rng=rng, learning_rate=0.01))


def evolution(toolbox, rng):
    return AgingEvolution(toolbox, rng=rng, population=10, sample=3)


def main(epochs: int = 10, evaluations: int = 30, final_epochs: int = 20) -> None:
    trained = TRAINED | {"final.epochs": final_epochs}
    derived = evonas.search(
        SPACE, strategy=gradients, settings=trained | {"epochs": epochs}, out="runs/hand-over/1-darts", **COMMON
    )
    evolved = evonas.search(
        SPACE,
        strategy=evolution,
        init=[derived.directory],  # its best network is the first of the population
        budget=evaluations,
        settings=trained | {"epochs": 4},
        out="runs/hand-over/2-evolution",
        **COMMON,
    )
    again = evonas.search(
        SPACE,
        strategy=gradients,
        init=[evolved.directory],  # alpha gives each of its operations a probability of three quarters
        settings=trained | {"epochs": epochs},
        out="runs/hand-over/3-darts",
        **COMMON,
    )
    for run in (derived, evolved, again):
        print(run.directory.name, run.best.code, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
