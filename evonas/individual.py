"""Genomes as DEAP individuals, and the toolbox that knows where they come from.

Plain classes of a module, not `deap.creator`'s: those become a new class each time one is unpickled. What travels
between processes and what is kept is the plain value, `tuple(individual)`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from deap import base

COPY = "copy"  # what made a clone that nothing has changed yet
UNSAID = "given"  # what made an individual of which nobody says how it was made
DRAWN = "random"  # what made what a toolbox draws
WORST = 1e100  # worse than all values, and yet a number: some of DEAP's tools take medians, squares and differences
VARIATION = ("mate", "mutate", "neighbours")  # roles of a toolbox that make children of individuals


class Fitness(base.Fitness):
    """Values of an evaluation, one for each weight: positive to be maximised, negative to be minimised.

    It is not valid before an evaluation, when it has no values, and after a failed one (`values = ()`), which is worse
    in each objective than every other: it compares below the others, is dominated by them, and selection prefers them,
    which reads values in some of DEAP's tools. So its values are `WORST`, with the sign of what is bad.

    Weights belong to the object, so that a space need not know what it is searched for.
    """

    weights: tuple[float, ...] = (1.0,)

    def __init__(self, values: Any = (), weights: Any = None) -> None:
        if weights is not None:
            self.weights = tuple(weights)
        if len(values):
            self.values = values

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        copy = self.__class__(weights=self.weights)
        copy.wvalues = self.wvalues
        return copy

    @property
    def failed(self) -> bool:
        return bool(self.wvalues) and self.wvalues[0] == -WORST

    @property
    def valid(self) -> bool:
        return bool(self.wvalues) and self.wvalues[0] != -WORST

    def getValues(self) -> tuple[float, ...]:
        values = super().getValues()
        return tuple(map(_Failure, values)) if self.failed else values

    def setValues(self, values: Any) -> None:
        if len(values):
            super().setValues(values)
        else:
            self.wvalues = (-WORST,) * len(self.weights)

    values = property(getValues, setValues, base.Fitness.delValues)


class _Failure(float):
    """A value of a failure: the worst where values are compared, and nothing where a roulette adds them up."""

    def __radd__(self, other: Any) -> Any:
        return other


class Individual(list):
    """A genome: a list of tokens with a fitness.

    id          the number under which a run asked for its evaluation; None before that
    parents     ids of the individuals that it was made from
    operator    what made it, such as "mut_bits"
    reset       its weights are drawn anew also where children inherit those of their first parent
    role        what it stands for beside a search, such as "winner" or "reference"
    generation  of a generational algorithm, from 0; None elsewhere
    proposal    what the strategy says of how it was made, such as epsilon
    provisional it is one on the way, which is the result only of a search that was cut short
    fidelity    share of a full training on which its fitness is based

    A clone (`toolbox.clone`, `copy.deepcopy`) is a child of what it was cloned from: it knows its parent, keeps its
    fitness until that is deleted, and is nobody's number until it is asked for.
    """

    def __init__(self, tokens: Any = ()) -> None:
        super().__init__(tokens)
        self.fitness = Fitness()
        self.id: int | None = None
        self.parents: tuple[int, ...] = ()
        self.operator = UNSAID
        self.reset = False
        self.role: str | None = None
        self.generation: int | None = None
        self.proposal: dict[str, Any] = {}
        self.provisional = False
        self.fidelity = 1.0

    @property
    def sources(self) -> tuple[int, ...]:
        """Whose child a change of this individual is: its own, where it was asked for, else its parents'."""
        return self.parents if self.id is None else (self.id,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        copy = self.__class__(self)  # tokens are immutable values
        if len(self.__dict__) != _ATTRIBUTES:  # others have noted something on it, such as the index of DEAP's History
            further = {name: value for name, value in self.__dict__.items() if name not in copy.__dict__}
            copy.__dict__.update(further)
        copy.fitness, copy.fidelity = self.fitness.__deepcopy__(memo), self.fidelity
        copy.parents = self.sources
        copy.operator = self.operator if self.id is None else COPY  # a copy of what nobody has asked for is that itself
        return copy


_ATTRIBUTES = len(Individual().__dict__)


def clone(individual: Any) -> Any:
    """`copy.deepcopy`, which for a single individual need not remember what it has met."""
    return individual.__deepcopy__({}) if isinstance(individual, Individual) else deepcopy(individual)


def by_id(individual: Individual) -> int:
    """The key by which individuals are sorted in the order in which a run asked for them; others come first."""
    return -1 if individual.id is None else individual.id


def judge(individual: Individual, values: tuple[float, ...], weights: tuple[float, ...] = (1.0,)) -> None:
    """Give an individual the fitness of an outcome: values by their weights, or that of a failure, without any."""
    if individual.fitness.weights != weights:
        individual.fitness = Fitness(weights=weights)
    individual.fitness.values = values


class Recorded:
    """A variation operator that writes down what it has done: the individuals that it returns have as parents all that
    those were made of which it was given, and its name as what made them (after that of an earlier operator). An
    operator that says more of itself (`individual.operator`) is left its word."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name
        self.__name__ = name

    def __call__(self, *given: Any, **options: Any) -> Any:
        before: dict[int, str] = {}
        sources: dict[int, None] = {}  # in their order, each once
        for parent in given:
            if isinstance(parent, Individual):
                before[id(parent)] = parent.operator
                sources.update(dict.fromkeys(parent.sources))
        children = self.function(*given, **options)
        for child in children:
            if isinstance(child, Individual):
                was = before.get(id(child))
                child.parents = tuple(sources)
                if was is None or child.operator == was:
                    child.operator = self.name if was in (None, COPY, UNSAID, DRAWN) else f"{was} + {self.name}"
        return children


class Drawn:
    """A function that draws individuals, which says so of them, where they do not say more of themselves."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = name_of(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        individual = self.function(*args, **kwargs)
        if isinstance(individual, Individual) and individual.operator == UNSAID:
            individual.operator = DRAWN
        return individual


class Toolbox(base.Toolbox):
    """DEAP's toolbox, whose roles mate, mutate and neighbours record parents and operator of every child, whatever
    function is registered for them; what the role individual draws is recorded too.

    space   whose genomes its individuals are
    """

    space: Any

    def __init__(self) -> None:
        super().__init__()
        self.register("clone", clone)

    def register(self, alias: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if alias == "individual" and not isinstance(function, Drawn):
            function = Drawn(function)
        if alias in VARIATION and not isinstance(function, Recorded):
            function = Recorded(function, name_of(function))
        super().register(alias, function, *args, **kwargs)

    def decorate(self, alias: str, *decorators: Callable[..., Any]) -> None:
        """As DEAP's; an operator keeps its name, and what its decorators do with it counts as done by it."""
        registered = getattr(self, alias)
        function = registered.func
        if not isinstance(function, Recorded):
            super().decorate(alias, *decorators)
            return
        inner = function.function
        for decorator in decorators:
            inner = decorator(inner)
        self.register(alias, Recorded(inner, function.name), *registered.args, **registered.keywords)


def name_of(function: Any) -> str:
    """What a function is called, below the partials around it."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
