"""A user's own space as a system: generational evolution by the names of its decisions."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import ModuleType

from deap import base

from evonas.errors import UserError
from evonas.operators.by_decision import toolbox
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.strategies.nsga2 import NSGA2
from evonas.systems import Setup, System, check_generational


@dataclass(frozen=True, kw_only=True)
class OwnSettings:
    """population N, generations after the first, crossover_rate for a pair, mutation_rate for what was not crossed,
    change_rate for each decision of a mutation, swap_rate for each decision of a crossover."""

    population: int = 20
    generations: int = 4
    crossover_rate: float = 0.5
    mutation_rate: float = 1.0
    change_rate: float = 0.1
    swap_rate: float = 0.5

    def __post_init__(self) -> None:
        check_generational(self, "crossover_rate", "mutation_rate", "change_rate", "swap_rate")

    @property
    def evaluations(self) -> int:
        return self.population * (self.generations + 1)


def own_system(space: Space, name: str) -> System:
    """`name` is what a run's config says: `FILE.py:SPACE` or `MODULE:SPACE`, from which a run can be opened again."""
    if not isinstance(getattr(space, "name", None), str):
        raise UserError(f"{type(space).__name__} has no name; give it one: name: ClassVar[str] = 'my space'")
    recipe = Recipe(epochs=4, batch_size=64, learning_rate=0.05)
    about = (inspect.getdoc(type(space)) or "a space of your own").splitlines()[0]
    return System(
        name=name,
        about=about,
        paper="",
        presets={"own": Setup(space, OwnSettings(), recipe, replace(recipe, epochs=40), about=about)},
        preset_for=lambda input_shape: "own",
        toolbox=_toolbox,
        strategy=_strategy,
    )


def name_of(space: Space) -> str:
    """How the class of a space is found again: MODULE:CLASS, or FILE.py:CLASS where it stands in a script."""
    kind = type(space)
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if file and (kind.__module__ == "__main__" or Path(file).stem == kind.__module__):
        return f"{Path(file).resolve()}:{kind.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def imported(name: str) -> Space:
    """The space of `FILE.py:SPACE` or `MODULE:SPACE`, where SPACE is a class with defaults for its fields or a space.

    Raises UserError where there is none.
    """
    where, _, what = name.rpartition(":")
    module = _module(where)
    found = getattr(module, what, None)
    space = _made(found, name) if isinstance(found, type) else found
    if not isinstance(space, Space):
        spaces = [key for key, kind in vars(module).items()
                  if isinstance(kind, type) and issubclass(kind, Space) and kind is not Space]  # fmt: skip
        raise UserError(f"{name}: there is no space {what!r} in {where}; found {', '.join(spaces) or 'none'}")
    return space


def _made(kind: type, name: str) -> object:
    try:
        return kind()
    except TypeError as error:
        raise UserError(f"{name}: {error}; give every field of the space a default") from None


def _module(where: str) -> ModuleType:
    folder = str(Path(where).resolve().parent if where.endswith(".py") else Path.cwd())
    try:
        sys.path.insert(0, folder)  # as python does for a script: a space may import what lies beside it
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = Path(where).resolve()
        if not path.exists():
            raise UserError(f"{where}: no such file; write FILE.py:SPACE")
        main = sys.modules["__main__"]
        if getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == path:
            return main
        known = f"evonas_own_{path.stem}"
        spec = importlib.util.spec_from_file_location(known, path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        sys.modules[known] = module
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


def _toolbox(space: Space, settings: OwnSettings, rng: Random) -> base.Toolbox:
    return toolbox(space, rng=rng, change_rate=settings.change_rate, swap_rate=settings.swap_rate)


def _strategy(toolbox: base.Toolbox, settings: OwnSettings, rng: Random) -> NSGA2:
    return NSGA2(
        toolbox,
        rng=rng,
        population=settings.population,
        crossover_rate=settings.crossover_rate,
        mutation_rate=settings.mutation_rate,
    )
