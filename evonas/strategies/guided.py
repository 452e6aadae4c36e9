"""Search guided by a predictor: sequential model-based optimisation (Hutter, Hoos and Leyton-Brown 2011, algorithm 1)
over genomes, of which BANANAS (White et al. 2021, arXiv:1910.11858), NPENAS (Wei et al. 2020, arXiv:2003.12857) and
Bayesian optimisation are settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

import numpy as np
from deap import base

from evonas.errors import UserError
from evonas.individual import Individual, by_id
from evonas.predictors import predictor_of
from evonas.predictors.predictor import Predictor
from evonas.predictors.values import at_one_fidelity, at_scores, normal_scores
from evonas.ranking import rank_correlation
from evonas.space import Genome
from evonas.strategies.steady_state import mutated
from evonas.strategies.strategy import Strategy

ENUMERABLE = 20_000  # genomes of a space up to which all of them are candidates
TRIES = 100  # draws in a row that give no new genome, after which one is proposed again
GROWTH = 1.25  # the predictor is put to the test each time when the data have grown by so much
FOLDS = 5
DECIMALS = 5


class Guided(Strategy):
    """After `initial` random individuals, a predictor learns from all that were evaluated, and of many candidates the
    one that it thinks best is proposed.

    toolbox      a DEAP toolbox with individual, clone and mutate; the candidates are what it draws and mutates, so
                 limits and operators are kept. In a space of at most 20,000 genomes, all are candidates
    predictor    of `evonas.predictors`: gp, ridge, forest or bananas
    encoding     of genomes, for the predictor: one-hot, pairs, counts, paths, or several joined by +
    acquisition  what is maximised over the candidates: thompson (a function drawn from the predictor's belief), ei
                 (expected improvement), ucb (an upper confidence bound), mean
    spread       standard deviations of a draw of thompson about the mean, or of the bound of ucb above it, as
                 multiples of those that the predictor believes in
    initial      random individuals at first, or those with which the search begins where they are more
    candidates   of which a proposal is chosen, where the space is larger: half of them mutants, half random
    parents      how many of the best have mutants
    batch        proposals that are made of one fit
    trust        rank correlation, of predictions for what a predictor has not learnt from, below which by more than
                 a standard error it is not used: then a child of the best of a sample is proposed, as in aging
                 evolution
    evaluations  in all, where the budget does not say it; 0: it has to

    Fitnesses are seen as normal scores of their ranks, the first objective only. Those of trainings that a scheduler
    has stopped are brought to the furthest fidelity (`predictors.values.at_one_fidelity`), and again when they have
    gone on. A failure counts as much as the worst of them, so that what always fails is not proposed again and again.
    The trust is measured anew, by 5-fold cross-validation, each time when the data have grown by a quarter. Individuals
    say in their `proposal` what was predicted, in the units of the fitness.

    Raises UserError for settings out of range, and for a space without a sequence of decisions.
    """

    roles = ("individual", "mutate")

    def __init__(
        self,
        toolbox: base.Toolbox,
        *,
        rng: Random,
        predictor: str = "gp",
        encoding: str = "one-hot+pairs",
        acquisition: str = "thompson",
        spread: float = 0.65,
        initial: int = 10,
        candidates: int = 400,
        parents: int = 10,
        batch: int = 1,
        trust: float = 0.2,
        evaluations: int = 0,
    ) -> None:
        if min(initial, candidates, parents, batch) < 1:
            raise UserError(f"initial is {initial}, candidates {candidates}, parents {parents} and batch {batch}; use "
                            "at least 1")  # fmt: skip
        if evaluations < 0:
            raise UserError(f"evaluations is {evaluations}; use at least 1, or 0 for as many as there is a budget for")
        if trust > 1:
            raise UserError(f"trust is {trust}, and no rank correlation is above 1; use less, such as 0.2")
        if spread < 0:
            raise UserError(f"spread is {spread}; use 0 or more, such as 1 for the whole uncertainty of the predictor")
        if acquisition not in ACQUISITIONS:
            raise UserError(f"acquisition is {acquisition!r}; use {', '.join(ACQUISITIONS)}")
        self.toolbox, self.rng, self.space = toolbox, rng, toolbox.space
        self.make = predictor_of(predictor, encoding, self.space, seed=rng.getrandbits(32))
        self.numbers = np.random.default_rng(rng.getrandbits(64))  # for draws of functions
        self.acquisition, self.spread, self.trust = acquisition, spread, trust
        self.initial, self.candidates, self.parents, self.batch = initial, candidates, parents, batch
        self.evaluations = evaluations or None
        self.predictor = self.make()
        self.drawn = 0
        self.proposed: set[tuple] = set()  # genomes
        self.unfit: set[tuple] = set()  # candidates that break the limits: decoding them takes long
        self.known: list[Individual] = []  # with a fitness, in the order of their ids
        self.failed: list[Individual] = []  # without one, likewise
        self.reports: dict[int, dict[float, float]] = {}  # by object: value at each fidelity
        self.queue: list[Individual] = []  # chosen, and not yet asked for
        self.correlation: float | None = None  # of the last test
        self._tested = 0  # values that there were then
        self._all: tuple[tuple, ...] = ()  # genomes of a small space

    # ---- the contract ---------------------------------------------------------------------------------------------

    def generate(self, n: int | None = None) -> list[Individual]:
        given: list[Individual] = []
        while len(given) < (n or 1):
            if not self.queue:
                self.queue = self._chosen()
            given.append(self.queue.pop(0))
        return given

    def update(self, individuals: Iterable[Individual]) -> None:
        for individual in individuals:
            if not individual.fitness.valid:
                self.failed.append(individual)
            else:
                self.known.append(individual)
                self._report(individual)
        self.failed.sort(key=by_id)
        self.known.sort(key=by_id)  # what is learnt does not depend on the order in which evaluations end

    def revise(self, individuals: Iterable[Individual]) -> None:
        """What a training is worth that has gone on is learnt as well."""
        for individual in individuals:
            if individual.fitness.valid:
                self._report(individual)

    def _report(self, individual: Individual) -> None:
        self.reports.setdefault(id(individual), {})[individual.fidelity] = individual.fitness.wvalues[0]

    @property
    def _values(self) -> np.ndarray:
        """What is known of each, as far as the furthest has been trained; the more the better."""
        return at_one_fidelity([self.reports[id(individual)] for individual in self.known])

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """The toolbox hands them out as if it drew them, so so many are asked for before there are candidates."""
        self.initial = max(self.initial, len(first))
        return self

    # ---- a round --------------------------------------------------------------------------------------------------

    def _chosen(self) -> list[Individual]:
        """The next proposals: random ones, a child, or the best of the candidates."""
        if self.drawn < self.initial or len(self.known) < self.predictor.least:
            self.drawn += 1
            return [self._new(self.toolbox.individual)]
        genomes = [*self.known, *self.failed]
        known = self._values
        values = np.append(known, np.full(len(self.failed), known.min()))
        if not self._trusted(genomes, values):
            return [self._new(self._child)]
        scores = normal_scores(values)
        self.predictor.fit(genomes, scores)
        pool, chosen = self._pool(), []
        for _ in range(self.batch):
            worth = ACQUISITIONS[self.acquisition](self.predictor, pool, scores.max(), self.spread, self.numbers)
            if (found := self._first_new(pool, np.argsort(-worth, kind="stable"))) is None:
                break
            chosen.append(self._said(found, values))
        return chosen or [self._new(self.toolbox.individual)]

    def _trusted(self, genomes: Sequence[Individual], values: np.ndarray) -> bool:
        if len(values) >= max(self._tested * GROWTH, self.predictor.least):
            self.correlation, self._tested = _cross_validated(self.make, genomes, values), len(values)
        error = 1 / (self._tested - 1) ** 0.5  # of a rank correlation of what is unrelated
        return self.correlation is not None and self.correlation >= self.trust - error

    def _pool(self) -> Sequence[Genome]:
        """The candidates: all genomes of a small space, or mutants of the best and random ones."""
        if self.space.has_at_most(ENUMERABLE):
            self._all = self._all or tuple(self.space.genomes())
            return self._all
        elite = [self.known[place] for place in np.argsort(-self._values, kind="stable")[: self.parents]]
        tools = getattr(self.toolbox, "unguarded", self.toolbox)  # limits are asked of what is proposed alone
        return [
            mutated(tools, elite[number // 2 % len(elite)]) if number % 2 else tools.individual()
            for number in range(self.candidates)
        ]

    def _first_new(self, pool: Sequence[Genome], order: Iterable[int]) -> Individual | None:
        """The first candidate, in this order of their places, that was not proposed and keeps the limits, if any."""
        fits = getattr(self.toolbox, "fits", lambda genome: True)
        for place in order:
            genome = pool[place]
            if (key := tuple(genome)) in self.proposed or key in self.unfit:
                continue
            if fits(genome):
                self.proposed.add(key)
                return genome if isinstance(genome, Individual) else _enumerated(genome)
            self.unfit.add(key)
        return None

    def _said(self, individual: Individual, values: np.ndarray) -> Individual:
        """With what is predicted of it, one standard deviation below and above."""
        mean, std = self.predictor.predict([individual])
        found = at_scores(mean + std * np.array([-1.0, 0.0, 1.0]), values) / self.known[0].fitness.weights[0]
        low, predicted, high = sorted(round(float(value), DECIMALS) for value in found)  # minimised: turned round
        individual.proposal = {"predicted": predicted, "low": low, "high": high}
        individual.proposal["rank_correlation"] = round(self.correlation or 0.0, DECIMALS)
        return individual

    # ---- without the predictor ------------------------------------------------------------------------------------

    def _child(self) -> Individual:
        values = self._values
        place = max((self.rng.randrange(len(values)) for _ in range(self.parents)), key=lambda place: values[place])
        return mutated(self.toolbox, self.known[place])

    def _new(self, draw: Callable[[], Individual]) -> Individual:
        """A genome that was not proposed, if some draws give one."""
        for _ in range(TRIES):
            individual = draw()
            if tuple(individual) not in self.proposed:
                break
        self.proposed.add(tuple(individual))
        return individual


def _enumerated(genome: Genome) -> Individual:
    individual = Individual(genome)
    individual.operator = "enumerated"
    return individual


def _cross_validated(make: Callable[[], Predictor], genomes: Sequence[Individual], values: np.ndarray) -> float:
    """The rank correlation of predictions in five parts, each by a predictor that has learnt from the others."""
    predicted = np.zeros(len(values))
    for fold in range(FOLDS):
        held = np.arange(len(values)) % FOLDS == fold
        if held.all() or not held.any():
            continue
        predictor = make()
        predictor.fit([g for g, out in zip(genomes, held, strict=True) if not out], normal_scores(values[~held]))
        predicted[held] = predictor.mean([g for g, out in zip(genomes, held, strict=True) if out])
    return rank_correlation(predicted.tolist(), values.tolist())


# ---- what is maximised --------------------------------------------------------------------------------------------


def thompson(
    predictor: Predictor, pool: Sequence[Genome], top: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """A function drawn from the predictor's belief (Thompson 1933), its deviations from the mean `spread` times as
    large: v of Agrawal and Goyal (2013, "Thompson Sampling for Contextual Bandits with Linear Payoffs", section 2.2).

    With less than one, what is known to be good is tried sooner; a bound would do so too, but is the same from one
    proposal to the next, and does not come back where the belief is wrong.
    """
    mean = predictor.mean(pool)
    return mean + spread * (predictor.draw(pool, rng) - mean)


def expected_improvement(
    predictor: Predictor, pool: Sequence[Genome], top: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """E max(y - top, 0) of a normal y (Jones, Schonlau and Welch 1998, eq. 15)."""
    from scipy.special import ndtr

    mean, std = predictor.predict(pool)
    std = np.maximum(std, 1e-12)
    z = (mean - top) / std
    return (mean - top) * ndtr(z) + std * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def upper_bound(
    predictor: Predictor, pool: Sequence[Genome], top: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """So many standard deviations above the mean."""
    mean, std = predictor.predict(pool)
    return mean + spread * std


def mean_alone(
    predictor: Predictor, pool: Sequence[Genome], top: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """The mean: no exploration but by the candidates."""
    return predictor.mean(pool)


ACQUISITIONS = {"thompson": thompson, "ei": expected_improvement, "ucb": upper_bound, "mean": mean_alone}
