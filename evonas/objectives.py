"""What a search maximises or minimises, and the limits that its networks keep."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.space import Genome, Space

MEASURED: dict[str, float] = {  # of a trained network: name -> weight of the fitness
    "accuracy": 1.0,
    "parameters": -1.0,
    "multiply_adds": -1.0,
    "latency": -1.0,
}
DRAWS = 5_000  # random genomes after which limits count as impossible


def read_objectives(names: str | Sequence[str]) -> dict[str, float]:
    """["accuracy", "parameters"], or "accuracy,parameters" -> {name: weight}, in this order.

    accuracy (a fraction, of the validation part) is maximised; parameters, multiply_adds and latency (ms for one
    image, measured) are minimised. Raises UserError for an unknown or repeated name, or none.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    for name in names:
        if name not in MEASURED:
            raise UserError(f"unknown objective {name!r}; use some of {', '.join(MEASURED)}")
    if len(set(names)) < len(names) or not names:
        raise UserError(f"objectives are {', '.join(names) or 'none'}; name each once, such as accuracy,parameters")
    if names[0] != "accuracy":
        raise UserError(f"the first objective is {names[0]}; put accuracy first: by it the winner is chosen")
    return {name: MEASURED[name] for name in names}


def own_objectives(objectives: Mapping[str, float]) -> dict[str, float]:
    """The objectives of a user's own evaluation, {name: weight}. Raises UserError where a weight is not a number."""
    for name, weight in objectives.items():
        if not isinstance(weight, int | float) or weight == 0:
            raise UserError(f"objective {name!r} has the weight {weight!r}; use 1 to maximise and -1 to minimise")
    if not objectives:
        raise UserError("there are no objectives; give at least one, such as {'score': 1}")
    return {name: float(weight) for name, weight in objectives.items()}


def read_count(value: int | str) -> int:
    """200000, 200k, 20M as a number. Raises UserError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", str(value))
    if not found:
        raise UserError(f"{value!r} is no count; write 200000, 200k or 20M")
    return round(float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]])


@dataclass(frozen=True)
class Limits:
    """What a network may cost at most; None: any cost. Checked on the graph, before anything is trained."""

    parameters: int | None = None
    multiply_adds: int | None = None

    def __post_init__(self) -> None:
        for name in ("parameters", "multiply_adds"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise UserError(f"max_{name} is {limit}; use at least 1")

    def __bool__(self) -> bool:
        return self.parameters is not None or self.multiply_adds is not None

    @classmethod
    def read(cls, parameters: int | str | None, multiply_adds: int | str | None) -> Limits:
        """Of numbers, or texts such as 200k and 20M. Raises UserError for other texts."""
        return cls(*(None if limit is None else read_count(limit) for limit in (parameters, multiply_adds)))

    def broken_by(self, graph: Graph) -> str:
        """Which limit the graph breaks, and by how much; empty where it keeps all."""
        for name in ("parameters", "multiply_adds"):
            limit, count = getattr(self, name), getattr(graph, name)
            if limit is not None and count > limit:
                return f"{count:,} {name.replace('_', '-')}, over the limit of {limit:,}"
        return ""

    def check(self, space: Space, draw: Callable[[], Individual]) -> None:
        """Raises UserError where none of `DRAWS` random genomes keeps the limits, with the smallest cost met."""
        smallest: dict[str, int] = {}
        for _ in range(DRAWS):
            try:
                graph = space.decode(draw())
            except Exception:  # a user's decode may raise anything; `Space.check` says so where it always does
                continue
            if not self.broken_by(graph):
                return
            for name in ("parameters", "multiply_adds"):
                smallest[name] = min(smallest.get(name, getattr(graph, name)), getattr(graph, name))
        raise UserError(f"none of {DRAWS:,} random networks keeps the limits; the smallest had "
                        f"{smallest['parameters']:,} parameters and {smallest['multiply_adds']:,} multiply-adds: "
                        "raise the limits, or shrink the space (`--set filters=...`)")  # fmt: skip


class Guard:
    """Keeps a DEAP toolbox within limits: what it makes is drawn again until it fits. `rejected` counts the others.

    This is DEAP's way with constraints, decoration. A mutation or crossover that finds nothing within `TRIES` leaves
    the parent's genome, which keeps the limits.
    """

    TRIES = 100

    def __init__(self, space: Space, limits: Limits) -> None:
        self.space, self.limits = space, limits
        self.rejected = 0

    def fits(self, genome: Genome) -> bool:
        try:
            fits = not self.limits.broken_by(self.space.decode(genome))
        except Exception:  # a user's decode may raise anything: what has no graph keeps no limit
            fits = False
        self.rejected += not fits
        return fits

    def decorate(self, toolbox: Any) -> None:
        """The toolbox's roles individual, mutate and mate, where it has them."""
        toolbox.decorate("individual", self._drawn_again)
        for role in ("mutate", "mate"):
            if hasattr(toolbox, role):
                toolbox.decorate(role, self._varied_again)

    def _drawn_again(self, draw: Callable[..., Individual]) -> Callable[..., Individual]:
        def drawn(*args: Any, **kwargs: Any) -> Individual:
            for _ in range(DRAWS):
                individual = draw(*args, **kwargs)
                if self.fits(individual):
                    return individual
            raise UserError(f"{DRAWS:,} draws in a row broke the limits; raise them, or shrink the space")

        return drawn

    def _varied_again(self, vary: Callable[..., tuple]) -> Callable[..., tuple]:
        def varied(*parents: Individual, **kwargs: Any) -> tuple:
            before = [(tuple(parent), parent.operator, parent.reset) for parent in parents]
            for _ in range(self.TRIES):
                children = vary(*parents, **kwargs)
                fitting = [self.fits(child) for child in children]  # every child is counted
                if all(fitting):
                    return children
                for parent, (genome, operator, reset) in zip(parents, before, strict=True):
                    parent[:], parent.operator, parent.reset = genome, operator, reset
            return parents

        return varied


@dataclass(frozen=True)
class Best:
    """A genome with its value. `provisional`: one on the way, which counts only while there is no other."""

    id: int
    genome: tuple
    value: float
    provisional: bool = False


def best(told: Iterable[Best], weight: float, *, apart: bool = False) -> Best | None:
    """The genome with the best mean over its evaluations, under its first id; the earlier one where two are equal. Of
    nothing but provisional ones it is the last. None of nothing.

    apart   each evaluation stands for itself, as where a value is not the genome's alone (weights are inherited)
    """
    everything = list(told)
    counting = [each for each in everything if not each.provisional]
    if not counting:
        return max(everything, key=lambda found: found.id, default=None)
    if apart:
        return max(counting, key=lambda found: weight * found.value)
    values: dict[tuple, list[float]] = defaultdict(list)
    ids: dict[tuple, int] = {}
    for each in counting:
        values[each.genome].append(each.value)
        ids.setdefault(each.genome, each.id)
    means = {genome: fmean(found) for genome, found in values.items()}  # exact: equal values have an equal mean
    genome = max(means, key=lambda genome: weight * means[genome])
    return Best(ids[genome], genome, means[genome])
