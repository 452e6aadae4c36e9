"""The systems of the literature: each one a space, a strategy and training recipes, with presets. No torch here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, get_args, get_origin, get_type_hints

from deap import base

from evonas.errors import UserError
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.strategies import Strategy

FROM_DATA = ("input_shape", "classes")  # fields of a space that the data set decides
FINAL = "final."  # prefix of the settings of the final recipe


@dataclass(frozen=True)
class Setup:
    """All that is to be chosen before a search, as four frozen dataclasses, and as one flat set of settings.

    A setting is a field of the strategy, the space or the search recipe, or `final.` and a field of the final recipe.
    """

    space: Space
    strategy: Any  # the system's own dataclass of strategy settings; has `evaluations`
    recipe: Recipe
    final: Recipe
    about: str = ""

    def __post_init__(self) -> None:
        of_search: set[str] = set()
        for part, _ in list(self._parts())[:3]:
            if twice := sorted(of_search & set(_names(part))):
                raise UserError(f"{twice[0]!r} is a field of {type(part).__name__} and a setting of the search as "
                                "well; rename the field")  # fmt: skip
            of_search |= set(_names(part))
        if self.final.trainings > 1:
            raise UserError(f"{FINAL}trainings is {self.final.trainings}; the winner is trained once, and can be "
                            "trained again with other seeds ('evonas train RUN --seed 1')")  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """Every setting with its value, tuples as lists."""
        flat = {}
        for part, prefix in self._parts():
            for name in _names(part):
                value = getattr(part, name)
                flat[prefix + name] = list(value) if isinstance(value, tuple) else value
        return flat

    def having(self, settings: Mapping[str, Any]) -> Setup:
        """With these settings changed; texts are read as the type of the setting.

        Raises UserError for an unknown setting, naming the nearest one, and for a value that it cannot have.
        """
        return self._changed(settings, {})

    def _changed(self, settings: Mapping[str, Any], from_data: Mapping[str, Any]) -> Setup:
        known = self.settings()
        for name in settings:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"settings are {', '.join(known)}"
                raise UserError(f"unknown setting {name!r}: {hint}")
        parts = []
        for part, prefix in self._parts():
            hints = get_type_hints(type(part))
            changes = {
                name: _read(prefix + name, settings[prefix + name], hints[name])
                for name in _names(part)
                if prefix + name in settings
            }
            if "epochs" in changes and hasattr(part, "warmup"):  # a shorter training has no room for a long warm-up
                changes.setdefault("warmup", min(part.warmup, max(changes["epochs"] - 1, 0)))
            if part is self.space:
                changes |= {name: value for name, value in from_data.items() if hasattr(part, name)}
            parts.append(replace(part, **changes))
        return replace(self, strategy=parts[0], space=parts[1], recipe=parts[2], final=parts[3])

    def fitted_having(self, input_shape: Iterable[int], classes: int, settings: Mapping[str, Any]) -> Setup:
        """For images of this shape and this number of classes, with these settings changed (both at once: neither
        the preset's skeleton with the new images nor the new skeleton with the preset's images need be possible)."""
        return self._changed(settings, {"input_shape": tuple(input_shape), "classes": classes})

    def _parts(self) -> Iterable[tuple[Any, str]]:
        return (self.strategy, ""), (self.space, ""), (self.recipe, ""), (self.final, FINAL)


@dataclass(frozen=True)
class System:
    """A system of the literature.

    presets      named set-ups; the first is the default for small images
    preset_for   the name of the preset that fits images of a shape
    toolbox      (space, strategy settings, rng) -> a DEAP toolbox with individual, clone, mutate, perhaps mate, select
    strategy     (toolbox, strategy settings, rng) -> Strategy, for one objective
    front        the same for several objectives; None: NSGA-II, with half the population as parents
    front_signs  of the objectives that `front` can search for, such as (1, -1): one to be maximised, then one to be
                 minimised; None: any
    control      the same for what a search is held against at as many evaluations, `rival` by name; None: random search
    inherits     children begin with their parents' weights, where nothing else is said
    objectives   that its search has, where nothing else is said
    trains       its strategy trains a supernet: on images, for accuracy alone
    scheduled    its strategy has a schedule over the setting `evaluations`, which is the budget's, where it has one
    """

    name: str
    about: str
    paper: str
    presets: Mapping[str, Setup]
    preset_for: Callable[[tuple[int, ...]], str]
    toolbox: Callable[[Any, Any, Random], base.Toolbox]
    strategy: Callable[[base.Toolbox, Any, Random], Strategy]
    front: Callable[[base.Toolbox, Any, Random], Strategy] | None = None
    front_signs: tuple[int, ...] | None = None
    control: Callable[[base.Toolbox, Any, Random], Strategy] | None = None
    rival: str = "random_search"
    inherits: bool = False
    objectives: str = "accuracy"
    scheduled: bool = False
    trains: bool = False

    def preset(self, name: str) -> Setup:
        if name not in self.presets:
            raise UserError(f"{self.name} has no preset {name!r}; presets are {', '.join(self.presets)}")
        return self.presets[name]


def system(name: str) -> System:
    """The system of this name, or of a user's own space: `my_space.py:MySpace`, `package.module:MySpace`.

    Raises UserError, naming the nearest, for an unknown one.
    """
    if ":" in name:
        from evonas.systems.own import imported, own_system

        return own_system(imported(name), name)
    known = systems()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"systems are {', '.join(known)}, or FILE.py:SPACE for your own"
        raise UserError(f"unknown system {name!r}: {hint}")
    return known[name]


def systems() -> dict[str, System]:
    """All systems by name."""
    from evonas.systems.amoebanet import AMOEBANET
    from evonas.systems.block_qnn import BLOCK_QNN
    from evonas.systems.darts import DARTS
    from evonas.systems.enas import ENAS
    from evonas.systems.gdas import GDAS
    from evonas.systems.genet import GENET
    from evonas.systems.hierarchical import HIERARCHICAL
    from evonas.systems.large_scale import LARGE_SCALE
    from evonas.systems.metaqnn import METAQNN
    from evonas.systems.mnasnet import MNASNET
    from evonas.systems.nas_rl import NAS_RL
    from evonas.systems.nasnet import NASNET
    from evonas.systems.nsga_net import NSGA_NET
    from evonas.systems.pc_darts import PC_DARTS
    from evonas.systems.snas import SNAS

    all_systems = (
        GENET, LARGE_SCALE, AMOEBANET, HIERARCHICAL, NSGA_NET, NAS_RL, NASNET, MNASNET, METAQNN, BLOCK_QNN, DARTS, SNAS,
        GDAS, PC_DARTS, ENAS,
    )  # fmt: skip
    return {each.name: each for each in all_systems}


def check_generational(settings: Any, *rates: str) -> None:
    """Raises UserError where population, generations or one of the rates is out of its range."""
    if settings.population < 2 or settings.generations < 0:
        raise UserError(f"population is {settings.population} and generations {settings.generations}; use at least 2 "
                        "and 0")  # fmt: skip
    for name in rates:
        if not 0 <= getattr(settings, name) <= 1:
            raise UserError(f"{name} is {getattr(settings, name)}; a probability lies between 0 and 1")


def read_settings(words: Iterable[str]) -> dict[str, str]:
    """["population=20", ...] -> {"population": "20"}. Raises UserError for a word without = and for a repetition."""
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"setting {word!r}: write NAME=VALUE, such as population=20")
        if name in settings:
            raise UserError(f"setting {name!r} is given twice; give it once")
        settings[name] = value
    return settings


def _names(part: Any) -> list[str]:
    return [field.name for field in fields(part) if field.name not in FROM_DATA]


def _read(name: str, value: Any, kind: Any) -> Any:
    """A setting as its type: a JSON value, or a text from the command line."""
    if get_origin(kind) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        return tuple(_read(name, item, get_args(kind)[0]) for item in items if item != "")
    if not isinstance(value, str):
        plain: Any = {int: int, float: (int, float), bool: bool, str: str}.get(kind, object)
        if not isinstance(value, plain) or (isinstance(value, bool) and kind in (int, float)):
            raise UserError(f"{name} is {value!r}; use {_WORDS.get(kind, 'a text')}")
        return value
    if kind is bool:
        if value.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise UserError(f"{name} is {value!r}; use true or false")
        return value.lower() in ("true", "yes", "1")
    try:
        return kind(value)
    except ValueError:
        raise UserError(f"{name} is {value!r}; use {_WORDS.get(kind, 'another value')}") from None


_WORDS = {int: "a whole number", float: "a number", bool: "true or false"}
