"""Genomes as DEAP individuals.

Plain classes of a module, not `deap.creator`'s: those become a new class each time one is unpickled. What travels
between processes and what is kept is the plain value, `tuple(individual)`.
"""

from __future__ import annotations

from typing import Any

from deap import base


class Fitness(base.Fitness):
    """Values of an evaluation, one for each weight: positive to be maximised, negative to be minimised.

    A failed evaluation has no values: its fitness stays invalid, compares below every other, and selection gives it no
    chance. Weights belong to the object, so that a space need not know what it is searched for.
    """

    weights: tuple[float, ...] = (1.0,)

    def __init__(self, values: Any = (), weights: Any = None) -> None:
        if weights is not None:
            self.weights = tuple(weights)
        super().__init__(values)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        copy = self.__class__(weights=self.weights)
        copy.wvalues = self.wvalues
        return copy

    def setValues(self, values: Any) -> None:
        if len(values):
            super().setValues(values)
        else:
            self.delValues()

    values = property(base.Fitness.getValues, setValues, base.Fitness.delValues)


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
    """

    def __init__(self, tokens: Any = ()) -> None:
        super().__init__(tokens)
        self.fitness = Fitness()
        self.id: int | None = None
        self.parents: tuple[int, ...] = ()
        self.operator = "random"
        self.reset = False
        self.role: str | None = None
        self.generation: int | None = None
        self.proposal: dict[str, Any] = {}
        self.provisional = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        copy = self.__class__(self)  # tokens are immutable values
        copy.__dict__.update(self.__dict__)
        copy.fitness = self.fitness.__deepcopy__(memo)
        return copy
