"""Random search: the baseline that every other strategy has to beat (Li and Talwalkar 2019, arXiv:1902.07638)."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.individual import Individual
from evonas.strategies.strategy import Strategy


class RandomSearch(Strategy):
    """Proposes what the role `individual` of a DEAP toolbox draws, with repetition.

    evaluations  number of evaluations in all
    """

    population = ()  # nobody has children

    roles = ("individual",)

    def __init__(self, toolbox: base.Toolbox, *, rng: Random | None = None, evaluations: int | None = None) -> None:
        self.toolbox, self.evaluations = toolbox, evaluations

    def generate(self, n: int | None = None) -> list[Individual]:
        return [self.toolbox.individual() for _ in range(n or 1)]

    def update(self, individuals: Iterable[Individual]) -> None:
        """Do nothing: random search does not learn."""


def sampling(toolbox: base.Toolbox, *, rng: Random, evaluations: int = 1000) -> RandomSearch:
    """Random search that plans a number of evaluations, as a system whose search it is.

    evaluations   in all
    """
    if evaluations < 1:
        raise UserError(f"evaluations is {evaluations}; use at least 1")
    return RandomSearch(toolbox, rng=rng, evaluations=evaluations)
