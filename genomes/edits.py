"""Genomes as changes of a network: what is searched are the edits that lead away from a start.

A genome is a row of edits, each a kind, a place and a value, and `stop`, unless there are as many as there may be. All
edits keep the function, so that a network begins with what the one from which it comes has learnt (`Space.heritage`):
Net2Net (arXiv:1511.05641), NASH (arXiv:1711.04528), Path-level EAS (arXiv:1806.02639).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import ClassVar
from zlib import crc32

from evonas.errors import UserError
from evonas.genomes.start import recipe_of_start, start_graph
from evonas.graph import Graph
from evonas.morphisms import EXACT, KINDS, Heritage, Morphism, MorphismError, Rewrite, offers, parsed
from evonas.morphisms.branches import Branches
from evonas.morphisms.morphism import width_of
from evonas.morphisms.skips import Skip
from evonas.operations import Linear, Operation
from evonas.recipe import Recipe
from evonas.sequences import K
from evonas.space import CodeError, Decision, Genome, Space, Token, require_closed
from evonas.support.text import brief

STOP = "stop"
START = "start"  # the code of the network without edits
PARTS = ("", " place", " value")  # of the names of an edit's decisions
BUCKETS = 64  # words of a controller for places, and for values
REMEMBERED = 4096  # graphs, by the edits that lead to them


@dataclass(frozen=True)
class EditSpace(Space):
    """At most so many edits of a network.

    start    the network: the JSON of a graph, or a chain such as conv16-pool-conv32-pool-fc64; empty: the residual
             network by hand
    edits    at most
    kinds    of edits: widen, extend, deepen, add, concat, add-copies, concat-copies, concat-split, insert, replace
    kernels  of convolutions that are inserted
    factors  by which a layer may become wider at once, where there are no `widths`
    widths   that a convolution may have: it becomes as wide as the next one; and
    sizes    those of linear layers
    parts    into which a node may be branched
    noise    by which copies and inserted layers differ from what they are copies of, as a share of the deviation of the
             weights
    first_epochs   of the training of the start; 0: as many as of the others
    first_rate     learning rate of that; 0: that of the others
    """

    name: ClassVar[str] = "edits"
    countable: ClassVar[bool] = False
    start: str = ""
    edits: int = 8
    kinds: tuple[str, ...] = ("widen", "deepen", "add", "concat")
    kernels: tuple[int, ...] = (3, 5)
    factors: tuple[int, ...] = (2,)
    widths: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    parts: tuple[int, ...] = (2,)
    noise: float = 0.0
    first_epochs: int = 0
    first_rate: float = 0.0
    input_shape: tuple[int, int, int] = (3, 32, 32)
    outputs: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))  # what was read from JSON has a list
        if self.edits < 0:
            raise UserError(f"edits is {self.edits}; use at least 0")
        if unknown := [kind for kind in self.kinds if kind not in EXACT]:
            raise UserError(f"kinds has {unknown[0]!r}, which is no kind of edit; use {', '.join(EXACT)}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise UserError(f"kernels are {self.kernels}; what is inserted can hand on what it gets if they are odd")
        if min(*self.factors, *self.parts, 2, 2) < 2:
            raise UserError(f"factors are {self.factors} and parts {self.parts}; use at least 2")
        if min(*self.widths, *self.sizes, 1, 1) < 1:
            raise UserError(f"widths are {self.widths} and sizes {self.sizes}; use at least 1")
        if min(self.first_epochs, self.first_rate) < 0:
            raise UserError(f"first_epochs is {self.first_epochs} and first_rate {self.first_rate}; use at least 0")
        if not 0 <= self.noise < 1:
            raise UserError(f"noise is {self.noise}; use a share below 1")
        start_graph(self.start, self.input_shape, self.outputs)

    def next(self, prefix: Genome) -> Decision | None:
        prefix = tuple(prefix)
        number, part = divmod(len(prefix), len(PARTS))
        if number >= self.edits or (prefix and part == 1 and prefix[-1] == STOP):
            return None
        done = prefix[: number * len(PARTS)]
        name = f"edit{number + 1}{PARTS[part]}"
        if part == 0:
            possible = tuple(kind for kind in self.kinds if _places(self, done, kind))
            return Decision(name, (*possible, STOP), prefix, "edit")
        kind = prefix[len(done)]
        places = _places(self, done, kind)
        options = tuple(places) if part == 1 else places[str(prefix[-1])]
        return Decision(name, options, prefix, f"{'place' if part == 1 else 'value'} of {kind}")

    def decode(self, genome: Genome) -> Graph:
        require_closed(genome, f"{self.name} has no supernet: an edit has no meaning before those that precede it")
        self.decisions(genome)
        return _edited(self, self.texts(genome))

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return recipe if self.texts(genome) else recipe_of_start(recipe, self.first_epochs, self.first_rate)

    @staticmethod
    def texts(genome: Genome) -> tuple[str, ...]:
        """The edits of a genome as texts, KIND:PLACE:VALUE."""
        whole = len(genome) // len(PARTS) * len(PARTS)
        return tuple(":".join(map(str, genome[at : at + len(PARTS)])) for at in range(0, whole, len(PARTS)))

    def genome(self, texts: tuple[str, ...]) -> tuple[Token, ...]:
        """The genome of these edits."""
        tokens: list[Token] = []
        for text in texts:
            kind, _, rest = text.partition(":")
            tokens += [kind, *rest.rpartition(":")[::2]]
        return (*tokens, *(STOP,) * (len(texts) < self.edits))

    @property
    def unchanged(self) -> tuple[Token, ...]:
        return self.genome(())

    def heritage(self, parent: Genome, child: Genome, rng: Random) -> Heritage | None:
        """The edits that the child has beyond its parent's; None where it lacks one of these."""
        before, after = self.texts(parent), self.texts(child)
        if after[: len(before)] != before:
            return None
        graph, rewrites = _edited(self, before), []
        for text in after[len(before) :]:
            rewrites.append(parsed(text).apply(graph, rng))
            graph = rewrites[-1].graph
        return Heritage(tuple(rewrites), after[len(before) :], self.noise)

    def wider(self, layer: Operation) -> list[int]:
        """The widths that a layer may get by one edit."""
        width, known = width_of(layer), self.sizes if isinstance(layer, Linear) else self.widths
        return sorted(each for each in known if each > width)[:1] if known else [width * each for each in self.factors]

    # ---- where the walk through all genomes would have no end ------------------------------------------------------

    def random(self, rng: Random) -> tuple[Token, ...]:
        """A genome with a number of edits that is drawn uniformly, each uniformly first by kind, then by place, then by
        value: nearly all of all genomes have as many edits as there may be, and those that make most places."""
        genome: tuple[Token, ...] = ()
        for _ in range(rng.randint(0, self.edits)):
            genome = self.longer(genome, rng)
        return self.stopped(genome)

    def longer(self, begun: Genome, rng: Random, kinds: Sequence[Token] | None = None) -> tuple[Token, ...]:
        """The edits of a genome that has not stopped, and one more, drawn uniformly by kind, of these or all, then
        place, then value; the same, where none is possible."""
        begun = tuple(begun)
        decision = self.next(begun)
        wanted = self.kinds if kinds is None else kinds
        kinds = [] if decision is None else [kind for kind in decision.options if kind in wanted]
        if not kinds:
            return begun
        genome = (*begun, rng.choice(kinds))
        for _ in PARTS[1:]:
            decision = self.next(genome)
            assert decision is not None, "a kind that is possible has a place"
            genome = (*genome, rng.choice(decision.options))
        return genome

    def stopped(self, begun: Genome) -> tuple[Token, ...]:
        """The genome of these edits."""
        return (*begun, *(STOP,) * (self.next(begun) is not None))

    def begun(self, genome: Genome) -> tuple[Token, ...]:
        """The edits of a genome, to which others can be added."""
        return tuple(genome[: len(genome) // len(PARTS) * len(PARTS)])

    def count(self, prefix: Genome = ()) -> int:
        raise UserError(f"genomes of {self.name} are too many to be counted")

    @property
    def points(self) -> bool:
        return False

    def vocabulary(self, kind: Callable[[Decision], K]) -> list[tuple[K, Token]]:
        return list(dict.fromkeys(
            (kind(decision), word) for decision, words in self._kinds_of_decisions() for word in words
        ))  # fmt: skip

    def _kinds_of_decisions(self) -> Iterator[tuple[Decision, tuple[Token, ...]]]:
        for number in range(self.edits):
            name = f"edit{number + 1}"
            yield Decision(name, (STOP,), name, "edit"), (*self.kinds, STOP)
            for each in self.kinds:
                for part, what in zip(PARTS[1:], ("place", "value"), strict=True):
                    yield Decision(name + part, (each,), name, f"{what} of {each}"), tuple(range(BUCKETS))

    def word(self, option: Token) -> Token:
        """Places and values by a number that their text gives them: they come to be as a network grows, and a
        controller cannot know all of them beforehand."""
        return option if option in KINDS or option == STOP else crc32(str(option).encode()) % BUCKETS

    # ---- text -----------------------------------------------------------------------------------------------------

    def format(self, genome: Genome) -> str:
        """The edits in order, each as KIND:PLACE:VALUE, such as deepen:stem.relu:3: a convolution with kernel 3 behind
        the ReLU of the node stem. `start` is the network without edits."""
        self.decisions(genome)
        return " ".join(self.texts(genome)) or START

    def parse(self, code: str) -> tuple[Token, ...]:
        texts = tuple(code.split())
        if texts == (START,):
            texts = ()
        for text in texts:
            if text.count(":") != 2:
                raise CodeError(f"{brief(text)!r} is no edit; write KIND:PLACE:VALUE, as in widen:stem.conv:32, or "
                                f"{START!r} for the network without edits")  # fmt: skip
        if not texts and code.strip() != START:
            raise CodeError(f"the code is empty; the network without edits is {START!r}")
        genome = self.genome(texts)
        self.decisions(genome)
        return genome


@lru_cache(maxsize=REMEMBERED)
def _edited(space: EditSpace, texts: tuple[str, ...]) -> Graph:
    """The graph after these edits of the start, in the form in which it is trained."""
    if not texts:
        return start_graph(space.start, space.input_shape, space.outputs).simplified(training=True)
    return _edit(_edited(space, texts[:-1]), texts[-1]).graph


def _edit(graph: Graph, text: str) -> Rewrite:
    try:
        return parsed(text).apply(graph, Random(0))  # the graph does not depend on which channels are copied
    except MorphismError as error:
        raise CodeError(f"{brief(text)!r} cannot be made here: {error}") from None


@lru_cache(maxsize=REMEMBERED)
def _places(space: EditSpace, done: tuple[Token, ...], kind: Token) -> offers.Places:
    """Where an edit of a kind can be made after those that were made."""
    graph = _edited(space, space.texts(done))
    morphism: type[Morphism] = KINDS[str(kind)]
    if issubclass(morphism, Skip):
        return offers.skips(graph, morphism)
    if issubclass(morphism, Branches):
        return offers.branches(graph, morphism, space.parts)
    if kind == "deepen":
        return offers.deeper(graph, space.kernels)
    if kind == "insert":
        return offers.insertions(graph)
    if kind == "replace":
        return offers.replacements(graph)
    return offers.wider(graph, space.wider)
