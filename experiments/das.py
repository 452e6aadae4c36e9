"""DAS (Shin, Packer and Song 2018, ICLR workshop) in one screen: filter sizes and channels, drawn to 0 by an L1 norm.

    python experiments/das.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in half a minute; run again, it goes on where it stopped. The paper's base network is
`evonas search das --preset pilotnet`, for a task of your own.
"""

import sys

import evonas
from evonas.genomes.das import DASSpace
from evonas.supernets.das import DAS
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = DASSpace((16, 32, 32), (5, 5, 3), (1, 2, 1), (32,), input_shape=(1, 8, 8), outputs=10)


def main(epochs: int = 20, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(DAS(toolbox.space, rng=rng, rate=2.0, sparsity=0.015)),
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "clip_norm": 5, "crop": 1,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/das-experiment",
        resume=True,
    )  # fmt: skip
    largest = SPACE.decode(SPACE.largest)
    print(run.best, f"{run.best.trained().test:.2%} test accuracy with "
          f"{run.best.graph.multiply_adds / largest.multiply_adds:.0%} of the multiply-adds")  # fmt: skip


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
