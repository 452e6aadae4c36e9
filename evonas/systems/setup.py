"""A set-up: a space, a strategy over it, and the recipes of search and final training, with all their settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import wraps
from random import Random
from typing import Any

from evonas.errors import UserError
from evonas.genomes.with_recipe import WithRecipe, decided
from evonas.genomes.with_recipe import with_recipe as with_recipe_of
from evonas.individual import Toolbox
from evonas.operators import with_recipe
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.strategies import Strategy, adopt
from evonas.systems.settings import Resolver, Setting, fields_of, plain, settings_of

FROM_TASK = ("input_shape", "outputs")  # fields of a space that the task decides
SIZE = {
    f"supernet_{name}": Setting(f"supernet_{name}", 0, int, "of the supernet; 0: as many as its networks have")
    for name in ("layers", "channels")
}
GROUPS = ("space", "strategy", "supernet", "search", "final")


def supernet_of(space: Space, layers: int, channels: int, **form: Any) -> Space:
    """A space in the form of its supernet, at the size that is to be searched; 0: that of its networks.

    Raises UserError for a size below 0, and for one of a space that has no such field.
    """
    if min(layers, channels) < 0:
        raise UserError(f"supernet_layers is {layers} and supernet_channels {channels}; use at least 0")
    size = {name: value for name, value in (("layers", layers), ("channels", channels)) if value}
    unknown = [name for name in {**size, **form} if not hasattr(space.supernet, name)]
    if unknown:
        raise UserError(f"{space.name} has no field {unknown[0]!r} that its supernet could have otherwise; leave "
                        f"supernet_{unknown[0]} out")  # fmt: skip
    return replace(space.supernet, **size, **form)


def at_its_size(make: Callable[..., Any]) -> Callable[..., Any]:
    """A function (supernet, *, rng, settings) -> strategy as one of the space that is searched, with two settings more:
    the size in which the supernet is made."""

    @wraps(make)
    def made(space: Space, *, rng: Random, supernet_layers: int = 0, supernet_channels: int = 0, **given: Any) -> Any:
        return make(supernet_of(space, supernet_layers, supernet_channels), rng=rng, **given)

    (supernet, *others), kind = inspect.signature(make).parameters.values(), inspect.Parameter.KEYWORD_ONLY
    size = [inspect.Parameter(name, kind, default=each.default, annotation=each.kind) for name, each in SIZE.items()]
    parameters = [supernet.replace(name="space"), *others, *size]  # by this name it is handed what it takes
    made.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made.__annotations__ = make.__annotations__ | {name: each.kind for name, each in SIZE.items()}
    lines = [f"{name}   {each.help}" for name, each in SIZE.items()]
    made.__doc__ = "\n".join([inspect.getdoc(make) or "", *lines])
    return made


@dataclass(frozen=True)
class Trained:
    """A policy by name, which trains a supernet, with the values of its settings that were chosen.

    name     in the registry, or FILE.py:NAME
    make     (space, *, rng, settings) -> policy
    values   by the name of a setting; the others have their defaults
    """

    name: str
    make: Callable[..., Any]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Setting]:
        """Its settings and the size of its supernet, with the chosen values as their defaults."""
        return {
            name: replace(setting, default=self.values.get(name, setting.default))
            for name, setting in (settings_of(self.make) | SIZE).items()
        }

    def policy(self, space: Space, rng: Random) -> Any:
        """A fresh policy for a space in the form of its supernet."""
        return self.make(space, rng=rng, **{name: value for name, value in self.values.items() if name not in SIZE})

    def supernet(self, space: Space) -> Space:
        """A space in the form of its supernet, which is made in the size that was chosen."""
        return supernet_of(space, *(self.settings[name].default for name in SIZE))

    def having(self, **values: Any) -> Trained:
        return replace(self, values={**self.values, **values})

    def __str__(self) -> str:
        """The policy with all its settings, as text."""
        return ":".join([self.name, ",".join(f"{name}={each.default}" for name, each in self.settings.items())])


@dataclass(frozen=True)
class Chosen:
    """A strategy by name, over the toolbox of a space, with the values of its settings that were chosen.

    name      in the registry, or FILE.py:NAME
    make      (toolbox or space, *, rng, settings) -> strategy: the first argument is what it names it
    toolbox   (space, *, rng, settings) -> DEAP toolbox
    values    by the name of a setting of either; the others have their defaults
    """

    name: str
    make: Callable[..., Any]
    toolbox: Callable[..., Toolbox]
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Setting]:
        """The settings of the toolbox and of the strategy, with the chosen values as their defaults."""
        known = settings_of(self.toolbox) | settings_of(self.make)
        return {
            name: replace(setting, default=self.values.get(name, setting.default)) for name, setting in known.items()
        }

    @property
    def evaluations(self) -> int | None:
        """How many it plans to make, by its settings; None: they do not say."""
        values = {name: setting.default for name, setting in self.settings.items()}
        if "generations" in values and "population" in values:
            return values["population"] * (values["generations"] + 1)
        return values.get("evaluations")

    def having(self, **values: Any) -> Chosen:
        """This choice with other values. Raises UserError for a name that is not one of its settings."""
        for name in values:
            if name not in self.settings:
                raise UserError(f"{self.name} has no setting {name!r}; it has {', '.join(self.settings) or 'none'}")
        return replace(self, values={**self.values, **values})

    def planned(self, evaluations: int | None) -> Chosen:
        """For a search of so many evaluations: what has a schedule over them is told, where the user has not said."""
        if evaluations is None or "evaluations" not in self.settings:
            return self
        return self.having(evaluations=evaluations)

    def tools(self, space: Space, rng: Random) -> Toolbox:
        """The toolbox over a space."""
        box = self.toolbox(space.networks, rng=rng, **self._of(self.toolbox))
        return with_recipe.toolbox(box, space, rng=rng) if isinstance(space, WithRecipe) else box

    def strategy(self, toolbox: Toolbox, rng: Random) -> Strategy:
        """A fresh strategy. Raises UserError for a setting out of its range."""
        first, *rest = inspect.signature(self.make).parameters
        given = {"rng": rng} if "rng" in rest else {}
        return adopt(self.make(toolbox.space if first == "space" else toolbox, **given, **self._of(self.make)))

    def _of(self, make: Callable[..., Any]) -> dict[str, Any]:
        known = settings_of(make)
        return {name: value for name, value in self.values.items() if name in known}


@dataclass(frozen=True)
class Setup:
    """All that is to be chosen before a search. A setting is a field of the space, a setting of the strategy, one of
    the policy that trains a supernet, or a field of the search recipe or of the final one: `space.layers`,
    `strategy.population`, `supernet.bins`, `search.epochs`, `final.epochs`. A bare name is enough where it is not
    ambiguous; a bare field of a recipe is the search's.

    adapts     both recipes leave crop and flip to the data
    supernet   what trains the supernet by whose weights genomes are judged, by the search recipe; None: each genome is
               trained by itself
    """

    space: Space
    strategy: Chosen
    search: Recipe
    final: Recipe
    about: str = ""
    adapts: bool = False
    supernet: Trained | None = None

    def __post_init__(self) -> None:
        if self.final.trainings > 1:
            raise UserError(f"final.trainings is {self.final.trainings}; the winner is trained once, and can be "
                            "trained again with other seeds ('evonas train RUN --seed 1')")  # fmt: skip
        if isinstance(self.space, WithRecipe):
            if self.supernet is not None:
                self.space.refuse_supernet()
            self.space.check_recipe(self.search)
            self.space.check_recipe(self.final)

    @property
    def groups(self) -> dict[str, dict[str, Setting]]:
        """Every setting with its value as the default, by group."""
        return {
            "space": fields_of(self.space.networks, without=FROM_TASK),
            "strategy": self.strategy.settings,
            "supernet": {} if self.supernet is None else self.supernet.settings,
            "search": fields_of(self.search),
            "final": fields_of(self.final),
        }

    def settings(self) -> dict[str, Any]:
        """Every setting by its whole name with its value, tuples as lists."""
        return {
            f"{group}.{name}": plain(setting.default)
            for group, found in self.groups.items()
            for name, setting in found.items()
        }

    @property
    def decide(self) -> dict[str, list[Any]]:
        """The fields of the recipe that genomes decide, with their options."""
        return decided(self.space)

    def deciding(self, options: Mapping[str, Any]) -> Setup:
        """With these fields of the recipe as decisions of the genome: options one after another, or as a text with
        commas. Raises UserError as `evonas.with_recipe` does."""
        known, read = fields_of(self.search), {}
        for name, values in options.items():
            given = values.split(",") if isinstance(values, str) else values
            if name in known and isinstance(given, Sequence):
                given = tuple(known[name].read(value, name) for value in given)
            read[name] = given
        return replace(self, space=with_recipe_of(self.space, **read))

    def suited(self, augmentation: Mapping[str, Any]) -> Setup:
        """With what suits the data (`Task.augmentation`), where the recipes leave it to them."""
        if not self.adapts:
            return self
        return replace(self, search=replace(self.search, **augmentation), final=replace(self.final, **augmentation))

    def having(self, settings: Mapping[str, Any], **from_task: Any) -> Setup:
        """With these settings changed; texts are read as the kind of the setting.

        from_task   fields of the space that are the task's: they are set at once with the settings, since neither the
                    preset's skeleton with the new inputs nor the new skeleton with the preset's need be possible

        Raises UserError for an unknown setting, naming the nearest one, and for a value that it cannot have.
        """
        groups = self.groups
        resolver = Resolver(groups, bare=("search",), never=("final",))
        changed: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        for called, value in settings.items():
            group, name = resolver.find(called)
            if name in changed[group]:
                raise UserError(f"setting {group}.{name} is given twice; give it once")
            changed[group][name] = groups[group][name].read(value, called)
        for recipe, own in (("search", self.search), ("final", self.final)):
            if "epochs" in changed[recipe]:
                share = changed[recipe]["epochs"] / own.epochs
                changed[recipe].setdefault("warmup", own.warmup * share)  # a shorter training has a shorter one
                changed[recipe].setdefault("longest", 0)  # who says how many wants so many
        networks = self.space.networks
        known = {each.name for each in fields(networks)}
        here = {name: value for name, value in from_task.items() if name in known}
        return replace(
            self,
            space=self.space.over(replace(networks, **changed["space"], **here)),
            strategy=self.strategy.having(**changed["strategy"]),
            supernet=None if self.supernet is None else self.supernet.having(**changed["supernet"]),
            search=replace(self.search, **changed["search"]),
            final=replace(self.final, **changed["final"]),
        )
