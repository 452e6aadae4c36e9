"""Weight inheritance: a child begins with what its parent had learnt, wherever a name and a shape agree (Real et al.
2017, arXiv:1703.01041, section 3.3).

Any strategy whose individuals name their parents can use it, over any space whose node names are stable: a tensor is
copied from the first parent where the child has one of the same name and shape, batch norm's statistics included; the
others are drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf

from evonas.evaluation.candidate import FRESH, Candidate, Origin
from evonas.evaluation.keeper import Keeper
from evonas.evaluation.outcome import Outcome
from evonas.evaluation.store import WeightsLost, WeightStore
from evonas.individual import UNSAID, Individual

NAMELESS = ("it names no parents, so it is trained from scratch: make children by cloning (toolbox.clone, "
            "copy.deepcopy) and changing the clone, or set individual.parents")  # fmt: skip


class Inheritance(Keeper):
    """What the individuals of one strategy have learnt: kept as long as a living one needs it.

    population  who is alive, or waits to be evaluated; None: nobody knows, and all is kept up to the limit
    weight      of the first objective: the best individual's weights are kept, dead or alive
    peers       others that keep weights in the same store
    first       with which individuals begin that have no parent

    Where the store's limit is reached, the weights of the worst go first. A child whose parent's weights are lost or
    damaged is trained from scratch, with a warning in its outcome; so is a child that does not name its parents.
    """

    def __init__(
        self,
        store: WeightStore,
        population: Callable[[], Iterable[Individual] | None],
        *,
        weight: float = 1.0,
        peers: list[Inheritance],
        first: Origin = FRESH,
    ) -> None:
        self.store, self.population, self.weight = store, population, weight
        self.peers, self.first = peers, first
        peers.append(self)
        self.names: dict[int, str] = {}  # id -> weights that it was told with
        self.epochs: dict[int, int] = {}  # along its ancestry
        self.genomes: dict[int, tuple] = {}
        self.worth: dict[str, float] = {}  # of the individual with these weights
        self.best: int | None = None
        self._best: tuple[float, int] | None = None
        self.in_flight: dict[int, tuple[int | None, Origin]] = {}  # id -> its parent, and what it begins with

    def begin(self, individual: Individual, candidate: Candidate) -> None:
        assert individual.id is not None, "the loop numbers an individual when it is asked"
        if individual.id not in self.in_flight:
            parent = individual.parents[0] if individual.parents else None
            if individual.reset:  # a training of its own, also where the parent had begun from scratch
                origin = Origin(f"reset of {self.names.get(parent, parent)}" if parent is not None else FRESH.name)
                self.in_flight[individual.id] = None, origin
            elif parent is None and individual.operator == UNSAID and self.epochs:
                self.in_flight[individual.id] = None, Origin(warning=NAMELESS)
            else:
                self.in_flight[individual.id] = parent, self.origin(parent)
        candidate.origin, candidate.keeps = self.in_flight[individual.id][1], individual.role is None

    def origin(self, parent: int | None) -> Origin:
        """What a child of this individual begins with."""
        if parent is None or parent not in self.epochs:  # nobody, or one that failed or is none of this strategy's
            return self.first
        try:
            name = self.names.get(parent, "")
            if name not in self.store.sizes:
                raise WeightsLost("they are not on disk; the limit there may be too low (--weights-disk)")
            return Origin(name, self.store.get(name), parent, self.genomes[parent], self.epochs[parent])
        except WeightsLost as lost:
            return Origin(warning=f"trained from scratch, since the weights of #{parent} are lost: {lost}")

    def left(self, id: int) -> Origin | None:
        return self.origin(id)

    def keep(self, individual: Individual, outcome: Outcome) -> Outcome:
        """Its weights are on disk before the journal speaks of them."""
        needed = {name for peer in self.peers for name in peer.needed()}
        self.store.keep_only(needed | {outcome.kept})
        if outcome.weights is None:
            return outcome
        room = not outcome.failed and self._room(len(outcome.weights), self.weight * outcome.values[0])
        return replace(outcome, weights=None, kept=self.store.put(outcome.weights) if room else None)

    def hear(self, individual: Individual, outcome: Outcome) -> None:
        assert individual.id is not None, "it was asked"
        self.in_flight.pop(individual.id, None)
        if outcome.failed or not outcome.lineage:
            return
        self.epochs[individual.id] = outcome.lineage["epochs"]
        self.genomes[individual.id] = tuple(individual)
        if outcome.kept is not None:
            self.names[individual.id] = outcome.kept
            self.worth[outcome.kept] = self.weight * outcome.values[0]
            better = (self.weight * outcome.values[0], -individual.id)  # of equals, the one that was asked first
            if self._best is None or better > self._best:
                self._best, self.best = better, individual.id

    def holds(self, outcome: Outcome) -> bool:
        """With a result goes what was learnt."""
        return outcome.failed or outcome.kept in self.store.sizes

    def needed(self) -> set[str]:
        """The weights that may still be asked for."""
        living = self.population()
        if living is None:
            return set(self.names.values())
        alive = list(living)
        parents = {i.parents[0] for i in alive if i.id not in self.epochs and i.parents}  # will be evaluated
        parents |= {parent for parent, _ in self.in_flight.values() if parent is not None}
        wanted = {individual.id for individual in alive} | parents | {self.best}
        return {self.names[id] for id in wanted if id is not None and id in self.names}

    def _room(self, size: int, worth: float) -> bool:
        """Delete the weights of the worst until there is room; False where the new ones are the worst themselves."""
        if self.store.limit is None:
            return True
        known = {name: value for peer in self.peers for name, value in peer.worth.items()}
        waiting = sorted(self.store.sizes, key=lambda name: (known.get(name, -inf), name))
        left, victims = self.store.total + size, []
        while left > self.store.limit:
            if not waiting or known.get(waiting[0], -inf) > worth:
                return False
            victims.append(waiting.pop(0))
            left -= self.store.sizes[victims[-1]]
        for name in victims:
            self.store.drop(name)
        return True
