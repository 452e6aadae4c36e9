"""Fields of the recipe as decisions of the genome: how a network is trained is searched together with the network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import combinations, product
from random import Random
from typing import Any, NoReturn, TypeVar

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.morphisms import Heritage
from evonas.recipe import Recipe
from evonas.space import CodeError, Decision, Genome, Pointer, Space, Token, require_sequence
from evonas.support.text import listed

K = TypeVar("K", bound=Hashable)

# How much is trained is no part of how: it is the same for all genomes, or more would always win.
OF_THE_SEARCH = ("epochs", "longest", "best_of", "restarts", "trainings")
DECIDABLE = tuple(each.name for each in fields(Recipe) if each.name not in (*OF_THE_SEARCH, "milestones", "features"))


def with_recipe(space: Space, **options: Sequence[Any]) -> Space:
    """A space whose genomes decide fields of the recipe first, and then the network of a genome of the given space.

    options   by the name of a field of `evonas.recipe.Recipe`, its options: `learning_rate=(0.05, 0.02)`. The first is
              the usual one: networks with which a search begins, and codes that say nothing of it, have it.

    A space whose genomes decide fields already is taken without these.

    A decided value holds in the search and in the final training. Raises UserError for a space whose genomes are not
    sequences of decisions, for a field that cannot be decided, and for options that a recipe cannot have.
    """
    if not options:
        return space
    require_sequence(space, "a recipe that is searched")
    for name, values in options.items():
        if name not in DECIDABLE:
            raise UserError(f"{name} is no field of the recipe that a genome may decide; use some of "
                            f"{listed(DECIDABLE)}")  # fmt: skip
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise UserError(f"{name} is {values!r}; give its options one after another, such as {name}=(0.05, 0.02)")
        if len({str(value) for value in values}) < len(values):
            raise UserError(f"{name} has an option twice: {listed(values)}; give each once")
    return WithRecipe(space.networks, tuple((name, tuple(values)) for name, values in options.items()))


def decided(space: Any) -> dict[str, list[Any]]:
    """The fields of the recipe that genomes of a space decide, with their options; none, for anything else."""
    return {name: list(values) for name, values in space.options} if isinstance(space, WithRecipe) else {}


@dataclass(frozen=True)
class WithRecipe(Space):
    """What `with_recipe` makes. A genome is a token for each field, such as "learning_rate=0.05", and then the tokens
    of the network; its code is likewise.

    space    of the networks
    options  of each field that is decided, by its name
    """

    space: Space
    options: tuple[tuple[str, tuple[Any, ...]], ...]

    def __post_init__(self) -> None:
        self.check_recipe(Recipe(epochs=1000, distill=1))  # any warm-up is possible, and what is of teachers too

    # ---- the two parts of a genome --------------------------------------------------------------------------------

    @cached_property
    def values(self) -> Mapping[Token, tuple[str, Any]]:
        """The field of each token of the recipe, and the value that it stands for."""
        return {f"{name}={value}": (name, value) for name, values in self.options for value in values}

    @cached_property
    def asked(self) -> tuple[Decision, ...]:
        """The decisions of the recipe, which come first."""
        return tuple(
            Decision(f"recipe.{name}", tuple(f"{name}={value}" for value in values), ("recipe", place))
            for place, (name, values) in enumerate(self.options)
        )

    def network(self, genome: Genome) -> Genome:
        """The genome of the network."""
        return tuple(genome[len(self.options) :])

    def decided(self, genome: Genome) -> dict[str, Any]:
        """The fields that a genome decides, with their values."""
        try:
            return dict(self.values[token] for token in genome[: len(self.options)])
        except KeyError as unknown:
            raise CodeError(f"{unknown} is no value of the recipe that this space has") from None

    # ---- the recipe -----------------------------------------------------------------------------------------------

    def recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return replace(self.space.recipe(self.network(genome), recipe), **self.decided(genome))

    def final_recipe(self, genome: Genome, recipe: Recipe) -> Recipe:
        return replace(self.space.final_recipe(self.network(genome), recipe), **self.decided(genome))

    def check_recipe(self, recipe: Recipe) -> None:
        """Raises UserError where the recipe cannot have an option, or not together with another one."""
        for (one, values), (other, more) in combinations([*self.options, ("epochs", (recipe.epochs,))], 2):
            for value, another in product(values, more):
                try:
                    replace(recipe, **{one: value, other: another})
                except (UserError, TypeError) as error:
                    raise UserError(f"no recipe has {one}={value} with {other}={another}: {error}") from None

    # ---- the space ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.space.name} with recipe"

    @property
    def countable(self) -> bool:  # type: ignore[override]
        return self.space.countable

    @property
    def networks(self) -> Space:
        return self.space

    def over(self, networks: Space) -> Space:
        return replace(self, space=networks)

    def of_network(self, genome: Genome) -> Genome:
        return (*(decision.options[0] for decision in self.asked), *genome)

    def next(self, prefix: Genome) -> Decision | None:
        before = len(self.asked)
        if len(prefix) < before:
            return self.asked[len(prefix)]
        decision = self.space.next(self.network(prefix))
        if decision is None:
            return None
        points = decision.pointer
        if points is not None:
            points = Pointer(points.at + before, tuple(None if to is None else to + before for to in points.to))
        return replace(decision, state=("network", decision.state), pointer=points)

    def refuse_supernet(self) -> NoReturn:
        """Raises UserError."""
        raise UserError("a supernet is trained by one recipe; search for the recipe by trainings, or leave it out "
                        "of the decisions")  # fmt: skip

    def next_open(self, prefix: Genome) -> Decision | None:
        self.refuse_supernet()

    @property
    def supernet(self) -> Space:
        self.refuse_supernet()

    def decode(self, genome: Genome) -> Graph:
        self.decided(genome)
        return self.space.decode(self.network(genome))

    def within(self, keeps: Callable[[Graph], bool]) -> Space:
        return self.over(self.space.within(keeps))

    def observe(self, prefix: Genome) -> Hashable:
        if len(prefix) < len(self.asked):
            return super().observe(prefix)
        return "network", self.space.observe(self.network(prefix))

    def branches(self, genome: Genome) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        before = len(self.asked)
        pairs = self.space.branches(self.network(genome))
        return tuple((tuple(at + before for at in one), tuple(at + before for at in other)) for one, other in pairs)

    def paths(self, genome: Genome) -> list[tuple[str, ...]]:
        return self.space.paths(self.network(genome))

    @property
    def has_paths(self) -> bool:
        return self.space.has_paths

    @property
    def points(self) -> bool:
        return self.space.points

    def vocabulary(self, kind: Callable[[Decision], K]) -> list[tuple[K, Token]]:
        said = [(kind(decision), option) for decision in self.asked for option in decision.options]
        return [*said, *self.space.vocabulary(kind)]

    def word(self, option: Token) -> Token:
        return option if option in self.values else self.space.word(option)

    def heritage(self, parent: Genome, child: Genome, rng: Random) -> Heritage | None:
        return self.space.heritage(self.network(parent), self.network(child), rng)

    @property
    def has_heritage(self) -> bool:
        return self.space.has_heritage

    @property
    def unchanged(self) -> tuple[Token, ...] | None:
        start = self.space.unchanged
        return None if start is None else tuple(self.of_network(start))

    # ---- text -----------------------------------------------------------------------------------------------------

    def format(self, genome: Genome) -> str:
        """The decided fields, each as NAME=VALUE, and the code of the network."""
        self.decisions(genome)
        return " ".join([*map(str, genome[: len(self.options)]), self.space.format(self.network(genome))])

    def parse(self, code: str) -> tuple[Token, ...]:
        said, network = self._parted(code)
        genome = (*said, *self.space.parse(network))
        self.decisions(genome)
        return genome

    def read(self, code: str) -> tuple[str, Graph]:
        said, network = self._parted(code)
        written, graph = self.space.read(network)
        return " ".join([*said, written]), graph

    def cells_of(self, code: str) -> Mapping[str, tuple[Any, Sequence[int], Sequence[int]]] | None:
        return self.space.cells_of(self._parted(code)[1])

    def _parted(self, code: str) -> tuple[list[str], str]:
        """The tokens of the recipe, in order and with the usual ones for those that are not said, and the rest."""
        said, rest = {name: f"{name}={values[0]}" for name, values in self.options}, code.strip()
        while (name := rest.partition("=")[0]) in said:
            word, _, rest = rest.partition(" ")
            if word not in self.values:
                options = listed(dict(self.options)[name])
                raise CodeError(f"{name} is {word.partition('=')[2]!r}; it takes one of {options}")
            said[name], rest = word, rest.strip()
        return list(said.values()), rest

    def to_json(self) -> dict[str, Any]:
        recipe = {name: list(values) for name, values in self.options}
        return {"name": self.name, "space": self.space.to_json(), "recipe": recipe}
