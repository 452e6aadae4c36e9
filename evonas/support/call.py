"""The call that makes a module: it can be carried out, and it can be printed as source that needs nothing of evonas."""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import cache
from textwrap import dedent
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from evonas.errors import UserError

if TYPE_CHECKING:
    from torch import nn

Defined = type | FunctionType
# what an exported file defines itself
OCCUPIED = {"INPUT_SHAPE", "MEAN", "STD", "CLASSES", "COLUMNS", "PIXEL", "WHOLE", "MODES", "SUFFIXES", "Network",
            "steps", "load", "prepare", "read", "row", "main", "is_picture", "is_hidden", "files_below", "upright",
            "in_mode", "resized", "bands", "network", "csv", "os", "sys", "OrderedDict", "Path",
            "load_file"}  # fmt: skip
PRESENT = {"torch": "torch", "nn": "torch.nn"}  # modules that every file with printed calls has, by their name there
IMPORTS = "import torch\nfrom torch import nn\n"


class Call:
    """The call `CLASS(*args, **options)`, not yet carried out: of a module of PyTorch, or of a class of one's own.

    Arguments are plain values, classes, functions, or calls themselves. A class that differs from what is to be printed
    (as it is for training only) says so by a field `exported`, the class that is printed instead.
    """

    def __init__(self, kind: type[nn.Module], /, *args: Any, **options: Any) -> None:
        self.kind, self.args, self.options = kind, args, options

    def __repr__(self) -> str:
        return self.source()

    def make(self) -> nn.Module:
        args, options = map(_made, self.args), {name: _made(value) for name, value in self.options.items()}
        return self.kind(*args, **options)

    def source(self) -> str:
        """The call as it is printed, without options that have their default or are a matter of training."""
        printed = exported(self.kind)
        known = inspect.signature(printed).parameters
        given = [_text(value) for value in self.args]
        for name, value in self.options.items():
            absent = printed is not self.kind and name not in known
            if not absent and (name not in known or known[name].default != value):
                given.append(f"{name}={_text(value)}")
        return f"{_text(printed)}({', '.join(given)})"

    def definitions(self) -> dict[str, str]:
        """What must stand before the printed call, by name and in order: imports, constants, functions and classes.

        Raises UserError for what cannot be printed.
        """
        found = dict(definitions(exported(self.kind)))
        for value in (*self.args, *self.options.values()):
            found |= _needed(value)
        return found


class Printed(Call):
    """A call of which only the source is left. To make its module is to run that source."""

    def __init__(self, source: str, definitions: Mapping[str, str]) -> None:
        self._source, self._definitions = source, dict(definitions)

    def make(self) -> nn.Module:
        namespace: dict[str, Any] = {"__name__": "printed"}
        exec("\n\n".join([IMPORTS, *self._definitions.values()]), namespace)
        return eval(self._source, namespace)

    def source(self) -> str:
        return self._source

    def definitions(self) -> dict[str, str]:
        return dict(self._definitions)


def exported(kind: type) -> type:
    """The class that is printed for this one."""
    return vars(kind).get("exported", kind)  # its own field: a class that derives from it is another one


def merged(calls: Iterable[Call]) -> dict[str, str]:
    """What must stand before all of these calls. Raises UserError where two of them differ in what a name means."""
    found: dict[str, str] = {}
    for call in calls:
        for name, text in call.definitions().items():
            if found.setdefault(name, text) != text:
                raise UserError(f"{name} has two meanings in the operations of one network; rename one of them")
    return found


@cache  # the source as it was when a search began, whatever happens to the file meanwhile
def definitions(kind: Defined) -> Mapping[str, str]:
    """What must stand in a file so that a class or function may be used there: nothing, if it is of `torch.nn`."""
    found: dict[str, str] = {}
    if not _in_nn(kind):
        _require(kind.__name__, kind, kind.__qualname__, found)
    return found


def _made(value: Any) -> Any:
    return value.make() if isinstance(value, Call) else value


def _text(value: Any) -> str:
    if isinstance(value, Call):
        return value.source()
    if isinstance(value, Defined):
        return f"nn.{value.__name__}" if _in_nn(value) else value.__name__
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _needed(value: Any) -> Mapping[str, str]:
    if isinstance(value, Call):
        return value.definitions()
    if isinstance(value, Defined):
        return definitions(value)
    if isinstance(value, list):
        return {name: text for each in value for name, text in _needed(each).items()}
    return {}


def _in_nn(thing: Defined) -> bool:
    from torch import nn

    return getattr(nn, thing.__name__, None) is thing


def _require(name: str, thing: Any, user: str, found: dict[str, str]) -> None:
    """Add to `found` what gives this name its meaning in a file of its own.

    user   the class or function that uses the name, for messages
    """
    if isinstance(thing, ModuleType):
        if PRESENT.get(name) == thing.__name__:
            return
        if not _is_installed(thing.__name__):
            raise UserError(f"{user} uses the module {thing.__name__}, which an exported file cannot import; import "
                            "what it takes from there by name")  # fmt: skip
        found[name] = f"import {thing.__name__}" + f" as {name}" * (name != thing.__name__)
    elif name in OCCUPIED and not (isinstance(thing, Defined) and _is_installed(thing.__module__)):
        raise UserError(f"{user} cannot be printed: an exported file has a {name} of its own; choose another name")
    elif isinstance(thing, Defined) and _is_installed(thing.__module__):
        found[name] = f"from {thing.__module__} import {thing.__name__}" + f" as {name}" * (name != thing.__name__)
    elif isinstance(thing, Defined):
        _define(name, thing, user, found)
    elif _is_literal(thing):
        found[name] = f"{name} = {thing!r}\n"
    else:
        raise UserError(f"{user} uses {name}, which cannot be printed: {thing!r} is no class, function, module or "
                        "plain value; make it within the class")  # fmt: skip


def _define(name: str, thing: Defined, user: str, found: dict[str, str]) -> None:
    if name != thing.__name__ or thing.__qualname__ != thing.__name__:
        raise UserError(f"{user} cannot be printed: {thing.__qualname__} has to stand at the top of a file, and to be "
                        "used by its name there")  # fmt: skip
    try:
        text = dedent(inspect.getsource(thing)).rstrip() + "\n"
    except (OSError, TypeError):
        raise UserError(f"{user} cannot be printed: there is no source of {name}; define it in a file") from None
    there = vars(sys.modules[thing.__module__])
    found[name] = text  # first, for a class that names itself
    used = {node.id: None for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    for each in used:
        if each in there and each not in found:
            _require(each, there[each], thing.__qualname__, found)
    found[name] = found.pop(name)  # behind what it needs


def _is_installed(module: str) -> bool:
    """Whether another file can import it: it is of Python or of a package that was installed, and not of evonas."""
    if module.partition(".")[0] == "evonas":
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module != "__main__"
    return file.startswith(sysconfig.get_path("stdlib")) or "site-packages" in file or "dist-packages" in file


def _is_literal(value: Any) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False
