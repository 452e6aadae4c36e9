"""A table of networks that others have trained, and its look-up as an evaluator like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evonas.errors import UserError
from evonas.evaluation.candidate import Candidate, Genome
from evonas.evaluation.evaluator import Evaluator, here
from evonas.evaluation.outcome import Outcome
from evonas.space import Space


@dataclass(frozen=True)
class Metric:
    """What the values of a table are; the higher, the better.

    name   as texts have it, such as accuracy
    unit   % for shares in per cent, of which a search sees the fraction; empty for plain numbers, which it sees as they
           are
    """

    name: str = "accuracy"
    unit: str = "%"

    @property
    def scale(self) -> float:
        """By which a value of the table is divided where a search sees it."""
        return 100.0 if self.unit else 1.0

    @property
    def digits(self) -> int:
        """Decimal places with which a value is shown."""
        return 2 if self.unit else 4

    @property
    def difference(self) -> str:
        """The unit of a difference: of shares in per cent, points."""
        return "points" if self.unit else ""

    def __str__(self) -> str:
        """With its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


ACCURACY = Metric()


@dataclass(frozen=True, eq=False)
class Table:
    """What a search may see of each network, and what its winner is worth.

    signals     genome's key -> values of the metric, one of which is the signal of a trial
    test        key -> the metric on the test images
    seconds     key -> simulated seconds of one query; 1 where the table knows none
    epochs      of one query; 1 where the table does not say
    costs       name -> key -> what a network costs, as milliseconds on a device: further objectives, to be minimised
    elsewhere   name of other data -> key -> the metric on the test images there, of which no search learns anything
    metric      what the values are
    data        the name of the data
    shown       what the signal is, in words
    """

    space: Space
    signals: Mapping[str, tuple[float, ...]]
    test: Mapping[str, float]
    seconds: Mapping[str, float]
    epochs: int
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    elsewhere: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    metric: Metric = ACCURACY
    data: str = "cifar10"
    shown: str = "validation accuracy"

    @cached_property
    def best_test(self) -> float:
        return max(self.test.values())

    @cached_property
    def best_signal(self) -> float:
        """The highest signal of all networks. Raises UserError where the seed of a trial draws one of several: then
        each trial has another best network."""
        if self.several > 1:
            raise UserError(f"the signal is one of {self.several} trainings, drawn by the seed; to count the regret of "
                            "the signal, choose one by name (signal)")  # fmt: skip
        return max(value for (value,) in self.signals.values())

    @cached_property
    def several(self) -> int:
        """How many signals each network has."""
        return len(next(iter(self.signals.values())))

    @cached_property
    def mean_seconds(self) -> float:
        """What a query takes on average."""
        return sum(self.seconds.values()) / len(self.seconds)

    def key(self, genome: Genome) -> str:
        """Under which the table knows a genome."""
        return self.space.key(genome)  # type: ignore[attr-defined]

    def worth(self, genome: Genome) -> float:
        """The metric of a genome on the test images. Raises UserError where the table does not hold it."""
        key = self.key(genome)
        try:
            return self.test[key]
        except KeyError:
            raise lacks(key) from None

    def signal(self, which: int = 0, costs: Sequence[str] = ()) -> Lookup:
        """The evaluator of a trial that sees this one of the signals and, as further objectives, these costs.

        Raises UserError for a cost that the table does not know.
        """
        for name in costs:
            if name not in self.costs:
                known = ", ".join(self.costs) or "none; give the file of the costs as well"
                raise UserError(f"the table knows no cost {name!r}; it knows {known}")
        return Lookup(self, which, tuple(costs))


@dataclass(frozen=True, eq=False)
class Lookup(Evaluator):
    """Looks a candidate up: the signal (of shares in per cent, the fraction), its costs, and what a query takes.
    Nothing is decoded.

    Raises UserError for a genome that the table does not hold.
    """

    table: Table
    which: int
    costs: tuple[str, ...] = ()

    def key(self, genome: Genome) -> str:
        """Under which the table knows a genome."""
        return self.table.key(genome)

    def identity(self, candidate: Candidate) -> str:
        return self.key(candidate.genome)

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        key = candidate.identity or self.identity(candidate)
        try:
            value = self.table.signals[key][self.which] / self.table.metric.scale
        except KeyError:
            raise lacks(key) from None
        costs = [self.table.costs[name][key] for name in self.costs] if self.costs else ()
        return Outcome((value, *costs), epochs=self.table.epochs, seconds=self.table.seconds[key], worker=here())


def lacks(key: str) -> UserError:
    return UserError(f"the table has no {key}; a search needs one of all networks of its space")


def known(kind: str, name: str, names: Sequence[str]) -> str:
    """The name, which is one of these. Raises UserError, listing them, for another one."""
    if name not in names:
        use = f"one of {', '.join(names)}" if len(names) > 1 else names[0]
        raise UserError(f"the table knows no {kind} {name!r}; use {use}")
    return name
