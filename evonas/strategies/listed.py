"""A strategy that proposes given individuals first, in order, and then follows another strategy, if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evonas.individual import Individual
from evonas.strategies import Strategy


class Listed:
    """Proposes `individuals`, then follows the strategy `then`, which learns only from its own proposals."""

    def __init__(self, individuals: Sequence[Individual], *, then: Strategy | None = None) -> None:
        self.waiting, self.then = list(individuals), then
        self._given: set[int] = set()

    def generate(self, n: int | None = None) -> list[Individual]:
        if self.waiting:
            end = len(self.waiting) if n is None else n
            given, self.waiting = self.waiting[:end], self.waiting[end:]
            self._given.update(map(id, given))
            return given
        return self.then.generate(n) if self.then else []

    def update(self, individuals: Iterable[Individual]) -> None:
        if self.then:
            self.then.update([individual for individual in individuals if id(individual) not in self._given])
