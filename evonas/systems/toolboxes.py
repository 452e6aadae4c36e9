"""DEAP toolboxes of systems whose strategies write genomes themselves: for what else draws from their spaces, such as
the random search that is the baseline, or NSGA-II where there are several objectives."""

from __future__ import annotations

from random import Random
from typing import Any

from deap import base

from evonas.operators import by_decision
from evonas.space import Space


def uniform(space: Space, settings: Any, rng: Random) -> base.Toolbox:
    """Individuals are drawn uniformly from all genomes."""
    return by_decision.toolbox(space, rng=rng)


def decision_by_decision(space: Space, settings: Any, rng: Random) -> base.Toolbox:
    """Individuals are drawn token by token, each from what is legal, as an agent explores."""
    box = by_decision.toolbox(space, rng=rng)
    box.register("individual", by_decision.init_by_decision, space, rng=rng)
    return box
