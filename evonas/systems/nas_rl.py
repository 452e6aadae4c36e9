"""NAS-RL as a system (Zoph and Le 2017, arXiv:1611.01578). Torch is loaded where its controller is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from deap import base

from evonas.genomes.nas_rl import NASRLSpace
from evonas.recipe import DIGITS, RECIPES, SMALL
from evonas.space import Genome
from evonas.strategies import Strategy
from evonas.strategies.random_search import RandomSearch
from evonas.systems import Setup, System, toolboxes
from evonas.systems.ppo import PolicySettings


@dataclass(frozen=True, kw_only=True)
class ReinforceSettings(PolicySettings):
    """Over the evaluations (the budget's, where it has a number of them) the space's numbers of layers are stretched,
    fewest first."""

    evaluations: int = 12_800
    batch: int = 8
    controller_rate: float = 6e-4
    entropy_weight: float = 0.0
    units: int = 35


def growing(space: NASRLSpace, evaluations: int) -> Callable[[int], Genome]:
    """Of the number of a proposal: the beginning of its genome, so that the numbers of layers follow one another, each
    for as many evaluations (section 3.3 and 4.1: from 6 layers, two more every 1,600 samples)."""
    lengths = sorted(space.lengths)

    def begin(number: int) -> Genome:
        return (lengths[min(number * len(lengths) // evaluations, len(lengths) - 1)],) if len(lengths) > 1 else ()

    return begin


def _control(toolbox: base.Toolbox, settings: ReinforceSettings, rng: Random) -> Strategy:
    """Decision by decision each number of layers is drawn as often as the others, which is how often the search has
    them. Uniform over all genomes, nearly all would have the most."""
    return RandomSearch(toolbox)


def _strategy(toolbox: base.Toolbox, settings: ReinforceSettings, rng: Random) -> Strategy:
    from evonas.strategies.controllers import Recurrent
    from evonas.strategies.reinforce import Reinforce
    from evonas.strategies.rewards import cube

    return Reinforce(
        Recurrent(toolbox.space, rng=rng, units=settings.units, layers=2, initial=0.08),
        batch=settings.batch, learning_rate=settings.controller_rate, decay=settings.decay,
        entropy=settings.entropy_weight, reward=cube, begin=growing(toolbox.space, settings.evaluations),
    )  # fmt: skip


_QUICK = ReinforceSettings(evaluations=100, batch=5, controller_rate=5e-3, decay=0.9)
_SMALL = replace(SMALL, weight_decay=1e-4)

NAS_RL = System(
    name="nas-rl",
    about="layers with skips, written by an LSTM that learns by REINFORCE",
    paper="Zoph and Le 2017, Neural Architecture Search with Reinforcement Learning, arXiv:1611.01578",
    presets={
        "digits": Setup(
            NASRLSpace(lengths=(3, 4, 5, 6), filters=(8, 12, 16, 24), input_shape=(1, 8, 8)),
            _QUICK,
            replace(DIGITS, weight_decay=1e-4, best_of=2),
            replace(DIGITS, weight_decay=1e-4, epochs=40),
            about="three to six layers on 8x8 pictures, in minutes",
        ),
        "small": Setup(
            NASRLSpace(lengths=(4, 6, 8), strides=(1, 2), filters=(16, 24, 32, 48)),
            _QUICK,
            _SMALL,
            replace(_SMALL, epochs=20),
            about="four to eight layers on pictures of 16x16 and more, on a small machine",
        ),
        "cifar10": Setup(
            NASRLSpace(),
            ReinforceSettings(),
            RECIPES["nas-rl"],
            replace(RECIPES["nas-rl"], best_of=1, epochs=300, schedule="step", milestones=(150, 225)),
            about="the paper's search without strides: 12,800 trainings of 50 epochs",
        ),
    },
    preset_for=lambda input_shape: "digits" if min(input_shape[1:]) < 16 else "small",
    toolbox=toolboxes.decision_by_decision,
    strategy=_strategy,
    control=_control,
    scheduled=True,
)
