"""N2N (Ashok et al. 2018, arXiv:1709.06030) in one screen: two policies learn to make a trained network smaller.

    python experiments/n2n.py [EVALUATIONS] [FINAL_EPOCHS]

This trains the residual network by hand on handwritten digits, and compresses it in minutes; run again, it goes on
where it stopped. The published settings are `evonas search n2n --preset cifar10 --data cifar10`.
"""

import sys

import evonas

SEED = 0


def main(evaluations: int = 100, final_epochs: int = 40) -> None:
    run = evonas.search(
        "n2n",
        data="digits",
        budget=evaluations,
        settings={"final.epochs": final_epochs},
        seed=SEED,
        out="runs/n2n-experiment",
        resume=True,
    )
    teacher, small = run.teacher, run.finalist()
    print(f"{small.test:.2%} test accuracy with {small.graph.parameters:,} parameters; the teacher has "
          f"{teacher.graph.parameters:,}, and {teacher.value:.2%} on the validation split")  # fmt: skip


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
