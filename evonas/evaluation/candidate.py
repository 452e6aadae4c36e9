"""A candidate: a genome on its way from a strategy's proposal to an outcome."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evonas.graph import Graph
from evonas.individual import Individual
from evonas.morphisms import Heritage
from evonas.space import Space
from evonas.support.streams import stream

Genome = Sequence[Any]
REMEMBERED = 1024  # graphs: a generation that is checked against limits when it is made, and asked for one by one


@dataclass(frozen=True)
class Origin:
    """The weights with which a training begins.

    name     of what is inherited, which stands for its content; fresh: all are drawn
    weights  as safetensors: copied where name and shape agree; the others are drawn
    parent   id of the individual that they come from, and
    genome   its genome; None: nobody's
    epochs   that they have been trained for, along the whole ancestry
    warning  why there are none, where there should be
    """

    name: str = "fresh"
    weights: bytes | None = field(default=None, repr=False)
    parent: int | None = None
    genome: tuple[Any, ...] | None = None
    epochs: int = 0
    warning: str | None = None


FRESH = Origin()


class Decoder:
    """Decodes genomes of a space, and remembers the last graphs: whoever proposes, limits and identifies a genome asks
    for the same one. The graph of a genome is decoded once while it is remembered, its digest computed once."""

    def __init__(self, space: Space, *, remembered: int = REMEMBERED) -> None:
        self.space, self.remembered = space, remembered
        self._graphs: OrderedDict[tuple, Graph] = OrderedDict()
        self._digests: dict[tuple, str] = {}

    def graph(self, genome: Genome) -> Graph:
        """Raises whatever the space's `decode` raises."""
        key = tuple(genome)
        found = self._graphs.get(key)
        if found is None:
            found = self._graphs[key] = self.space.decode(key)
            while len(self._graphs) > self.remembered:
                oldest, _ = self._graphs.popitem(last=False)
                self._digests.pop(oldest, None)
        return found

    def digest(self, genome: Genome) -> str:
        key = tuple(genome)
        graph = self.graph(key)
        found = self._digests.get(key)
        if found is None:
            found = self._digests[key] = graph.digest()
        return found


class Candidate:
    """A genome and what an evaluator may ask of it. It travels to workers, where its graph is decoded once more.

    genome     plain tokens
    decoder    of its space; None where nothing is ever decoded, as on a table
    id         under which a run has asked for it
    parents    ids of the individuals that it was made of, and
    operator   what made it
    role       what it stands for beside a search, such as "winner" or "reference"
    proposal   what its strategy says of it
    epochs     of the full schedule that it gets now; None: all of them
    had        of these, what it has had before
    state      of a training that goes on, as `evonas.training.course` has it; None: it begins
    origin     the weights with which its training begins
    keeps      its weights are wanted, trained
    identity   equal for candidates whose results can stand for each other; set when it is asked for
    """

    def __init__(
        self,
        genome: Genome,
        space: Space | Decoder | None = None,
        *,
        id: int | None = None,
        parents: tuple[int, ...] = (),
        operator: str = "",
        role: str | None = None,
        proposal: dict[str, Any] | None = None,
        epochs: int | None = None,
        state: bytes | None = None,
        origin: Origin = FRESH,
        keeps: bool = False,
    ) -> None:
        self.genome = tuple(genome)
        self.decoder = Decoder(space) if isinstance(space, Space) else space
        self.id, self.parents, self.operator, self.role = id, parents, operator, role
        self.proposal = proposal or {}
        self.epochs, self.had, self.state, self.origin, self.keeps = epochs, 0, state, origin, keeps
        self.identity: str | None = None

    @classmethod
    def of(cls, individual: Individual, space: Space | Decoder | None = None) -> Candidate:
        """What an evaluator sees of an individual."""
        return cls(
            individual, space, id=individual.id, parents=individual.parents, operator=individual.operator,
            role=individual.role, proposal=individual.proposal,
        )  # fmt: skip

    @property
    def space(self) -> Space:
        assert self.decoder is not None, "who decodes says of which space"
        return self.decoder.space

    @property
    def graph(self) -> Graph:
        """Decoded when it is first asked for. Raises whatever the space's `decode` raises."""
        assert self.decoder is not None, "who decodes says of which space"
        return self.decoder.graph(self.genome)

    @property
    def digest(self) -> str:
        assert self.decoder is not None, "who decodes says of which space"
        return self.decoder.digest(self.genome)

    def heritage(self, seed: int) -> Heritage | None:
        """How its network comes from that whose weights it begins with (`Space.heritage`)."""
        if self.origin.weights is None or self.origin.genome is None:
            return None
        return self.space.heritage(self.origin.genome, self.genome, stream(seed, "heritage"))

    def __getstate__(self) -> dict[str, Any]:
        """Without graphs: to send one takes longer than to decode it again."""
        return self.__dict__ | {"decoder": None if self.decoder is None else self.decoder.space}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.decoder, Space):
            self.decoder = Decoder(self.decoder, remembered=1)
