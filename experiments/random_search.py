"""Random search, the baseline of them all, on the cells of any system: handwritten digits in minutes.

`python experiments/random_search.py [SYSTEM]`; run again, it goes on where it stopped.
"""

import sys
from random import Random

import evonas
from evonas.operators import by_decision
from evonas.space import Space
from evonas.strategies.random_search import RandomSearch

SEED = 0


def uniform(space: Space, rng: Random) -> RandomSearch:
    return RandomSearch(by_decision.toolbox(space, rng=rng))


def main(system: str = "amoebanet", evaluations: int = 40) -> None:
    run = evonas.search(
        system,
        data="digits",
        strategy=uniform,
        budget=evaluations,
        settings={"final.epochs": 40},
        seed=SEED,
        out=f"runs/random-{system}",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test_accuracy:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2])
