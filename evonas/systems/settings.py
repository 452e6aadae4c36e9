"""Settings said once: the signature of a constructor is their schema, its docstring their help, itself their check."""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

from evonas.errors import UserError

KINDS = (int, float, bool, str)
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Setting:
    """One thing that can be set.

    kind   int, float, bool, str, or a tuple of one of them
    help   what the docstring says of it
    """

    name: str
    default: Any
    kind: Any
    help: str = ""

    def read(self, value: Any, called: str) -> Any:
        """A value as this kind: a JSON value, or a text from the command line. Raises UserError for another one, under
        the name by which it was called."""
        return _read(called, value, self.kind)


def settings_of(make: Callable[..., Any]) -> dict[str, Setting]:
    """What a constructor or function takes by name and has a default for, as far as a text can say it."""
    said = help_of(make)
    hints = _hints(make)
    found = {}
    for name, parameter in inspect.signature(make).parameters.items():
        kind = hints.get(name)
        if parameter.default is not parameter.empty and (kind in KINDS or get_origin(kind) is tuple):
            found[name] = Setting(name, parameter.default, kind, said.get(name, ""))
    return found


def fields_of(value: Any, *, without: Iterable[str] = ()) -> dict[str, Setting]:
    """The same of a frozen dataclass, whose present values are the defaults."""
    said, hints = help_of(type(value)), get_type_hints(type(value))
    return {
        field.name: Setting(field.name, getattr(value, field.name), hints[field.name], said.get(field.name, ""))
        for field in fields(value)
        if field.name not in without
    }


def help_of(make: Callable[..., Any]) -> dict[str, str]:
    """What a docstring says of each parameter, in lines such as `name   what it is`; of a class, its own docstring and
    those of the classes that it extends, the nearest one first."""
    texts = [inspect.getdoc(each) or "" for each in (make.__mro__ if isinstance(make, type) else [make])]
    found: dict[str, str] = {}
    for text in texts:
        names: list[str] = []
        for line in text.splitlines():
            begun = re.match(r"((?:[a-z_]\w*)(?:, [a-z_]\w*)*)(?: {2,}| (?=[a-z]))(\S.*)$", line)
            if begun and (line[begun.end(1) :].startswith("  ") or names):
                names = [name for name in begun[1].split(", ") if name not in found]
                found |= dict.fromkeys(names, begun[2].strip())
            elif names and line.startswith("  ") and line.strip():
                for name in names:
                    found[name] += f" {line.strip()}"
            else:
                names = []
    return found


def near(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint for a name that is not known."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {close[0]}?" if close else otherwise


def read_words(words: Iterable[str]) -> dict[str, str]:
    """["population=20", ...] -> {"population": "20"}. Raises UserError for a word without = and for a repetition."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"setting {word!r}: write NAME=VALUE, such as population=20")
        if name in found:
            raise UserError(f"setting {name!r} is given twice; give it once")
        found[name] = value
    return found


def plain(value: Any) -> Any:
    """As JSON keeps it."""
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def shown(value: Any) -> str:
    """As the command line reads it."""
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


class Resolver:
    """Which setting a name means: `group.name`, or the bare name where one group has it, or where it is of the first
    group among `bare`, which lends its names.

    groups   group -> its settings
    bare     groups whose names may be said bare although another group has them too
    never    groups whose names are never said bare
    """

    def __init__(
        self, groups: Mapping[str, Mapping[str, Setting]], *, bare: Iterable[str] = (), never: Iterable[str] = ()
    ):
        self.groups, self.bare, self.never = groups, tuple(bare), tuple(never)

    def find(self, name: str) -> tuple[str, str]:
        """(group, name). Raises UserError for an unknown name, naming the nearest, and for one that is ambiguous."""
        group, dot, rest = name.partition(".")
        if dot and group in self.groups:
            if rest in self.groups[group]:
                return group, rest
            known = [f"{group}.{each}" for each in self.groups[group]]
            raise UserError(f"unknown setting {name!r}: {near(name, known, _all(known))}")
        having = [each for each in self.groups if name in self.groups[each] and each not in self.never]
        preferred = [each for each in self.bare if each in having]
        if preferred or len(having) == 1:
            return (preferred or having)[0], name
        if having:
            raise UserError(f"setting {name!r} is ambiguous: write {' or '.join(f'{each}.{name}' for each in having)}")
        known = [*(one for each in self.groups if each not in self.never for one in self.groups[each]),
                 *(f"{each}.{one}" for each in self.groups for one in self.groups[each])]  # fmt: skip
        raise UserError(f"unknown setting {name!r}: {near(name, known, _all(known))}")


def whole(called: str, value: Any) -> int:
    """A whole number, of Python or numpy. Raises UserError for anything else."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UserError(f"{called} is {value!r}; use a whole number") from None


def _all(known: Iterable[str]) -> str:
    return f"settings are {', '.join(known)}"


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, as far as they are of kinds that a text can say: others may name what is imported for types only."""
    function = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    known = {"int": int, "float": float, "bool": bool, "str": str}
    known |= {f"tuple[{name}, ...]": tuple[kind, ...] for name, kind in known.items()}  # type: ignore[valid-type]
    return {name: known.get(str(hint), hint) for name, hint in function.__annotations__.items()}


def _read(called: str, value: Any, kind: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's numbers and arrays
    if get_origin(kind) is tuple:
        if not isinstance(value, str | list | tuple):
            raise UserError(f"{called} is {value!r}; use values with commas between them")
        items = value.split(",") if isinstance(value, str) else value
        return tuple(_read(called, item, get_args(kind)[0]) for item in items if item != "")
    if isinstance(value, str) and kind is not str:
        return _from_text(called, value, kind)
    plain_kinds: Any = {int: int, float: (int, float), bool: bool, str: str}.get(kind, object)
    if not isinstance(value, plain_kinds) or (isinstance(value, bool) and kind in (int, float)) or not _finite(value):
        raise UserError(f"{called} is {value!r}; use {WORDS.get(kind, 'another value')}")
    return value


def _from_text(called: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise UserError(f"{called} is {text!r}; use true or false")
        return text.lower() in ("true", "yes", "1")
    try:
        value = kind(text) if kind in KINDS else text
    except ValueError:
        value = math.nan
    if not _finite(value):
        raise UserError(f"{called} is {text!r}; use {WORDS.get(kind, 'another value')}")
    return value


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
