"""Search strategies, which propose genomes and learn from their fitness. This module is independent of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol, runtime_checkable

from evonas.graph import Graph
from evonas.individual import Individual
from evonas.recipe import Recipe


class Strategy(Protocol):
    """DEAP's generate-update contract, as `deap.algorithms.eaGenerateUpdate` uses it.

    generate(n)          returns at most n individuals to evaluate; n=None: the strategy's own notion of a generation.
                         [] means that it needs an update first, and leaves the state of the strategy unchanged.
    update(individuals)  takes individuals from `generate`, in any order and with any delay, each with its fitness set;
                         a failed one has an invalid fitness.

    A strategy that generates genomes itself, instead of drawing them from a toolbox, sets `writes = True`; the initial
    genomes of a search then precede its own.

    A strategy is deterministic, given its generator and the order of these calls; this makes a run resumable.
    """

    def generate(self, n: int | None = None) -> list[Individual]: ...

    def update(self, individuals: Iterable[Individual]) -> None: ...


@runtime_checkable
class Trains(Strategy, Protocol):
    """A strategy that trains all networks together by itself, and evaluates genomes with their shared weights.

    check(recipe)                      raises UserError for a recipe with which it cannot train
    prepare(bench, checkpoint, first)  is called before all other methods, with images and a recipe (a `Bench`), the
                                       file for its state, and the initial genomes
    evaluation(individual)             the evaluation of one of its proposals, or of any other genome that it contains
    random(rng)                        one of those genomes
    share(graph)                       time of an epoch of stand-alone training of the network of a graph, as a fraction
                                       of the time of an epoch of this strategy
    """

    def check(self, recipe: Recipe) -> None: ...

    def prepare(self, bench: Any, checkpoint: Path | None, first: Sequence[Sequence[Any]]) -> None: ...

    def evaluation(self, individual: Individual) -> Any: ...

    def random(self, rng: Random) -> Sequence[Any]: ...

    def share(self, graph: Graph) -> float: ...
