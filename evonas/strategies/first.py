"""A strategy that proposes given individuals first, in order, and then follows another strategy, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.individual import Individual
from evonas.strategies.strategy import Strategy

if TYPE_CHECKING:
    from evonas.evaluation import Evaluator


class First(Strategy):
    """Proposes `individuals`, then follows the strategy `then`, which learns only from its own proposals."""

    def __init__(self, individuals: Sequence[Individual], *, then: Strategy | None = None) -> None:
        self.waiting, self.then = list(individuals), then
        self._given: dict[int, Individual] = {}  # by identity: while they are kept, no other object has the same
        self.endless = then is not None and then.endless
        if then is not None:
            self.evaluations, self.retrains_repeats = then.evaluations, then.retrains_repeats

    @property
    def population(self) -> Iterable[Individual] | None:  # type: ignore[override]
        return self.waiting if self.then is None else self.then.population

    @property
    def ended(self) -> str:  # type: ignore[override]
        return super().ended if self.then is None else self.then.ended

    def generate(self, n: int | None = None) -> list[Individual]:
        if self.waiting:
            end = len(self.waiting) if n is None else n
            given, self.waiting = self.waiting[:end], self.waiting[end:]
            self._given.update((id(individual), individual) for individual in given)
            return given
        return self.then.generate(n) if self.then else []

    def update(self, individuals: Iterable[Individual]) -> None:
        if self.then:
            self.then.update([individual for individual in individuals if id(individual) not in self._given])

    def revise(self, individuals: Iterable[Individual]) -> None:
        if self.then:
            self.then.revise([individual for individual in individuals if id(individual) not in self._given])

    def check(self, problem: Any, *, inherit: bool = False) -> None:
        if self.then:
            self.then.check(problem, inherit=inherit)

    def prepare(self, bench: Any, folder: Path | None = None) -> None:
        if self.then:
            self.then.prepare(bench, folder)

    def evaluator(self, usual: Evaluator) -> Evaluator:
        return usual if self.then is None else self.then.evaluator(usual)
