"""Selection by what a supernet's policy has learnt, as in SETN (Dong and Yang 2019, "One-Shot Neural Architecture
Search via Self-Evaluated Template Network", arXiv:1910.05733), and of what it has found, as in PC-NAS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from random import Random
from typing import Any

from evonas.errors import UserError
from evonas.individual import Individual, Toolbox
from evonas.space import Space, Token
from evonas.strategies.strategy import Strategy

SMALLEST = 1e-12  # probability of an option that a policy gives none


class Preferred(Strategy):
    """The genomes that the policy of a supernet finds likeliest, the likeliest first; or genomes drawn from it.

    toolbox      a DEAP toolbox over a space
    candidates   how many: K of the authors' code, T of the paper
    drawn        from the policy's distribution, as in the paper; else the K likeliest, as in the authors' code
    """

    endless = False
    ended = "all candidates have been judged"

    def __init__(self, toolbox: Toolbox, *, rng: Random, candidates: int = 100, drawn: bool = False) -> None:
        if candidates < 1:
            raise UserError(f"candidates is {candidates}; use at least 1")
        self.space, self.fits = toolbox.space, getattr(toolbox, "fits", lambda genome: True)
        self.rng, self.evaluations, self.drawn = rng, candidates, drawn
        self.waiting: list[tuple[Token, ...]] = []

    def check(self, problem: Any, *, inherit: bool = False) -> None:
        if problem.setup.supernet is None:
            raise UserError("it proposes what the policy of a supernet prefers, and there is none; give one, such as "
                            "--supernet setn")  # fmt: skip

    def prepare(self, bench: Any, folder: Path | None = None) -> None:
        assert self.evaluations is not None, "it is set"
        chosen = self._draws if self.drawn else likeliest
        self.waiting = list(reversed(chosen(self.space, bench.preference, self.evaluations, self.fits)))

    def _draws(self, space: Space, preference: Mapping[str, Mapping[str, float]], count: int, fits: Any) -> list:
        found: dict[tuple[Token, ...], None] = {}
        for _ in range(100 * count):
            genome: tuple[Token, ...] = ()
            while (decision := space.next(genome)) is not None:
                of = preference.get(decision.name, {})
                weights = [max(of.get(str(option), SMALLEST), SMALLEST) for option in decision.options]
                genome += tuple(self.rng.choices(decision.options, weights))
            if genome not in found and fits(genome):
                found[genome] = None
            if len(found) == count:
                break
        return list(found)

    def generate(self, n: int | None = None) -> list[Individual]:
        given = [Individual(self.waiting.pop()) for _ in range(min(n or len(self.waiting), len(self.waiting)))]
        for individual in given:
            individual.operator = "preferred"
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        """Nothing is learnt any more."""


def likeliest(
    space: Space, preference: Mapping[str, Mapping[str, float]], count: int, fits: Any = lambda genome: True
) -> list[tuple[Token, ...]]:
    """The genomes with the largest log p(a) = sum of log p_e(a_e), the likeliest first; equal ones in the order of the
    options. Of each prefix only the likeliest are continued: exact where what may be decided does not depend on what
    was. Twice as many where some do not fit, and so on.

    preference   the probability of each option, as text, of each decision
    """
    kept, most = count, max(count, min(space.count(), 1 << 16))
    while True:
        begun: list[tuple[float, tuple[Token, ...]]] = [(0.0, ())]
        done: list[tuple[float, tuple[Token, ...]]] = []
        while begun:
            longer = []
            for value, genome in begun:
                decision = space.next(genome)
                if decision is None:
                    done.append((value, genome))
                    continue
                of = preference.get(decision.name, {})
                for option in decision.options:
                    p = of.get(str(option), SMALLEST)
                    longer.append((value + log(max(p, SMALLEST)), (*genome, option)))
            begun = sorted(longer, key=lambda each: -each[0])[:kept]
        found = [genome for _, genome in sorted(done, key=lambda each: -each[0]) if fits(genome)][:count]
        if len(found) == count or kept >= most:
            return found
        kept *= 2


class Given(Strategy):
    """Proposes what it begins with, and nothing else: the genomes of `init`, and what a supernet's policy has found."""

    endless = False
    ended = "all that it began with has been judged"

    def __init__(self, toolbox: Toolbox, *, rng: Random) -> None:
        self.waiting: list[Individual] = []

    def begin_with(self, first: Sequence[Individual]) -> Given:
        self.waiting = list(first)
        return self

    def generate(self, n: int | None = None) -> list[Individual]:
        count = len(self.waiting) if n is None else n
        given, self.waiting = self.waiting[:count], self.waiting[count:]
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        """Nothing is learnt."""
