"""Which networks of a search are the best: only those are compared whose outcomes may be.

A full outcome is worth more than any partial, predicted or shared one; those are told apart from it everywhere, and are
compared with their like only where there is no full one: partial ones of the same number of epochs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

RANKED = ("full", "shared")  # whose networks may win: by trainings, else by the shared weights of a supernet
FINALISTS = "finalists"  # the phase in which the best few are trained by the final recipe: of these the best wins
PARTIAL = "partial"  # else, where no training has come to its end, those that came furthest

Anything = TypeVar("Anything")


def alike(outcomes: Sequence[Anything], of: Callable[[Anything], tuple[str, int]]) -> list[Anything]:
    """Those that may be held against each other, of status and epochs reached: of whole trainings, else of shared
    weights, else of the trainings that came furthest."""
    for status in RANKED:
        if found := [each for each in outcomes if of(each)[0] == status]:
            return found
    cut = [each for each in outcomes if of(each)[0] == PARTIAL]
    furthest = max((of(each)[1] for each in cut), default=0)
    return [each for each in cut if of(each)[1] == furthest]


def comparable(records: Iterable[Mapping[str, Any]], *, phase: str | None = "search") -> list[Mapping[str, Any]]:
    """The records of a phase with values that may be held against each other (`alike`)."""
    valued = [r for r in records if r.get("values") and (phase is None or r["phase"] == phase)]
    return alike(valued, lambda record: (record["status"], record.get("reached") or 0))


@dataclass(frozen=True)
class Best:
    """A genome with its value. `provisional`: one on the way, which counts only while there is no other; `parameters`:
    of its network, where they are known."""

    id: int
    genome: tuple
    value: float
    provisional: bool = False
    parameters: float = inf


def best(told: Iterable[Best], weight: float, *, apart: bool = False) -> Best | None:
    """The genome with the best mean over its evaluations, under its first id; of equal ones that with the fewest
    parameters, then the earliest. Of nothing but provisional ones it is the last. None of nothing.

    apart   each evaluation stands for itself, as where a value is not the genome's alone (weights are inherited)
    """
    everything = list(told)
    counting = [each for each in everything if not each.provisional]
    if not counting:
        return max(everything, key=lambda found: found.id, default=None)
    if apart:
        return max(counting, key=lambda found: (weight * found.value, -found.parameters))
    values: dict[tuple, list[float]] = defaultdict(list)
    first: dict[tuple, Best] = {}
    for each in counting:
        values[each.genome].append(each.value)
        first.setdefault(each.genome, each)
    means = {genome: fmean(found) for genome, found in values.items()}  # exact: equal values have an equal mean
    genome = max(means, key=lambda genome: (weight * means[genome], -first[genome].parameters))
    return replace(first[genome], value=means[genome])


def best_of(records: Iterable[Mapping[str, Any]], weight: float, *, apart: bool = False) -> Best | None:
    """The best genome of a search, by its records: of its finalists, where they were trained, under the id that it has
    in the search. `apart` as for `best`."""
    records = list(records)
    if finalists := _finalists(records):
        return best(finalists, weight, apart=True)
    told = comparable(record for record in records if record.get("role") is None)
    return best(
        (
            Best(
                r["id"],
                tuple(r["genome"]),
                r["values"][0],
                r.get("provisional", False),
                r.get("measures", {}).get("parameters", inf),
            )
            for r in told
        ),
        weight,
        apart=apart,
    )


def _finalists(records: Sequence[Mapping[str, Any]]) -> list[Best]:
    """Those of the search as far as it has come."""
    last = max((record["id"] for record in records if record["phase"] == "search"), default=-1)
    return [
        Best(r["parents"][0], tuple(r["genome"]), r["values"][0], parameters=r["measures"].get("parameters", inf))
        for r in records
        if r["phase"] == FINALISTS and r["id"] > last and r.get("status") == "full"
    ]


def the_best(
    told: Iterable[Best],
    weight: float,
    count: int,
    *,
    apart: bool = False,
    key: Callable[[tuple], Any] = lambda genome: genome,
) -> list[Best]:
    """So many genomes that differ by their key, such as what their networks are; the best first: each is the `best` of
    those that are left."""
    left, found = list(told), list[Best]()
    while len(found) < count and (next_best := best(left, weight, apart=apart)) is not None:
        found.append(next_best)
        left = [each for each in left if key(each.genome) != key(next_best.genome)]
    return found


def pareto_front(records: Iterable[Mapping[str, Any]], objectives: Mapping[str, float]) -> list[Mapping[str, Any]]:
    """The networks of the search that no other one beats in every objective; the best in the first objective first.

    Of networks with equal values the one asked first stands for all.
    """
    weights = list(objectives.values())
    return undominated((tuple(np.multiply(weights, r["values"]).tolist()), r) for r in comparable(records))


def undominated(valued: Iterable[tuple[tuple[float, ...], Anything]]) -> list[Anything]:
    """Those whose values, all to be maximised, no other's values dominate."""
    first: dict[tuple[float, ...], Anything] = {}
    for values, one in valued:
        first.setdefault(values, one)
    found: list[tuple[float, ...]] = []
    for values in sorted(first, reverse=True):  # whatever dominates these has come before them
        if not any(all(a >= b for a, b in zip(other, values, strict=True)) for other in found):
            found.append(values)
    return [first[values] for values in found]


def rank_correlation(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Spearman's; nan where all of either are equal."""
    from scipy.stats import spearmanr

    if len(set(one)) < 2 or len(set(other)) < 2:
        return nan
    return float(spearmanr(one, other).statistic)
