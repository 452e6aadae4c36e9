"""A user's own space, strategy or task by reference: FILE.py:NAME, or MODULE:NAME. Only what begins or resumes a run,
or is asked to, imports it: a user's file is code."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from evonas.errors import UserError
from evonas.support.files import place

_loaded: dict[str, tuple[Path, int, int]] = {}  # module -> file, time of its last change, size


def is_reference(name: str) -> bool:
    """Whether a name is FILE.py:NAME or MODULE:NAME."""
    return ":" in name


def is_own_code(name: str) -> bool:
    """Whether a name, with or without settings, is a reference to code that is not evonas's."""
    _, *rest = name.split(":")
    named = bool(rest) and "=" not in rest[0]  # what follows is a class, and not settings
    return named and not name.startswith("evonas.")


def resolved(name: str) -> str:
    """FILE.py:NAME with the whole path of the file, which a later command finds from any directory."""
    file, _, what = name.rpartition(":")
    return f"{place(file).resolve()}:{what}" if file.endswith(".py") and place(file).exists() else name


def reference_to(kind: type) -> str:
    """How a class is found again: MODULE:CLASS, or FILE.py:CLASS where it stands in a script."""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if file and (
        kind.__module__ == "__main__" or Path(file).stem == kind.__module__ or _known_as(file) == kind.__module__
    ):
        return f"{Path(file).resolve()}:{kind.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def imported(name: str) -> Any:
    """What FILE.py:NAME or MODULE:NAME stands for. Raises UserError where there is none."""
    where, _, what = name.rpartition(":")
    module = _module(where)
    if not hasattr(module, what):
        defined = [key for key, value in vars(module).items()
                   if isinstance(value, type) and value.__module__ == module.__name__]  # fmt: skip
        raise UserError(f"{name}: there is no {what!r} in {where}; found {', '.join(defined) or 'nothing'}")
    return getattr(module, what)


def _known_as(file: str | Path) -> str:
    """The name under which a file's module is imported."""
    return f"evonas_own_{Path(file).stem}"


def _module(where: str) -> ModuleType:
    folder = str(place(where).resolve().parent if where.endswith(".py") else Path.cwd())
    try:
        sys.path.insert(0, folder)  # as python does for a script: a space may import what lies beside it
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = place(where).resolve()
        if not path.exists():
            raise UserError(f"{where}: no such file; write FILE.py:NAME")
        main = sys.modules["__main__"]
        if getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == path:
            return main
        known, state = _known_as(path), (path, path.stat().st_mtime_ns, path.stat().st_size)
        if known in sys.modules and _loaded.get(known) == state:  # its classes stay the same ones
            return sys.modules[known]
        spec = importlib.util.spec_from_file_location(known, path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        sys.modules[known], _loaded[known] = module, state
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except UserError:
        raise
    except Exception as error:  # a user's module may raise anything as it is imported
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(f"{where} cannot be imported: {type(error).__name__}: {error} ({line.filename}, line "
                        f"{line.lineno})") from error  # fmt: skip
    finally:
        sys.path.remove(folder)
    _travels_by_value(module)
    return module


def _travels_by_value(module: ModuleType) -> None:
    """Workers cannot import a module that was loaded from a file: its classes go to them whole."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
