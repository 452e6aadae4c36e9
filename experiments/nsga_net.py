"""NSGA-Net (Lu et al. 2019, arXiv:1810.03522) in one screen: accuracy against multiply-adds on handwritten digits.

    python experiments/nsga_net.py [EVALUATIONS] [FINAL_EPOCHS]

It takes minutes; run again, it goes on where it stopped.
"""

import sys

import evonas
from evonas.genomes.nsga_net import NSGANetSpace
from evonas.operators.nsga_net import toolbox
from evonas.strategies.nsga2 import NSGA2
from evonas.support.streams import stream

SEED = 0
SPACE = NSGANetSpace(phases=(4, 4), channels=8, input_shape=(1, 8, 8))


def main(evaluations: int = 60, final_epochs: int = 40) -> None:
    rng = stream(SEED, "nsga-net")
    roles = toolbox(SPACE, rng=rng)
    strategy = NSGA2(roles, rng=rng, population=12, crossover_rate=0.5, mutates_crossed=True)  # published: 40 and 0.9
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        objectives=("accuracy", "multiply_adds"),
        budget=evaluations,
        settings={"epochs": 4, "batch_size": 64, "learning_rate": 0.05, "crop": 1, "final.epochs": final_epochs},
        seed=SEED,
        out="runs/nsga-net-experiment",
        resume=True,
    )
    for network in run.front:
        print(network, network.graph.multiply_adds)


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
