"""N2N as a system (Ashok, Rhinehart, Beainy and Kitani 2018, arXiv:1709.06030). Torch is loaded where its policies
are."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.genomes.n2n import N2NSpace
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, RECIPES, SMALL_FINAL, Recipe
from evonas.space import Space
from evonas.systems.system import Baseline, Preset, System

if TYPE_CHECKING:
    from evonas.strategies.n2n import N2N as Strategy

# The published code: 100 updates of 5 rollouts in each stage. Its main program has 0.1 as the second rate, its script
# of experiments 0.01.
PAPER = {
    "evaluations": 1001, "removal": 0.5, "batch": 5, "removal_rate": 0.003, "shrinkage_rate": 0.01, "units": 30,
    "variant": "textbook",
}  # fmt: skip


def n2n(
    space: Space,
    *,
    rng: Random,
    evaluations: int = 100,
    removal: float = 0.3,
    batch: int = 5,
    removal_rate: float = 0.01,
    shrinkage_rate: float = 0.03,
    units: int = 30,
    variant: str = "textbook",
    max_parameters: int = 0,
    min_relative: float = 0.0,
) -> Strategy:
    """Two policies learn by REINFORCE which layers of a network may go, and by how much the others may shrink.

    evaluations       rollouts in all; the last one is the best, once more
    removal           share of the first stage, in which layers go
    batch             rollouts to an update
    removal_rate      learning rate of Adam, of the first policy
    shrinkage_rate    and of the second
    units             of each of the two layers of the LSTMs
    variant           of the baseline: textbook, or code, as published: the same advantage for all rollouts of a batch
    max_parameters    constraint, which counts in full from the 15th update of a stage on; 0: none
    min_relative      likewise, on the accuracy as a share of the teacher's; 0: none
    """
    from evonas.strategies.n2n import N2N as Strategy

    return Strategy(
        space, rng=rng, evaluations=evaluations, removal=removal, batch=batch, removal_rate=removal_rate,
        shrinkage_rate=shrinkage_rate, units=units, variant=variant, max_parameters=max_parameters,
        min_relative=min_relative,
    )  # fmt: skip


# Ours: logits are learnt as in the paper, with a rate that five epochs of a few pictures are enough for
_BY_LOGITS = Recipe(
    epochs=5, batch_size=16, optimizer="adam", learning_rate=5e-3, weight_decay=5e-4, distill=1.0, hard=0.0
)
_TAUGHT = {"distill": 0.3, "hard": 1.0}

N2N = System(
    name="n2n",
    about="a trained network made smaller: one policy removes layers, another shrinks them; it teaches the small ones",
    paper="Ashok, Rhinehart, Beainy and Kitani 2018, N2N Learning: Network to Network Compression via Policy Gradient "
    "Reinforcement Learning, arXiv:1709.06030",
    strategy="n2n",
    # Uniform over genomes, nearly all layers with many ways to shrink would stay.
    toolbox=stepwise_toolbox,
    baseline=Baseline(toolbox=stepwise_toolbox),
    taught_by=lambda space: space.whole,
    presets={
        "digits": Preset(
            N2NSpace(input_shape=(1, 8, 8)),
            _BY_LOGITS,
            replace(DIGITS_FINAL, **_TAUGHT),  # type: ignore[arg-type]
            about="the residual network by hand on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            N2NSpace(),
            replace(_BY_LOGITS, batch_size=64),
            replace(SMALL_FINAL, **_TAUGHT),  # type: ignore[arg-type]
            about="the residual network by hand on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            N2NSpace(),
            RECIPES["n2n-search"],
            replace(RECIPES["resnet-cifar"], **_TAUGHT),  # type: ignore[arg-type]
            PAPER,
            about="the published settings: 1,000 rollouts of 5 epochs",
        ),
    },
)
