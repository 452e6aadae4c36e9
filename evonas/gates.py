"""Gates: whether an edge of a graph is present, as a function of the decisions of a genome.

A gate is 0, 1, or a small expression over open decisions. Known parts are folded when the expression is built, so a
closed genome has gates 0 and 1 only, and the same decoder yields the stand-alone network and the supernet.

On a hard route (a token for each decision) a gate is 0 or 1. On a soft route (weights for the options) it is the
probability of the same event if the decisions were independent: `every` multiplies, `no` takes the complement, and
`some` is the complement of none. The two agree where the weights are one-hot.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Route = Mapping[str, Any]  # decision -> token, or {option: weight}; an omitted option has weight 0


@dataclass(frozen=True)
class Is:
    """A gate that is open if the decision took this option."""

    decision: str
    option: Hashable

    def __str__(self) -> str:
        return f"{self.decision}={self.option}"


@dataclass(frozen=True)
class No:
    gate: Gate

    def __str__(self) -> str:
        return f"no({self.gate})"


@dataclass(frozen=True)
class Every:
    gates: tuple[Gate, ...]

    def __str__(self) -> str:
        return f"every({', '.join(map(str, self.gates))})"


@dataclass(frozen=True)
class Some:
    gates: tuple[Gate, ...]

    def __str__(self) -> str:
        return f"some({', '.join(map(str, self.gates))})"


Gate = int | Is | No | Every | Some


def no(gate: Gate) -> Gate:
    """A gate that is open where `gate` is closed."""
    match gate:
        case int():
            return 1 - gate
        case No(inner):
            return inner
    return No(gate)


def every(gates: Iterable[Gate]) -> Gate:
    """A gate that is open where all `gates` are; open if there are none."""
    unknown = tuple(gate for gate in gates if gate != 1)
    if any(gate == 0 for gate in unknown):
        return 0
    return Every(unknown) if len(unknown) > 1 else unknown[0] if unknown else 1


def some(gates: Iterable[Gate]) -> Gate:
    """A gate that is open where at least one of `gates` is; closed if there are none."""
    unknown = tuple(gate for gate in gates if gate != 0)
    if any(gate == 1 for gate in unknown):
        return 1
    return Some(unknown) if len(unknown) > 1 else unknown[0] if unknown else 0


def value(gate: Gate, route: Route) -> Any:
    """The value of a gate on a route: the integer 0 or 1 on a hard route, a weight (number or tensor) on a soft one.

    Raises KeyError if the route lacks a decision on which the gate depends.
    """
    match gate:
        case int():
            return gate
        case Is(decision, option):
            choice = route[decision]
            return choice.get(option, 0) if isinstance(choice, Mapping) else int(choice == option)
        case No(inner):
            return 1 - value(inner, route)
        case Every(gates):
            return _product(value(inner, route) for inner in gates)
        case Some(gates):
            return 1 - _product(1 - value(inner, route) for inner in gates)
    raise TypeError(f"{gate!r} is not a gate")


def is_closed(weight: Any) -> bool:
    """Whether a weight is known to be 0. A tensor never is, because reading it would wait for the device."""
    return isinstance(weight, (int, float)) and weight == 0


def _product(factors: Iterable[Any]) -> Any:
    product: Any = 1
    for factor in factors:
        if is_closed(factor):
            return 0
        product = factor if isinstance(product, int) and product == 1 else product * factor
    return product


def to_json(gate: Gate) -> Any:
    """A gate as plain JSON: 0, 1, ["is", decision, option], ["no", gate], ["every", ...] or ["some", ...]."""
    match gate:
        case Is(decision, option):
            return ["is", decision, option]
        case No(inner):
            return ["no", to_json(inner)]
        case Every(gates):
            return ["every", *map(to_json, gates)]
        case Some(gates):
            return ["some", *map(to_json, gates)]
    return gate


def from_json(data: Any) -> Gate:
    """The inverse of `to_json`. Raises ValueError for anything else."""
    if data in (0, 1) and isinstance(data, int):
        return int(data)
    match data:
        case ["is", str(decision), token]:
            return Is(decision, token)
        case ["no", inner]:
            return No(from_json(inner))
        case ["every", *inner]:
            return Every(tuple(map(from_json, inner)))
        case ["some", *inner]:
            return Some(tuple(map(from_json, inner)))
    raise ValueError(f"{data!r:.80} is no gate")
