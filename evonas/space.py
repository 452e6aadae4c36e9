"""A search space: genomes and their meaning."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from evonas.decision import Decision as Decision
from evonas.decision import Open as Open
from evonas.decision import Pointer as Pointer
from evonas.errors import UserError
from evonas.graph import Graph
from evonas.morphisms import Heritage
from evonas.recipe import Recipe
from evonas.sequences import CodeError as CodeError
from evonas.sequences import Genome as Genome
from evonas.sequences import Sequences
from evonas.sequences import Token as Token
from evonas.sequences import Weights as Weights
from evonas.sequences import require_closed as require_closed
from evonas.sequences import require_sequence as require_sequence


@dataclass(frozen=True)
class Space(Sequences):
    """Genomes and their meaning. A space is a frozen dataclass whose fields define the skeleton.

    A subclass defines `name`, `next` and `decode`. It may override `format` and `parse` with its own notation.
    """

    def decode(self, genome: Genome) -> Graph:
        """The graph of a genome, which may contain open tokens. This is a pure function. Raises CodeError for a genome
        of another space."""
        raise NotImplementedError(f"{type(self).__name__} has no `decode`")

    def observe(self, prefix: Genome) -> Hashable:
        """The state that Q-learning observes for an incomplete prefix and learns values for. By default it is all that
        determines what may follow, and the last token; without that token, all choices that lead to the same state
        would have the same value. A space may make it coarser."""
        decision = self.next(prefix)
        assert decision is not None
        return decision.state, prefix[-1] if prefix else None

    def branches(self, genome: Genome) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """Pairs of branches whose tokens, given by their places, may be exchanged with each other, and the network is
        the same, such as the two inputs that a node adds, each with its operation. No place is in two of them, and the
        same tokens are legal at both. A space need not know any."""
        return ()

    def paths(self, genome: Genome) -> list[tuple[str, ...]]:
        """The operations on each path from the input of a closed genome's cell to its output, in order, without those
        that do nothing: features for predictors."""
        raise NotImplementedError(f"{type(self).__name__} has no `paths`")

    @property
    def has_paths(self) -> bool:
        return type(self).paths is not Space.paths

    def heritage(self, parent: Genome, child: Genome, rng: Random) -> Heritage | None:
        """How the network of a genome comes from that of another one, whose weights are known; None: a tensor that has
        the name and shape of one of the other's begins as that one, as in any space."""
        return None

    @property
    def has_heritage(self) -> bool:
        return type(self).heritage is not Space.heritage

    @property
    def unchanged(self) -> tuple[Token, ...] | None:
        """The genome of the network that a space changes, where genomes are changes of one; None: they are not."""
        return None

    def units(self, genome: Genome) -> list[tuple[tuple[str, Token], ...]]:
        """A genome as predictors of sequences read it: in units, such as the blocks of a cell, of (table, token) pairs.
        Tokens of one table share what is learnt of them, and all units have the same tables. By default each decision
        is a unit, its kind or name a part of the token."""
        return [
            (("token", f"{decision.kind or decision.name}={token}"),)
            for decision, token in zip(self.decisions(genome), genome, strict=True)
        ]

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        """The recipe by which a genome is trained in a search: the given one, unless the genome changes it."""
        return recipe

    def final_recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        """The same of its final training, which by default the genome does not change."""
        return recipe

    @property
    def networks(self) -> Space:
        """The space of networks alone, where genomes decide fields of the recipe too; by default the space itself."""
        return self

    def over(self, networks: Space) -> Space:
        """The same decisions of the recipe, if there are any, over another space of networks."""
        return networks

    def of_network(self, genome: Genome) -> Genome:
        """The genome for one of `networks`, which is trained as usual."""
        return genome

    def route(self, genome: Genome) -> dict[str, Any]:
        """The route of a closed genome through a supernet: by default the hard one of its answers."""
        return self.answers(genome)

    @property
    def supernet(self) -> Space:
        """The space in the form of its supernet; by default the space itself."""
        return self

    def within(self, keeps: Callable[[Graph], bool]) -> Space:
        """The space in the size that suits limits, which a graph keeps or not, so that those who draw from it find
        networks that do; by default the space itself."""
        return self

    def read(self, code: str) -> tuple[str, Graph]:
        """A code as this space writes it, and its graph. Some spaces also read published codes that lie outside them,
        or the names of such codes. Raises CodeError, which names the faulty place."""
        genome = self.parse(code)
        return self.format(genome), self.decode(genome)

    def check(self, rng: Random) -> Graph:
        """The graph of some genome, after what the space can say of itself has been found right. Of a space with
        `next`, `evonas.contract` finds it out; one without has a check of its own, which may raise UserError."""
        raise UserError(f"{self.name} has no `next`; define it, or a `check` that returns the graph of some "
                        "genome, where genomes are no sequences of decisions")  # fmt: skip

    def cells_of(self, code: str) -> Mapping[str, tuple[Any, Sequence[int], Sequence[int]]] | None:
        """The cells of a code's network, as `plots.cells` takes them; None if it does not consist of cells."""
        return None

    def to_json(self) -> dict[str, Any]:
        """The name and fields, for journals and keys; two spaces with equal JSON decode genomes in the same way."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"name": self.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}
