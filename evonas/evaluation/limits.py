"""Limits that the networks of a search keep, and the guard that holds a DEAP toolbox within them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evonas.errors import UserError
from evonas.evaluation.candidate import Decoder, Genome
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.latency import LatencyTable, table
from evonas.objectives import read_count
from evonas.support.files import place

DRAWS = 5_000  # random genomes after which limits count as impossible


@dataclass(frozen=True)
class Limits:
    """What a network may cost at most; None: any cost. Checked on the graph, before anything is trained.

    latency_ms  of a forward pass, as predicted by
    latencies   the file of a table (`evonas.latency`), in which the objective latency is read too
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    latency_ms: float | None = None
    latencies: str | None = None

    def __post_init__(self) -> None:
        for name, limit in self.counts.items():
            if limit < 1:
                raise UserError(f"max_{name} is {limit}; use at least 1")
        if self.latency_ms is not None and not 0 < self.latency_ms < inf:
            raise UserError(f"target_ms is {self.latency_ms}; use more than 0")
        if self.latency_ms is not None and self.latencies is None:
            raise UserError("a target needs a table; give --target-ms 5 --latencies latency.json, which evonas measure "
                            "makes")  # fmt: skip

    def __bool__(self) -> bool:
        return bool(self.counts) or self.latency_ms is not None

    @classmethod
    def read(
        cls,
        parameters: int | str | None,
        multiply_adds: int | str | None,
        target_ms: float | None = None,
        latencies: str | Path | None = None,
        usual: Mapping[str, int] = MappingProxyType({}),
    ) -> Limits:
        """Limits from numbers, or from texts such as 200k and 20M; of a count that is not given, the usual one, if any.
        Raises UserError for other texts, and for a file that is no table of latencies."""
        if latencies is not None:
            latencies = str(place(latencies).resolve())
            table(latencies)
        given = {"parameters": parameters, "multiply_adds": multiply_adds}
        counts = {name: usual.get(name) if each is None else read_count(each) for name, each in given.items()}
        return cls(**counts, latency_ms=target_ms, latencies=latencies)

    @property
    def table(self) -> LatencyTable | None:
        """The table of latencies, where one is named."""
        return None if self.latencies is None else table(self.latencies)

    @property
    def counts(self) -> dict[str, int]:
        """Those that are counted on a graph."""
        found = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {name: limit for name, limit in found.items() if limit is not None}

    def broken_by(self, graph: Graph) -> str:
        """Which limit the graph breaks, and by how much; empty where it keeps all."""
        for name, limit in self.counts.items():
            if (count := getattr(graph, name)) > limit:
                return f"{count:,} {name.replace('_', '-')}, over the limit of {limit:,}"
        if self.latency_ms is not None and (takes := self._takes(graph)) > self.latency_ms:
            return f"a latency of {takes:.3g} ms, over the target of {self.latency_ms:g}"
        return ""

    def _takes(self, graph: Graph) -> float:
        assert self.table is not None, "a target has one"
        return self.table.of(graph)

    def told(self) -> Iterator[str]:
        """Each limit in words."""
        yield from (f"{limit:,} {name.replace('_', '-')}" for name, limit in self.counts.items())
        if self.latency_ms is not None:
            yield f"{self.latency_ms:g} ms by {self.latencies}"

    def keeps(self, graph: Graph) -> bool:
        return not self.broken_by(graph)

    def check(self, decoder: Decoder, draw: Callable[[], Individual], advice: Callable[[], str] = str) -> None:
        """Raises UserError where none of `DRAWS` random genomes keeps the limits, with the smallest cost met and, if
        there is any, the advice which settings help."""
        smallest: dict[str, int] = {}
        quickest: float | None = None
        for _ in range(DRAWS):
            try:
                graph = decoder.graph(draw())
            except Exception:  # a user's decode may raise anything; `Space.check` says so where it always does
                continue
            if not self.broken_by(graph):
                return
            for name in ("parameters", "multiply_adds"):
                smallest[name] = min(smallest.get(name, getattr(graph, name)), getattr(graph, name))
            if self.latency_ms is not None:
                takes = self._takes(graph)
                quickest = takes if quickest is None else min(quickest, takes)
        quick = "" if quickest is None else f", the quickest took {quickest:.3g} ms"
        helps = advice()
        raise UserError(f"none of {DRAWS:,} random networks keeps the limits; the smallest had "
                        f"{smallest['parameters']:,} parameters and {smallest['multiply_adds']:,} multiply-adds"
                        f"{quick}: raise the limits, or make the space smaller{helps and f' ({helps})'}")  # fmt: skip


class Guard:
    """Keeps a DEAP toolbox within limits: what it makes is drawn again until it fits. `rejected` counts the others.

    This is DEAP's way with constraints, decoration. A mutation or crossover that finds nothing within `TRIES` leaves
    the parent's genome, which keeps the limits.
    """

    TRIES = 100

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        self.decoder, self.limits = decoder, limits
        self.rejected = 0

    def fits(self, genome: Genome) -> bool:
        try:
            fits = not self.limits.broken_by(self.decoder.graph(genome))
        except Exception:  # a user's decode may raise anything: what has no graph keeps no limit
            fits = False
        self.rejected += not fits
        return fits

    def decorate(self, toolbox: Any) -> None:
        """The toolbox's roles individual, mutate and mate, where it has them. A strategy that writes genomes itself, or
        looks at many that it does not propose, asks the role `fits`; `unguarded` is the toolbox as it was."""
        toolbox.unguarded = copy.copy(toolbox)
        toolbox.register("fits", self.fits)
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
