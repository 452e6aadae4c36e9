"""FBNet (Wu et al. 2019, arXiv:1812.03443) in one screen: blocks for layers, by samples that become one-hot.

    python experiments/fbnet.py [EPOCHS] [FINAL_EPOCHS]

This searches handwritten digits in minutes, for a network with at most 300,000 multiply-adds; run again, it goes on
where it stopped. With `target_ms=2.0` in place of `max_multiply_adds` it searches for a latency on this machine. The
paper's search is `evonas search fbnet --preset imagenet --data FOLDER --target-ms 23`.
"""

import sys

import evonas
from evonas.genomes.fbnet import FBNetSpace
from evonas.supernets.fbnet import FBNet
from evonas.supernets.search import SupernetSearch

SEED = 0
SPACE = FBNetSpace(
    widths=(16, 24, 32), depths=(1, 2, 2), strides=(1, 2, 1), stem=16, halves=False, last=128, dropout=0.0,
    input_shape=(1, 8, 8), outputs=10,
)  # fmt: skip


def main(epochs: int = 30, final_epochs: int = 40) -> None:
    run = evonas.search(
        SPACE,
        data="digits",
        strategy=lambda toolbox, rng: SupernetSearch(
            FBNet(
                toolbox.space,
                rng=rng,
                unit=0.001,  # costs count in thousands of multiply-adds
                scale=0.2,
                power=0.6,
                beginning=epochs // 5,
                learning_rate=0.05,  # of theta, for so few steps; the ports' 0.01 is for many more
            )
        ),
        max_multiply_adds="300k",
        settings={
            "epochs": epochs, "batch_size": 64, "learning_rate": 0.05, "clip_norm": 5, "crop": 1,
            "final.epochs": final_epochs,
        },
        seed=SEED,
        out="runs/fbnet-experiment",
        resume=True,
    )  # fmt: skip
    print(run.best, f"{run.best.trained().test:.2%} test accuracy")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
