"""Random search, the baseline of them all, on the cells of any system: handwritten digits in minutes.

`python experiments/random_search.py [SYSTEM] [EVALUATIONS] [FINAL_EPOCHS]`; run again, it goes on where it stopped. The
same without a script is `evonas search SYSTEM --strategy random --evaluations 40`.
"""

import sys
from random import Random

import evonas
from evonas.individual import Toolbox
from evonas.operators import by_decision
from evonas.strategies.random_search import RandomSearch

SEED = 0


def uniform(toolbox: Toolbox, rng: Random) -> RandomSearch:
    return RandomSearch(by_decision.toolbox(toolbox.space, rng=rng))


def main(system: str = "amoebanet", evaluations: int = 40, final_epochs: int = 40) -> None:
    run = evonas.search(
        system,
        data="digits",
        strategy=uniform,
        budget=evaluations,
        settings={"final.epochs": final_epochs},
        seed=SEED,
        out=f"runs/random-{system}",
        resume=True,
    )
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
