"""NAO (Luo et al. 2018, arXiv:1808.07233) in one screen: uphill in a continuous space of cells that is learnt.

    python experiments/nao.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search nao --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.enas import ENASMicroSpace
from evonas.operators.by_decision import toolbox
from evonas.strategies.nao import NAO
from evonas.support.streams import stream

SEED = 0
SPACE = ENASMicroSpace(layers=1, channels=8, nodes=3, input_shape=(1, 8, 8))


def main(evaluations: int = 60, final_epochs: int = 40) -> None:
    rng = stream(SEED, "nao")
    strategy = NAO(toolbox(SPACE, rng=rng), rng=rng, initial=20, seeds=10, new=10)  # the paper: 600, 200 and 200
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        budget=evaluations,
        settings={
            "epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "clip_norm": 5,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/nao-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
