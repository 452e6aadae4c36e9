"""DPP-Net (Dong et al. 2018, arXiv:1806.08198) in one screen: cells grow by a layer at a time, and those on the front
of predicted accuracy and of what their networks cost are trained.

    python experiments/dpp_net.py [EVALUATIONS] [FINAL_EPOCHS]

This searches handwritten digits in minutes; run again, it goes on where it stopped. The paper's search is `evonas
search dpp-net --preset cifar10 --data cifar10`.
"""

import sys

import evonas
from evonas.genomes.dpp_net import DPPNetSpace
from evonas.predictors.pnas import PNASEnsemble
from evonas.strategies.choice import ParetoOptimal
from evonas.strategies.progressive import Progressive

SEED = 0
SPACE = DPPNetSpace(cells=(2, 2), growth=8, input_shape=(1, 8, 8))  # the paper: cells=14,14,14


def regressor():
    return PNASEnsemble(
        SPACE, seed=SEED, kind="rnn-norm", members=1, width=128, bias=2.0, first_rate=0.008, learning_rate=0.008
    )


def strategy(toolbox, rng):
    return Progressive(toolbox, regressor, rng=rng, beam=12, choose=ParetoOptimal(SPACE))  # the paper: 128


def main(evaluations: int = 42, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=strategy,
        objectives=("accuracy", "multiply_adds", "latency"),
        budget=evaluations,
        settings={
            "epochs": 4, "batch_size": 64, "learning_rate": 0.2, "crop": 1, "clip_norm": 5,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/dpp-net-experiment",
        resume=True,
    )  # fmt: skip
    for network in run.front:
        print(network)


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
