"""What a search asks of a strategy. It does not import torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas.errors import UserError
from evonas.individual import Individual

if TYPE_CHECKING:
    from evonas.evaluation import Evaluator


class Strategy(ABC):
    """DEAP's generate-update contract, as `deap.algorithms.eaGenerateUpdate` uses it: other libraries call it ask and
    tell.

    generate(n)          at most n individuals to evaluate, of tokens that equal options of the space; n=None: what the
                         strategy calls one generation. [] says: nothing before something has been told, and leaves the
                         strategy as it was.
    update(individuals)  individuals that `generate` gave, in any order and with any delay, each with its fitness set;
                         a failed one has an invalid fitness.

    revise(individuals)  those told before whose trainings have gone on since: their fitness has changed in place, and
                         `individual.fidelity` says to which share of a full training. By default nothing more happens.

    The first two are enough; what else a search asks has an answer here, which a strategy may replace:

    population         who is alive: those of whom children are made, and those that wait to be evaluated; (): nobody
                       ever has children; None: not known, so that all weights that might be inherited are kept
    evaluations        how many it plans to make: the budget of a search, where none is given; None: it does not say
    endless            it goes on proposing until a budget ends it
    ended              why it proposes nothing more
    retrains_repeats   a genome that is met again is trained again, instead of its result being used again
    roles              of a DEAP toolbox that it calls, beside clone: a toolbox without one is refused before a search

    A strategy is deterministic, given its generator and the order of these calls: this is what makes a run resumable.
    """

    population: Iterable[Individual] | None = None
    evaluations: int | None = None
    endless: bool = True
    ended: str = "nothing more to propose"
    retrains_repeats: bool = False
    roles: tuple[str, ...] = ()

    @abstractmethod
    def generate(self, n: int | None = None) -> list[Individual]: ...

    @abstractmethod
    def update(self, individuals: Iterable[Individual]) -> None: ...

    def revise(self, individuals: Iterable[Individual]) -> None:  # noqa: B027  most look at fitnesses when they need them
        """Called with those whose trainings have gone on since `update`."""

    def check(self, problem: Any, *, inherit: bool = False) -> None:  # noqa: B027  most have nothing to say
        """Raises UserError where the strategy cannot search such a problem (`evonas.run.problem.Problem`), with or
        without children that inherit weights. Called before anything is written."""

    def begin_with(self, first: Sequence[Individual]) -> Strategy:
        """The strategy that begins with these individuals. By default the toolbox hands them out before it draws."""
        return self

    def prepare(self, bench: Any, folder: Path | None = None) -> None:  # noqa: B027  likewise
        """Called once, before anything is asked, with what a training of the strategy's own needs
        (`evonas.supernets.training.Bench`), and a folder for files of its own; None: it keeps none."""

    def evaluator(self, usual: Evaluator) -> Evaluator:
        """What judges its proposals: by default what judges everybody's."""
        return usual


class Adopted(Strategy):
    """An object that has `generate` and `update`, and does not say more."""

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy

    def generate(self, n: int | None = None) -> list[Individual]:
        return self.strategy.generate(n)

    def update(self, individuals: Iterable[Individual]) -> None:
        self.strategy.update(individuals)


def adopt(strategy: Any) -> Strategy:
    """A strategy as one that answers all that a search asks. Raises UserError where it is none."""
    if isinstance(strategy, Strategy):
        return strategy
    if all(callable(getattr(strategy, name, None)) for name in ("generate", "update")):  # the border to users' objects
        return Adopted(strategy)
    raise UserError(f"{strategy!r} is not a strategy; give an object with generate(n) and update(individuals)")
