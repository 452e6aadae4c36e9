"""What proposes genomes and learns from their fitness. No torch here."""

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

    generate(n)          at most n individuals to evaluate; n=None: what the strategy calls one generation. [] says:
                         nothing before something has been told, and leaves the strategy as it was.
    update(individuals)  individuals that `generate` gave, in any order and with any delay, each with its fitness set;
                         a failed one has an invalid fitness.

    One that writes genomes itself, instead of drawing them from a toolbox, says so by `writes = True`; what a search is
    to begin with then comes before it.

    A strategy is deterministic, given its generator and the order of these calls: this is what makes a run resumable.
    """

    def generate(self, n: int | None = None) -> list[Individual]: ...

    def update(self, individuals: Iterable[Individual]) -> None: ...


@runtime_checkable
class Trains(Strategy, Protocol):
    """A strategy that trains networks itself, all at once, and judges genomes by their shared weights.

    check(recipe)                      raises UserError for a recipe by which it cannot learn
    prepare(bench, checkpoint, first)  before anything is asked: images and a recipe (a `Bench`), the file where
                                       its state is kept, and the genomes to begin with
    evaluation(individual)             of what it has proposed, or of any other genome that it holds
    random(rng)                        one of those genomes
    share(graph)                       of the time of an epoch here, what one takes that trains the network of a graph
    """

    def check(self, recipe: Recipe) -> None: ...

    def prepare(self, bench: Any, checkpoint: Path | None, first: Sequence[Sequence[Any]]) -> None: ...

    def evaluation(self, individual: Individual) -> Any: ...

    def random(self, rng: Random) -> Sequence[Any]: ...

    def share(self, graph: Graph) -> float: ...
