"""What the arguments of `evonas.search` and `evonas.train` mean."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from pathlib import Path
from random import Random
from typing import Any

from evonas import contract
from evonas.data.given import is_own_data, write_own_data
from evonas.data.sources import DATASETS, Source
from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.graph import Graph
from evonas.objectives import own_objectives, read_objectives
from evonas.run.budget import seconds_of
from evonas.run.config import OWN_DATA
from evonas.run.problem import Brought, fitted
from evonas.run.store import Run
from evonas.run.supernet import FOLDER
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.support.files import place
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.systems.own import is_own_code, is_reference, reference_to, resolved
from evonas.systems.settings import whole
from evonas.systems.setup import Setup
from evonas.systems.system import System
from evonas.tasks.classification import ImageClassification
from evonas.tasks.images import ImageTask
from evonas.tasks.task import Task


def check_given(data: Any, evaluate: Any, inherit: bool | None) -> None:
    """Raises UserError where nothing judges a network, or what should does not fit."""
    if evaluate is not None and not callable(evaluate):
        raise UserError(f"evaluate is {evaluate!r}; give a function of a genome that returns a number")
    if data is None and evaluate is None:
        raise UserError("there is nothing to judge networks by; give data=..., or evaluate=...")
    if inherit and evaluate is not None:
        raise UserError("inherit=True with an evaluate of your own: only trainings inherit weights")


def brought_by(what: str | Space, data: Any, evaluate: Any, strategy: Any) -> tuple[System, Brought]:
    """The system that is meant, and the objects that a script brings."""
    own = None if isinstance(what, str) else what.networks
    system = registry.system(resolved(str(what))) if own is None else registry.over(own, reference_to(type(own)))
    task = data if isinstance(data, Task) else None
    return system, Brought(own, task, evaluate, None if isinstance(strategy, str) else strategy)


@dataclass
class Arrays:
    """A script's own arrays lie in the run's directory while they are needed: for good where the run is begun, and not
    at all where it cannot be."""

    data: Any
    directory: Path
    begun: bool

    def __enter__(self) -> Path | None:
        self.made = not self.directory.exists()
        own = self.data is not None and not isinstance(self.data, Task) and is_own_data(self.data)
        name = f"resumed-{time.time_ns()}.npz" if self.begun else OWN_DATA  # loaded data are kept by name
        self.path = self.directory / name if own else None
        if self.path is not None:
            write_own_data(self.data, self.path)
        return self.path

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if self.path is None or not (self.begun or isinstance(error, UserError)):
            return
        self.path.unlink(missing_ok=True)
        if self.made and self.directory.exists():
            self.directory.rmdir()


def supernet_of(given: str | Path | None) -> tuple[str | None, str | None, dict[str, Any]]:
    """The policy that trains a supernet, the file of one that is lent, and its settings: of a policy by name, or of the
    supernet of a run in a directory. Raises UserError for a run without one."""
    if given is None:
        return None, None, {}
    if not isinstance(given, Path) and not holds_run(given):
        return resolved(given), None, {}
    run = Run.open(place(given))
    usual = registry.systems().get(run.config.system)  # a user's own has no supernet by itself, and is code
    name = run.config.supernet or (None if usual is None else usual.supernet)
    if name is None:
        raise UserError(f"{given} has no supernet that could be lent: its candidates are trained one by one")
    if is_own_code(name):
        raise UserError(f"the supernet of {given} was trained by {name}, which is code and is only run where you name "
                        f"it: train another one, with --supernet {name}")  # fmt: skip
    trained = [event["weights"] for event in run.events() if event["event"] == "told" and event.get("weights")]
    files = [file for weights in trained if (file := run.directory / FOLDER / f"{weights}.safetensors").exists()]
    if not files:
        raise UserError(
            f"the supernet of {given} is not there: it has not been trained to its end, or its file is lost"
        )
    values = {key: value for key, value in run.config.settings.items() if key.startswith("supernet.")}
    return name, str(files[0].resolve()), values


def task_of(data: Any, arrays: Path | None, **options: Any) -> Task | None:
    """What is to be learnt of the data. Raises UserError where they cannot be had."""
    if data is None or isinstance(data, Task):
        return None if data is None else data.identified()
    if arrays is not None:
        file = str(arrays.resolve())
        try:
            return ImageClassification(Source(file, **options)).identified()
        except UserError as error:  # a script knows nothing of the file
            raise UserError(str(error).replace(file, "the data")) from None
    return task_on(None, data, **options)


def task_on(like: Task | None, data: Any, **options: Any) -> Task:
    """The task on these data: of the same kind as another one, or image classification."""
    if isinstance(data, Task):
        return data.identified()
    name = str(data)
    if is_reference(name) and not place(name).exists():
        return registry.task_class(resolved(name))().identified()
    kind = type(like) if isinstance(like, ImageTask) else ImageClassification
    return kind(Source(_place(name), **options)).identified()


def _place(data: str) -> str:
    """The data as a later command finds them from any directory: of a file or folder, the whole path."""
    return str(place(data).resolve()) if data not in DATASETS and place(data).exists() else data


def planned(setup: Setup, own: Setup, given: Any) -> int | None:
    """How many evaluations a search has where nobody says it: as many as its strategy plans, else as the system's own
    would; None where the strategy ends by itself."""
    made = given
    if not isinstance(given, Strategy):  # a script's function makes a fresh one later, and is not asked before
        made = setup.strategy.strategy(setup.strategy.tools(setup.space, Random(0)), Random(0))
    return made.evaluations or (own.strategy.evaluations if made.endless else None)


def scheduled(setup: Setup, settings: Mapping[str, Any], evaluations: int | None) -> Setup:
    """The set-up whose strategy, if it has a schedule, has it over these evaluations, unless the settings say it."""
    said = any(name in settings for name in ("evaluations", "strategy.evaluations"))
    if said or evaluations is None or "evaluations" not in setup.strategy.settings:
        return setup
    return fitted(setup, None, {"strategy.evaluations": evaluations})


def objectives_of(given: Any, evaluate: Any, system: System, task: Task | None) -> dict[str, float]:
    if evaluate is None:
        assert task is not None, "without a function there are data"
        return read_objectives((task.metric.name, *system.costs) if given is None else given, task)
    if given is None:
        return {"fitness": 1.0}
    if not isinstance(given, Mapping):
        raise UserError(f"objectives is {given!r}; with evaluate, give {{name: 1 or -1}}, such as {{'score': 1}}")
    return own_objectives(given)


def whole_numbers(**given: Any) -> Iterator[int]:
    """Numbers of Python or numpy, in their order. Raises UserError for anything else."""
    return (whole(name, value) for name, value in given.items())


def seconds_in(called: str, given: Any) -> float | None:
    """A number of seconds, or a time such as "20m". Raises UserError for anything else."""
    if isinstance(given, str):
        return seconds_of(given)
    if given is not None and (isinstance(given, bool) or not isinstance(given, Real)):
        raise UserError(f"{called} is {given!r}; use seconds, or a time such as '90s'")
    return None if given is None else float(given)


def preset_of(system: System, preset: str | None, task: Task | None) -> str:
    if preset is not None:
        system.preset(preset)
        return preset
    return next(iter(system.presets)) if task is None else system.preset_for(task.input_shape)


def shaped(setup: Setup, settings: Mapping[str, Any], limits: Limits) -> Setup:
    """The set-up whose space has the size that suits the limits, where the settings do not say it."""
    if not limits:
        return setup
    networks = setup.space.networks
    sized = networks.within(limits.keeps)
    changed = {
        each.name: getattr(sized, each.name) for each in fields(sized)
        if getattr(sized, each.name) != getattr(networks, each.name)
    }  # fmt: skip
    said = any(name in settings for field in changed for name in (field, f"space.{field}"))
    return setup if said or not changed else replace(setup, space=setup.space.over(sized))


def first_codes(
    given: Sequence[str | Path], system: System, space: Space, limits: Limits, *, own: bool
) -> tuple[str, ...]:
    """The codes with which a search begins: the given ones, else, where the strategy is the system's own, those of its
    networks that keep the limits; none for "none"."""
    if given:
        return () if list(given) == ["none"] else tuple(code_of(each, space) for each in given)
    usual = [space.of_network(genome) for genome in system.begins(space.networks)] if own else []
    return tuple(space.format(genome) for genome in usual if not limits.broken_by(space.decode(genome)))


def scheduler_of(given: str | None, system: System, *, own: bool) -> str | None:
    """The scheduler of trainings: the given one, else the system's, where the search is its own; none for "none". It
    compares by one objective, and would stop what is small rather than accurate."""
    found = system.fidelity if given is None and own else given
    return None if found == "none" else found


def one_network(space: Space, first: Sequence[str], seed: int) -> Graph:
    """One of the networks that a search will train: the first one, where it is known, else a random one."""
    return space.decode(space.parse(first[0])) if first else contract.check(space, stream(seed, "precision"))


def code_of(given: str | Path, space: Space) -> str:
    """A code to begin with, or the best of a run in a directory, whose journal has its code."""
    code = Run.open(given).best.code if isinstance(given, Path) or holds_run(given) else given
    return space.format(space.parse(code))


def holds_run(directory: str | Path) -> bool:
    """Whether it is a directory with a run in it, and not a code or the name of a system."""
    try:
        return (place(directory) / "config.json").exists()
    except (OSError, UserError):  # a code may be longer than the name of a file
        return False


def name_of_run(system: str, data: Any, seed: int) -> str:
    short = system.rpartition(":")[2].lower()
    if isinstance(data, Task):
        what = data.name
    else:
        what = "evaluate" if data is None else "own" if is_own_data(data) else Path(str(data)).stem
    return f"{short}-{what}-{seed}"


def free(path: Path) -> Path:
    """This path, or with the first number after it that is not taken."""
    number = 2
    free = path
    while place(free).exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def id_of(which: int | str) -> int:
    try:
        return int(which)
    except ValueError:
        raise UserError(f"{which!r} is not an id of a run; ids are numbers, as 'evonas show DIR' lists them") from None
