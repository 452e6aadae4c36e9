"""Strategies by name, with the settings that they have beside each other: `random,aging:population=10,reinforce`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from deap import base

from evonas.errors import UserError
from evonas.operators import by_decision
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.strategies.aging import AgingEvolution
from evonas.strategies.local_search import LocalSearch
from evonas.strategies.nsga2 import NSGA2
from evonas.strategies.random_search import RandomSearch

if TYPE_CHECKING:
    from evonas.strategies.controllers import Controller


# Presets of what learns. `table`, the default, is for a few hundred queries: the settings in the functions below.
PAPER: dict[str, dict[str, Any]] = {
    "reinforce": {"batch": 8, "learning_rate": 6e-4, "decay": 0.95, "entropy": 0.0},  # Zoph and Le 2017, section 4.1
    "ppo": {"batch": 20, "learning_rate": 3.5e-4, "decay": 0.95, "entropy": 1e-5},  # Zoph et al. 2018, appendix A
    "q-learning": {"schedule": "paper", "shaping": False, "rate": 0.01},  # Baker et al. 2017, section 4 and appendix D
}
EPSILONS = ((1.0, 15), (0.5, 15), (0.2, 20), (0.1, 50))  # of Q-learning, and for how many in a hundred queries


def toolbox_of(space: Space, rng: Random) -> base.Toolbox:
    """The roles that the strategies share on a table: uniform individuals, all neighbours, one of them as mutation."""
    box = by_decision.toolbox(space, rng=rng)
    box.register("mutate", by_decision.mut_one_decision, space=space, rng=rng)
    return box


def reinforce(
    box: base.Toolbox, *, rng: Random, controller: str = "lstm", batch: int = 1, learning_rate: float = 0.0,
    decay: float = 0.8, entropy: float = 0.002,
) -> Strategy:  # fmt: skip
    """A learning rate of 0 stands for the controller's own."""
    from evonas.strategies.reinforce import Reinforce  # torch is loaded only where a controller is asked for

    policy, own_rate = _controller(box.space, controller, rng)
    return Reinforce(policy, batch=batch, learning_rate=learning_rate or own_rate, decay=decay, entropy=entropy)


def ppo(
    box: base.Toolbox, *, rng: Random, controller: str = "lstm", batch: int = 5, learning_rate: float = 0.0,
    decay: float = 0.9, entropy: float = 0.002, passes: int = 4, clip: float = 0.2,
) -> Strategy:  # fmt: skip
    """A learning rate of 0 stands for twice the controller's own, shared by the passes."""
    from evonas.strategies.reinforce import PPO

    policy, own_rate = _controller(box.space, controller, rng)
    return PPO(policy, batch=batch, learning_rate=learning_rate or 2 * own_rate / passes, decay=decay,
               entropy=entropy, passes=passes, clip=clip)  # fmt: skip


def _controller(space: Space, name: str, rng: Random) -> tuple[Controller, float]:
    """And its learning rate for a few hundred queries, which is much larger than those of the papers, which have
    thousands."""
    from evonas.strategies.controllers import Independent, Recurrent

    if name == "independent":
        return Independent(space, rng=rng), 0.15
    if name == "lstm":
        return Recurrent(space, rng=rng, units=50), 0.01
    raise UserError(f"controller is {name!r}; use lstm or independent")


def q_learning(
    box: base.Toolbox, *, rng: Random, planned: int, schedule: str = "table", shaping: bool = True, rate: float = 0.1,
    replays: int = 100, initial: float = 0.5,
) -> Strategy:  # fmt: skip
    """Whatever the schedule of epsilon, it is stretched over the planned queries. With shaping (Block-QNN) a decision
    has its part of the reward; without, a value is that of the best that can follow, and where states forget what came
    before, as on tables, no early decision is worth more than another."""
    from evonas.strategies.q_learning import METAQNN, QLearning, scaled

    schedules = {"table": EPSILONS, "paper": METAQNN}
    if schedule not in schedules:
        raise UserError(f"q-learning:schedule is {schedule!r}; use {' or '.join(schedules)}")
    return QLearning(
        box.space, rng=rng, schedule=scaled(schedules[schedule], planned), distinct=False, rate=rate, replays=replays,
        initial=initial, shaping=shaping,
    )  # fmt: skip


STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "random": lambda box, *, rng: RandomSearch(box),
    "aging": AgingEvolution,
    "local": LocalSearch,
    "nsga2": NSGA2,
    "reinforce": reinforce,
    "ppo": ppo,
    "q-learning": q_learning,
}


@dataclass(frozen=True)
class Contender:
    """A strategy with its settings, by name, so that it travels to workers: `aging:population=10,sample=10`."""

    text: str
    name: str
    settings: tuple[tuple[str, Any], ...]

    @classmethod
    def read(cls, text: str) -> Contender:
        """Raises UserError for an unknown strategy or setting, and for a value of another type."""
        name, _, words = text.partition(":")
        if name not in STRATEGIES:
            raise UserError(f"unknown strategy {name!r}; strategies are {', '.join(STRATEGIES)}")
        parameters = inspect.signature(STRATEGIES[name]).parameters
        known = {key: each.default for key, each in parameters.items() if each.default is not inspect.Parameter.empty}
        given, preset = {}, "table"
        for word in filter(None, words.split(",")):
            key, _, value = word.partition("=")
            if key == "preset" and name in PAPER:
                preset = value
            elif key in known:
                given[key] = _value(f"{name}:{key}", value, type(known[key]))
            else:
                has = [*known, *["preset"] * (name in PAPER)]
                raise UserError(f"{name} has no setting {key!r}; it has {', '.join(has) or 'none'}")
        if preset not in ("table", "paper"):
            raise UserError(f"{name}:preset is {preset!r}; use table or paper")
        settings = (PAPER[name] if preset == "paper" else {}) | given
        return cls(text, name, tuple(settings.items()))

    def strategy(self, toolbox: base.Toolbox, rng: Random, *, planned: int) -> Strategy:
        """planned: evaluations that the search will have, over which schedules are stretched."""
        make = STRATEGIES[self.name]
        schedule = {"planned": planned} if "planned" in inspect.signature(make).parameters else {}
        return make(toolbox, rng=rng, **schedule, **dict(self.settings))


def read_contenders(text: str) -> list[Contender]:
    """`random,aging:population=10,sample=10,local`: settings follow their strategy; a name begins the next one."""
    parts: list[str] = []
    for word in text.split(","):
        if parts and "=" in word and ":" not in word:
            parts[-1] += f",{word}"
        else:
            parts.append(word)
    contenders = [Contender.read(part.strip()) for part in parts]
    if len({contender.text for contender in contenders}) < len(contenders):
        raise UserError(f"strategies {text!r}: one of them is given twice")
    return contenders


def _value(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name} is {text!r}; use true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{name} is {text!r}; use {'a whole number' if kind is int else 'a number'}") from None
