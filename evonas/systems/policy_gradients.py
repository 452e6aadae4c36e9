"""REINFORCE and PPO as strategies by name, over any space. Torch is loaded with their controllers."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from evonas.errors import UserError
from evonas.space import Space

if TYPE_CHECKING:
    from evonas.strategies.controllers import Controller
    from evonas.strategies.reinforce import PPO, Reinforce


def reinforce(
    space: Space,
    *,
    rng: Random,
    controller: str = "lstm",
    units: int = 50,
    batch: int = 1,
    learning_rate: float = 0.0,
    decay: float = 0.8,
    entropy: float = 0.002,
    evaluations: int = 200,
) -> Reinforce:
    """REINFORCE: a controller writes genomes and learns from their rewards. The defaults are for a few hundred.

    controller      lstm, or independent: each decision for itself
    units           of the LSTM
    batch           genomes to a step of the controller
    learning_rate   of Adam; 0: the controller's own, which is for a few hundred genomes
    decay           of the baseline, for each reward
    entropy         weight of the entropy in what is maximised
    evaluations     in all
    """
    from evonas.strategies.reinforce import Reinforce

    policy, own_rate = _controller(space, controller, units, rng)
    return Reinforce(
        policy, batch=batch, learning_rate=learning_rate or own_rate, decay=decay, entropy=entropy,
        evaluations=evaluations,
    )  # fmt: skip


def ppo(
    space: Space,
    *,
    rng: Random,
    controller: str = "lstm",
    units: int = 50,
    initial: float = 0.1,
    batch: int = 5,
    learning_rate: float = 0.0,
    decay: float = 0.9,
    entropy: float = 0.002,
    passes: int = 4,
    clip: float = 0.2,
    evaluations: int = 200,
) -> PPO:
    """PPO: as REINFORCE, with several bounded steps over each batch. The defaults are for a few hundred genomes.

    controller      lstm, or independent: each decision for itself
    units           of the LSTM
    initial         its first weights are drawn from -initial to initial
    batch           genomes to a generation
    learning_rate   of Adam; 0: twice the controller's own, shared by the passes
    decay           of the baseline, for each reward
    entropy         weight of the entropy in what is maximised
    passes          steps over each batch
    clip            of the ratio of probabilities
    evaluations     in all
    """
    from evonas.strategies.reinforce import PPO

    if passes < 1:
        raise UserError(f"passes is {passes}; use at least 1")
    policy, own_rate = _controller(space, controller, units, rng, initial=initial)
    return PPO(
        policy, batch=batch, learning_rate=learning_rate or 2 * own_rate / passes, decay=decay, entropy=entropy,
        passes=passes, clip=clip, evaluations=evaluations,
    )  # fmt: skip


def _controller(space: Space, name: str, units: int, rng: Random, *, initial: float = 0.1) -> tuple[Controller, float]:
    """A controller, and its learning rate for a few hundred queries, which is much larger than those of the papers,
    which have thousands."""
    from evonas.strategies.controllers import Independent, Recurrent

    if name == "independent":
        return Independent(space, rng=rng), 0.15
    if name == "lstm":
        return Recurrent(space, rng=rng, units=units, initial=initial), 0.01
    raise UserError(f"controller is {name!r}; use lstm or independent")
