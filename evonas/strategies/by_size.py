"""The smallest networks first, or the largest: the opponents that tell whether a search on a table has learnt more than
that size matters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from random import Random
from typing import Any

from deap import base

from evonas.individual import Individual
from evonas.space import Genome, Space, require_sequence
from evonas.strategies.first import First
from evonas.strategies.strategy import Strategy

MOST = 20_000  # genomes that are decoded and counted


class BySize(Strategy):
    """Proposes each genome of a space once, by its multiply-adds, then by its parameters, then in the order of the
    space. It learns nothing.

    A space of more than MOST genomes is represented by so many that are drawn uniformly; those that are drawn twice
    count once. A genome that cannot be decoded, or breaks a limit, is left out. The counts of a whole space are kept
    for the next search of this process.

    toolbox   of the space
    largest   the largest first

    Raises UserError for a space whose genomes are not sequences of decisions, and for one that decodes none of them.
    """

    population = ()  # nobody has children

    endless = False
    ended = "all networks have been proposed"

    def __init__(self, toolbox: base.Toolbox, *, rng: Random, largest: bool) -> None:
        space = toolbox.space
        require_sequence(space, "a list by size")
        if space.has_at_most(MOST):
            counts = _of_all(space)
        else:
            counts = _counts(space, dict.fromkeys(space.random(rng) for _ in range(MOST)))
        sign = -1 if largest else 1
        ordered = sorted(counts, key=lambda each: (sign * each[0], sign * each[1]))
        fits: Callable[[Any], bool] = getattr(toolbox, "fits", lambda genome: True)
        self.waiting = (genome for _, _, genome in ordered if fits(genome))

    def generate(self, n: int | None = None) -> list[Individual]:
        return list(map(Individual, islice(self.waiting, n or 1)))

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """It writes genomes itself: what a search begins with comes before it."""
        return First(first, then=self) if first else self

    def update(self, individuals: Iterable[Individual]) -> None:
        """Do nothing: the order is fixed."""


def smallest_first(toolbox: base.Toolbox, *, rng: Random) -> BySize:
    """The networks of a space by size, the smallest first."""
    return BySize(toolbox, rng=rng, largest=False)


def largest_first(toolbox: base.Toolbox, *, rng: Random) -> BySize:
    """The networks of a space by size, the largest first."""
    return BySize(toolbox, rng=rng, largest=True)


Counted = tuple[int, int, tuple[Any, ...]]  # multiply-adds, parameters, genome


@lru_cache(maxsize=4)
def _of_all(space: Space) -> list[Counted]:
    """Those of all genomes. Decoding thousands of networks takes longer than searching their table: the trials of a
    process share this."""
    return _counts(space, space.genomes())


def _counts(space: Space, genomes: Iterable[Genome]) -> list[Counted]:
    found: list[Counted] = []
    reason: Exception | None = None
    for genome in genomes:
        try:
            graph = space.decode(genome)
        except Exception as error:  # a user's decode may raise anything
            reason = error
        else:
            found.append((graph.multiply_adds, graph.parameters, tuple(genome)))
    if not found and reason is not None:
        raise reason
    return found
