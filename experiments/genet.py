"""Genetic CNN (Xie and Yuille 2017, arXiv:1703.01513) in one screen: binary strings evolve on handwritten digits.

Run it as it stands, `python experiments/genet.py`: about a minute on two cores. To go further, change the space
(`evonas.genomes.genet` has the paper's MNIST and CIFAR10), the data, the recipe, or a role of the toolbox.
"""

import time
from pathlib import Path

from evonas.data import Source
from evonas.evaluation.trained import TrainedAccuracy
from evonas.executors import Processes
from evonas.genomes.genet import DIGITS
from evonas.journal import Journal
from evonas.loop import Budget, Loop, Part
from evonas.operators.genet import toolbox
from evonas.recipe import Recipe
from evonas.strategies.genet import GeNet
from evonas.streams import stream

SEED, WORKERS = 0, 2
OUT = Path("runs/genet-experiment")


def main() -> None:
    rng = stream(SEED, "genet")
    roles = toolbox(DIGITS, rng=rng, stage_swap_rate=0.2, bit_flip_rate=0.1)  # q_C, q_M: a DEAP toolbox
    strategy = GeNet(roles, rng=rng, population=20, crossover_rate=0.2, mutation_rate=0.8)  # N, p_C, p_M

    recipe = Recipe(epochs=4, batch_size=64, learning_rate=0.05, crop=1)
    fitness = TrainedAccuracy(DIGITS, Source("digits"), recipe, seed=SEED)

    OUT.mkdir(parents=True, exist_ok=True)
    journal = Journal(OUT / "journal.jsonl", DIGITS.to_json(), clock=time.monotonic)  # run again: it goes on from here
    executor = Processes(WORKERS)
    search = Part("search", strategy, lambda individual: fitness)
    Loop(journal, executor, WORKERS).run(search, Budget(evaluations=100))
    executor.shutdown()

    best = max(search.asked, key=lambda individual: individual.fitness)
    print(f"{DIGITS.format(best)}: {best.fitness.values[0]:.2%} validation accuracy")
    print(DIGITS.decode(best))


if __name__ == "__main__":  # worker processes import this file
    main()
