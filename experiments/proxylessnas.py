"""ProxylessNAS (Cai, Zhu and Han 2019, arXiv:1812.00332) in one screen: a block for each layer, one path at a time.

    python experiments/proxylessnas.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, for a network with at most 300,000 multiply-adds; run again, it goes on
where it stopped. The paper's search is `evonas search proxylessnas --preset imagenet --data FOLDER --target-ms 80`.
"""

import sys

import evonas
from evonas.genomes.proxylessnas import ProxylessNASSpace
from evonas.supernets.proxylessnas import ProxylessNAS
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = ProxylessNASSpace(
    widths=(16, 32), depths=(2, 3), strides=(1, 2), stem=16, halves=False, first=16, last=128, dropout=0.0,
    input_shape=(1, 8, 8), outputs=10,
)  # fmt: skip


def main(epochs: int = 60, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            ProxylessNAS(
                toolbox.space,
                rng=rng,
                mode="two",  # of a step of alpha: two paths, as in the paper
                unit=0.001,  # costs count in thousands of multiply-adds
                beginning=epochs // 4,
                learning_rate=0.02,  # of alpha, for so few steps; the paper's is 1e-3
            )
        ),
        max_multiply_adds="300k",
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "clip_norm": 5, "crop": 1,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/proxylessnas-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
