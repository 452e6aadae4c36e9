"""Aging evolution as the search of a system: its settings, and the strategy that they make."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from deap import base

from evonas.errors import UserError
from evonas.strategies.aging import AgingEvolution


@dataclass(frozen=True, kw_only=True)
class AgingSettings:
    """population P and sample S of aging evolution, and how many evaluations it makes in all."""

    population: int = 20
    sample: int = 5
    evaluations: int = 60

    def __post_init__(self) -> None:
        if min(self.population, self.sample, self.evaluations) < 1:
            raise UserError(f"population is {self.population}, sample {self.sample} and evaluations "
                            f"{self.evaluations}; use at least 1 of each")  # fmt: skip


def aging(toolbox: base.Toolbox, settings: AgingSettings, rng: Random) -> AgingEvolution:
    return AgingEvolution(toolbox, rng=rng, population=settings.population, sample=settings.sample)
