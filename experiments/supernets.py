"""Policies that train a supernet, side by side: FairNAS, SETN, PC-NAS and NSAS on one space, each searched alike, and
how each ranks genomes that are then trained alone.

    python experiments/supernets.py [EPOCHS] [EVALUATIONS] [FINAL_EPOCHS] [GENOMES]

This takes handwritten digits and minutes a policy; run again, it goes on where it stopped. The systems by themselves
are `evonas search fairnas`, `setn`, `pc-nas` and `nsas`.
"""

import sys

import evonas
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.strategies.aging import AgingEvolution

SEED = 0
SPACE = NASBenchMacroSpace((2, 2), 8, 64, (1, 8, 8))
POLICIES = ("uniform", "fair", "setn", "shrinking:interval=2", "nsas:constraints=2")


def main(epochs: int = 60, evaluations: int = 60, final_epochs: int = 40, genomes: int = 20) -> None:
    for policy in POLICIES:
        name = policy.partition(":")[0]
        passes = {"fair": 3, "setn": 2, "nsas": 3}.get(name, 1)  # through the supernet in a step
        run = evonas.search(
            SPACE,
            data="digits",
            supernet=policy,
            strategy=lambda toolbox, rng: AgingEvolution(toolbox, rng=rng, population=10, sample=5),
            budget=evaluations,
            settings={
                "epochs": max(epochs // passes, 10), "batch_size": 64, "learning_rate": 0.05, "crop": 1, "clip_norm": 5,
                "final.epochs": final_epochs,
            },
            seed=SEED,
            out=f"runs/supernet-{name}",
            resume=True,
        )  # fmt: skip
        ranking = evonas.tau(run.directory, genomes=genomes, epochs=final_epochs, seed=SEED)
        tau, size = (ranking.found[of]["tau"]["value"] for of in ("shared weights", "multiply-adds"))
        print(f"{name}: {run.best}, {run.best.trained().test:.2%} test accuracy; tau {tau:.2f}, of size {size:.2f}")


if __name__ == "__main__":  # worker processes import this file
    main(*map(int, sys.argv[1:]))
