"""Progressive search (Liu et al. 2018, "Progressive Neural Architecture Search", arXiv:1712.00559, algorithm 1): from
simple to complex, a beam chosen by what a predictor says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from deap import base

from evonas.errors import UserError
from evonas.individual import Individual, by_id
from evonas.predictors.predictor import Predictor
from evonas.ranking import rank_correlation
from evonas.strategies.choice import Best, Choice
from evonas.strategies.first import First
from evonas.strategies.strategy import Strategy

DECIMALS = 5


class Progressive(Strategy):
    """All networks of the smallest size are evaluated; then, size by size, the predictor learns from all that were
    evaluated, all networks that are larger by one than the last ones are predicted, and K of them chosen and evaluated.

    toolbox      a DEAP toolbox over a space whose genomes grow: `larger(genome)`, `size(genome)` and `key(genome)`
    make         () -> a fresh `evonas.predictors.predictor.Predictor`
    beam         K
    smallest     at most so many networks of the smallest size, drawn from all of them; 0: all
    sizes        size after which the search ends; 0: when nothing is larger
    choose       which K (`evonas.strategies.choice`); None: those with the best predictions

    With several workers all wait at the end of a size. Predictors learn fitnesses between 0 and 1; others are scaled to
    these. They learn those of full trainings only, and where there is none, K are drawn. Failures are left out.

    Raises UserError for settings out of range, and for a space whose genomes do not grow.
    """

    endless = False
    ended = "there is no larger network to evaluate"

    def __init__(
        self,
        toolbox: base.Toolbox,
        make: Callable[[], Predictor],
        *,
        rng: Random,
        beam: int = 256,
        smallest: int = 0,
        sizes: int = 0,
        choose: Choice | None = None,
    ) -> None:
        if beam < 1 or min(smallest, sizes) < 0:
            raise UserError(f"beam is {beam}, smallest {smallest} and sizes {sizes}; use at least 1, 0 and 0")
        space = toolbox.space
        if missing := [name for name in ("larger", "size", "key") if not hasattr(space, name)]:
            raise UserError(f"genomes of {space.name} do not grow by a block at a time (it has no `{missing[0]}`); use "
                            "pnas, dpp-net, or another strategy")  # fmt: skip
        self.space, self.make, self.rng = space, make, rng
        self.fits: Callable[[Any], bool] = getattr(toolbox, "fits", lambda genome: True)
        self.beam, self.smallest, self.sizes = beam, smallest, sizes
        self.known: list[Individual] = []  # with a fitness of a full training, in the order of their ids
        self.last: list[Individual] = []  # of the present size
        self.waiting: list[Individual] | None = None  # None: the smallest ones are not drawn yet
        self.in_flight = 0
        self.size = 0
        self.choose = choose or Best()
        self.correlations: dict[int, float] = {}  # size -> of predictions for what was evaluated there, and its outcome

    @property
    def population(self) -> Iterable[Individual]:  # type: ignore[override]
        return [*self.last, *(self.waiting or [])]

    def generate(self, n: int | None = None) -> list[Individual]:
        if self.waiting is None:
            self.waiting = self._smallest()
        elif not self.waiting and not self.in_flight and self.last and self.size != self.sizes:
            self.waiting = self._larger()
        end = len(self.waiting) if n is None else n
        given, self.waiting = self.waiting[:end], self.waiting[end:]
        self.in_flight += len(given)
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        individuals = list(individuals)
        self.in_flight -= len(individuals)
        self.revise(individuals)

    def revise(self, individuals: Iterable[Individual]) -> None:
        """What has come to its end is learnt from."""
        self.known += [each for each in individuals if each.fitness.valid and each.fidelity == 1]
        self.known.sort(key=by_id)

    def check(self, problem: Any, *, inherit: bool = False) -> None:
        self.choose.check(problem.objectives)

    def prepare(self, bench: Any, folder: Path | None = None) -> None:
        self.choose.prepare(bench, folder)

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """It writes genomes itself: what a search begins with comes before it."""
        return First(first, then=self) if first else self

    def _smallest(self) -> list[Individual]:
        """Line 1: S1 = B1."""
        found = [genome for genome in self.space.larger(()) if self.fits(genome)]
        if 0 < self.smallest < len(found):
            found = self.rng.sample(found, self.smallest)
        self.size = min((self.space.size(genome) for genome in found), default=0)
        self.last = [Individual(genome) for genome in found]
        for individual in self.last:
            individual.operator = "smallest"
        return list(self.last)

    def _larger(self) -> list[Individual]:
        """Lines 4 to 9: fit, expand, predict, and take K."""
        self._note()
        candidates = self._expanded([individual for individual in self.last if individual.fitness.valid])
        self.size += 1
        if not candidates:
            self.last = []
            return []
        if not self.known:
            self.rng.shuffle(candidates)
            self.last = list(islice(filter(self.fits, candidates), self.beam))
            return list(self.last)
        values = np.array([individual.fitness.wvalues[0] for individual in self.known])
        low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        scale = float(high - low) or 1.0
        predictor = self.make()
        predictor.fit(self.known, (values - low) / scale)  # from scratch, on all sizes so far
        mean, _ = predictor.predict(candidates)
        places = self.choose(candidates, mean, self.beam, self.fits)
        self.last = [candidates[place] for place in places]
        weight = self.known[0].fitness.weights[0]
        for individual, place in zip(self.last, places, strict=True):
            predicted = round((low + scale * float(mean[place])) / weight, DECIMALS)
            individual.proposal |= {"predicted": predicted, "size": self.size}
        return list(self.last)

    def _expanded(self, parents: Sequence[Individual]) -> list[Individual]:
        """All that are larger by one, each network once."""
        found: dict[str, Individual] = {}
        for parent in parents:
            for genome in self.space.larger(parent):
                if (key := self.space.key(genome)) not in found:
                    found[key] = child = Individual(genome)
                    child.parents, child.operator = parent.sources, "larger"
        return list(found.values())

    def _note(self) -> None:
        """How well the outcomes of the last size were predicted."""
        ended = [each for each in self.last if each.proposal and each.fitness.valid and each.fidelity == 1]
        pairs = [(each.proposal["predicted"], each.fitness.values[0]) for each in ended]
        if pairs:
            predicted, found = zip(*pairs, strict=True)
            self.correlations[self.size] = rank_correlation(predicted, found)
