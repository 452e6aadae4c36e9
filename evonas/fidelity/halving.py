"""Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", arXiv:1502.07943) and Hyperband (Li et al. 2018, JMLR 18(185), arXiv:1603.06560)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from evonas.errors import UserError
from evonas.fidelity.scheduler import Scheduler, Trial, rungs


@dataclass
class Bracket:
    """A run of successive halving: `size` trainings begin, and of those that reach a rung the best go on together.

    budgets   epochs of each rung, in ascending order; the last is the full schedule
    sizes     trainings that each rung has, at most; the first is how many begin
    eta       factor between them
    """

    budgets: Sequence[int]
    sizes: list[int]
    eta: float
    rung: int = 0
    begun: int = 0
    known: dict[int, Trial] = field(default_factory=dict)  # those of the present rung that have reached it

    @property
    def full(self) -> bool:
        """All that it takes have begun."""
        return self.rung > 0 or self.begun == self.sizes[0]

    @property
    def complete(self) -> bool:
        """All of its present rung have reached it."""
        return len(self.known) == (self.begun if self.rung == 0 else self.sizes[self.rung])

    def decide(self) -> tuple[list[int], list[int]]:
        """The ids that go on, the best first, and those that stop; its next rung begins. Of equal ones, those that were
        asked for first go on."""
        able = [each for each in self.known.values() if not each.failed]
        ordered = [each.id for each in sorted(able, key=lambda each: (-each.value, each.id))]
        chosen = ordered[: self.sizes[self.rung + 1]]
        stopped = [id for id in sorted(self.known) if id not in chosen]
        self.rung, self.known = self.rung + 1, {}
        self.sizes[self.rung] = len(chosen)  # fewer than planned where some have failed
        return chosen, stopped


class Synchronous(Scheduler):
    """The base of schedulers by brackets, one after the other. A rung waits for all of its trainings; a worker that has
    nothing to do meanwhile begins with the next bracket, where the strategy has more to propose."""

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self._made = 0
        self._brackets: list[Bracket] = []  # that are not at their end
        self._of: dict[int, Bracket] = {}  # by id of a training that has not stopped
        self._next: list[tuple[int, int]] = []

    @abstractmethod
    def bracket(self, number: int) -> Bracket:
        """The bracket of this number, from 0."""

    def begin(self, id: int) -> int:
        filling = next((each for each in self._brackets if not each.full), None)
        if filling is None:
            filling = self.bracket(self._made)
            self._made += 1
            self._brackets.append(filling)
        filling.begun += 1
        self._of[id] = filling
        return filling.budgets[0]

    def report(self, trial: Trial) -> list[int]:
        bracket = self._of[trial.id]
        bracket.known[trial.id] = trial
        told = []
        if trial.failed or trial.epochs == self.epochs:  # nothing is to be decided of it
            del self._of[trial.id]
            told = [trial.id]
        return told + (self._decided(bracket) if bracket.full and bracket.complete else [])

    def next(self) -> tuple[int, int] | None:
        return self._next.pop(0) if self._next else None

    def close(self) -> list[int] | None:
        """A bracket that is not filled any more is decided with those that it has."""
        waiting = [bracket for bracket in self._brackets if bracket.complete]
        return [id for bracket in waiting for id in self._decided(bracket)] if waiting else None

    @property
    def open(self) -> set[int]:
        return set(self._of)

    def _decided(self, bracket: Bracket) -> list[int]:
        if bracket.rung == len(bracket.budgets) - 1:
            self._brackets.remove(bracket)
            return []
        if not bracket.full:  # it is closed before it is full
            bracket.sizes = shrinking(bracket.begun, bracket.eta, len(bracket.budgets))
        chosen, stopped = bracket.decide()
        self._next += [(id, bracket.budgets[bracket.rung]) for id in chosen]
        told = [id for id in stopped if self._of.pop(id, None) is not None]
        if not chosen:
            self._brackets.remove(bracket)
        return told


class SuccessiveHalving(Synchronous):
    """Successive halving: of `candidates` trainings the best 1/eta go on, eta times as long, and so on to the end.

    eta         factor between the rungs
    least       epochs of the first rung
    candidates  trainings that begin together; 0: so many that one of them comes to its end
    """

    def __init__(self, epochs: int, *, eta: float = 3.0, least: int = 1, candidates: int = 0) -> None:
        super().__init__(epochs)
        self.budgets = rungs(least, eta, epochs)
        self.eta = eta
        self.candidates = candidates or round(eta ** (len(self.budgets) - 1))
        if self.candidates < eta or candidates < 0:
            raise UserError(f"candidates is {candidates}; use at least eta, {eta:g}, so that some of them go on")

    def bracket(self, number: int) -> Bracket:
        return Bracket(self.budgets, shrinking(self.candidates, self.eta, len(self.budgets)), self.eta)


class Hyperband(Synchronous):
    """Hyperband: successive halving in brackets, from many short trainings to few long ones, over and over.

    eta        factor between the rungs
    least      epochs of the shortest rung: the R of the paper is the full schedule in units of it
    published  the numbers that begin: algorithm, those of the paper's Algorithm 1, ceil((B / R) eta^s / (s + 1)); or
               table, those of its Table 1 and of HpBandSter, floor((s_max + 1) / (s + 1)) eta^s
    """

    def __init__(self, epochs: int, *, eta: int = 3, least: int = 1, published: str = "algorithm") -> None:
        super().__init__(epochs)
        if eta < 2:
            raise UserError(f"eta is {eta}; use a whole number of at least 2")
        if published not in ("algorithm", "table"):
            raise UserError(f"published is {published!r}; use algorithm, or table")
        rungs(least, eta, epochs)  # raises for what cannot be
        self.eta, self.published = eta, published
        self.s_max = 0
        while least * eta ** (self.s_max + 1) <= epochs:  # by whole numbers: log_3 243 is below 5 in floating point
            self.s_max += 1

    def bracket(self, number: int) -> Bracket:
        s = self.s_max - number % (self.s_max + 1)
        budgets = [max(1, self.epochs // self.eta ** (s - i)) for i in range(s + 1)]  # r eta^i with r = R eta^-s
        assert all(a < b for a, b in pairwise(budgets)), "the shortest rung has at least one epoch"
        return Bracket(budgets, shrinking(self.starters(s), self.eta, s + 1), self.eta)

    def starters(self, s: int) -> int:
        """n: how many begin in bracket s."""
        if self.published == "table":
            return (self.s_max + 1) // (s + 1) * self.eta**s
        return -(-(self.s_max + 1) * self.eta**s // (s + 1))  # B / R = s_max + 1


def shrinking(n: int, eta: float, rungs: int) -> list[int]:
    """n_i = floor(n eta^-i), one at least."""
    return [max(1, int(n / eta**i + 1e-9)) for i in range(rungs)]
