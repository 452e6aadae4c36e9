"""NAS-RL as a system (Zoph and Le 2017, arXiv:1611.01578). Torch is loaded where its controller is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.genomes.nas_rl import NASRLSpace
from evonas.operators.by_decision import stepwise_toolbox
from evonas.recipe import DIGITS_FINAL, DIGITS_RECIPE, RECIPES, SMALL_FINAL, SMALL_RECIPE
from evonas.space import Genome, Space
from evonas.systems.system import Baseline, Preset, System

if TYPE_CHECKING:
    from evonas.strategies.reinforce import Reinforce


def growing(space: NASRLSpace, evaluations: int) -> Callable[[int], Genome]:
    """From the number of a proposal, the beginning of its genome, so that the numbers of layers follow one another,
    each for as many evaluations (section 3.3 and 4.1: from 6 layers, two more every 1,600 samples)."""
    lengths = sorted(space.lengths)

    def begin(number: int) -> Genome:
        return (lengths[min(number * len(lengths) // evaluations, len(lengths) - 1)],) if len(lengths) > 1 else ()

    return begin


def nas_rl(
    space: Space,
    *,
    rng: Random,
    units: int = 35,
    batch: int = 8,
    learning_rate: float = 6e-4,
    decay: float = 0.95,
    entropy: float = 0.0,
    evaluations: int = 12_800,
) -> Reinforce:
    """REINFORCE of the cube of the accuracy, by an LSTM of two layers, over numbers of layers that grow.

    units           of each layer of the LSTM
    batch           genomes to a step of the controller
    learning_rate   of Adam
    decay           of the baseline, for each reward
    entropy         weight of the entropy in what is maximised
    evaluations     over which the space's numbers of layers are stretched, fewest first
    """
    from evonas.strategies.controllers import Recurrent
    from evonas.strategies.reinforce import Reinforce
    from evonas.strategies.rewards import cube

    if not isinstance(space, NASRLSpace):
        raise UserError(f"nas-rl grows the number of layers of its own space, which {space.name} is not; use reinforce")
    return Reinforce(
        Recurrent(space, rng=rng, units=units, layers=2, initial=0.08), batch=batch, learning_rate=learning_rate,
        decay=decay, entropy=entropy, reward=cube, begin=growing(space, evaluations), evaluations=evaluations,
    )  # fmt: skip


_QUICK = {"evaluations": 100, "batch": 5, "learning_rate": 5e-3, "decay": 0.9}
_SMALL = replace(SMALL_RECIPE, weight_decay=1e-4)

NAS_RL = System(
    name="nas-rl",
    about="layers with skips, written by an LSTM that learns by REINFORCE",
    paper="Zoph and Le 2017, Neural Architecture Search with Reinforcement Learning, arXiv:1611.01578",
    strategy="nas-rl",
    toolbox=stepwise_toolbox,
    # Decision by decision each number of layers is drawn as often as the others, which is how often the search has
    # them. Uniform over all genomes, nearly all would have the most.
    baseline=Baseline(toolbox=stepwise_toolbox),
    presets={
        "digits": Preset(
            NASRLSpace(lengths=(3, 4, 5, 6), filters=(8, 12, 16, 24), input_shape=(1, 8, 8)),
            replace(DIGITS_RECIPE, weight_decay=1e-4, best_of=2),
            DIGITS_FINAL,
            _QUICK,
            about="three to six layers on 8x8 pictures, in minutes",
            adapts=True,
        ),
        "small": Preset(
            NASRLSpace(lengths=(4, 6, 8), strides=(1, 2), filters=(16, 24, 32, 48)),
            _SMALL,
            SMALL_FINAL,
            _QUICK,
            about="four to eight layers on pictures of 16x16 and more, on a small machine",
            adapts=True,
        ),
        "cifar10": Preset(
            NASRLSpace(),
            RECIPES["nas-rl"],
            replace(RECIPES["nas-rl"], best_of=1, epochs=300, schedule="step", milestones=(150, 225)),
            about="the paper's search without strides: 12,800 trainings of 50 epochs",
        ),
    },
)
