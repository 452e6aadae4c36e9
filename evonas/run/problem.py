"""A problem: all that is searched, and how it is judged; and the text by which a run's config says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from random import Random
from typing import Annotated, Any

from msgspec import Meta

from evonas.evaluation.limits import Limits
from evonas.individual import Toolbox
from evonas.recipe import Recipe
from evonas.space import Space
from evonas.strategies import Strategy, adopt
from evonas.support.schema import checked
from evonas.systems import registry
from evonas.systems.own import reference_to
from evonas.systems.setup import Chosen, Setup
from evonas.systems.system import System
from evonas.tasks.task import Task

BY_SCRIPT = "script"  # stands for what only the script that began a run can give again

Shape = Annotated[tuple[Annotated[int, Meta(ge=1, le=1 << 24)], ...], Meta(min_length=1)]
Evaluate = Callable[[Sequence[Any]], Any]  # genome -> a number, or one for each objective
Maker = Callable[..., Strategy]  # of a toolbox and a generator, which it may call rng


@dataclass(frozen=True)
class Brought:
    """Objects that a script brings, where names do not say it all. What is None is found by the config's text.

    space      of the script's own
    task       of the script's own
    evaluate   genome -> values, in place of training
    strategy   in place of the system's; fresh, since the journal is replayed into it; or (toolbox, rng) -> strategy
    """

    space: Space | None = None
    task: Task | None = None
    evaluate: Evaluate | None = None
    strategy: Strategy | Maker | None = None


NOTHING = Brought()


@dataclass(frozen=True, kw_only=True)
class ProblemText:
    """What of a problem can be said in a config.

    system     in the registry, or FILE.py:SPACE
    preset     of the system
    strategy   in place of the system's own, by name: aging:population=20; script: an object of the script's
    supernet   what trains a supernet, in place of the system's own, by name: uniform:bins=6
    settings   of space, strategy and recipes, each by its whole name
    decide     fields of the recipe that genomes decide, with their options
    task       its kind in the registry, or FILE.py:TASK; None where nothing is trained
    data       the fields of the task
    shapes     of an input of the task and of an output: with them a run is read without its data
    evaluate   script, where a function of the script's own judges genomes
    teacher    the file of the network by which recipes distil, where one was given
    """

    system: str
    preset: str
    settings: dict[str, Any]
    objectives: dict[str, float]
    strategy: str | None = None
    supernet: str | None = None
    decide: dict[str, list[Any]] = field(default_factory=dict)
    task: str | None = None
    data: dict[str, Any] | None = None
    shapes: tuple[Shape, Shape] | None = None
    evaluate: str | None = None
    teacher: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is searched, and how it is judged.

    system       whose values it has where nothing else was said
    setup        space, strategy and recipes
    task         None where a function judges genomes and nothing is trained in the end
    evaluate     judges genomes in place of the search recipe
    named        the set-up's strategy was chosen by name, in place of the system's own
    strategy     an object of a script's, in place of the set-up's
    objectives   name -> weight: positive to be maximised; the first one decides who wins
    teacher      the file of the network by which recipes distil, where one was given
    """

    system: System
    setup: Setup
    task: Task | None
    objectives: Mapping[str, float]
    limits: Limits
    named: bool = False
    evaluate: Evaluate | None = None
    strategy: Strategy | Maker | None = None
    teacher: str | None = None

    @property
    def space(self) -> Space:
        return self.setup.space

    @property
    def search(self) -> Recipe:
        """The recipe by which candidates are trained."""
        return self.setup.search

    @property
    def final(self) -> Recipe:
        """The recipe by which the winner and its baselines are trained in the end."""
        return self.setup.final

    @property
    def distills(self) -> bool:
        """Whether some of its trainings have a teacher."""
        searched = self.evaluate is None and self.search.distills
        return self.task is not None and (searched or self.final.distills)

    @property
    def weights(self) -> tuple[float, ...]:
        return tuple(self.objectives.values())

    @property
    def first(self) -> str:
        """The objective that decides."""
        return next(iter(self.objectives))

    # ---- the strategy ---------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> Chosen:
        """The strategy for these objectives: the set-up's for one, and for several, where none was named, the system's
        for several, or NSGA-II. In that, parents and offspring compete: together they are the population
        (benchmarks/pareto.py)."""
        own, front = self.setup.strategy, self.system.front
        if len(self.objectives) == 1 or self.named or front == own.name:
            return own
        using = registry.chosen(front or "nsga2", own.toolbox)
        values = {name: setting.default for name, setting in own.settings.items() if name in using.settings}
        if front is None and "population" in values:
            values["population"] = max(2, values["population"] // 2)
        return using.having(**values)

    @property
    def first_population(self) -> int | None:
        """How many networks the strategy begins with; None: it does not say."""
        settings = {} if self.strategy is not None else self.chosen.settings
        return settings["population"].default if "population" in settings else None

    def tools(self, rng: Random) -> Toolbox:
        """The DEAP toolbox over the space."""
        return self.setup.strategy.tools(self.space, rng)

    @property
    def maker(self) -> Maker | None:
        """What makes the script's strategy over the toolbox of a search; None where there is none, or where the
        strategy is made already."""
        return None if isinstance(self.strategy, Strategy) or not callable(self.strategy) else self.strategy

    def make(self, toolbox: Toolbox, rng: Random) -> Strategy:
        """A fresh strategy. Raises UserError for settings out of their range."""
        if self.strategy is None:
            return self.chosen.strategy(toolbox, rng)
        if self.maker is None:
            return adopt(self.strategy)
        by_name = "rng" in signature(self.maker).parameters
        return adopt(self.maker(toolbox, rng=rng) if by_name else self.maker(toolbox, rng))


def task_text(task: Task | None) -> tuple[str | None, dict[str, Any] | None]:
    """The kind of a task and its fields, as a config has them."""
    if task is None:
        return None, None
    known = next((name for name in registry.TASKS if registry.task_class(name) is type(task)), None)
    return known or reference_to(type(task)), task.to_json()


def read(text: ProblemText, brought: Brought = NOTHING) -> Problem:
    """The problem of a config, with what a script brings. Raises UserError where something is not found again."""
    return Problem(
        system=system_of(text, brought),
        setup=read_setup(text, brought),
        task=read_task(text, brought),
        objectives=text.objectives,
        limits=text.limits,
        named=_named(text) is not None,
        evaluate=brought.evaluate,
        strategy=brought.strategy,
        teacher=text.teacher,
    )


def read_setup(text: ProblemText, brought: Brought = NOTHING) -> Setup:
    """Space, strategy and recipes of a config."""
    setup = registry.setup(system_of(text, brought), text.preset, _named(text), text.supernet)
    return fitted(setup.deciding(text.decide), text.shapes, text.settings)


def _named(text: ProblemText) -> str | None:
    """The strategy, where it was chosen by name."""
    return None if text.strategy in (None, BY_SCRIPT) else text.strategy


def system_of(text: ProblemText, brought: Brought = NOTHING) -> System:
    return registry.system(text.system) if brought.space is None else registry.over(brought.space, text.system)


def read_task(text: ProblemText, brought: Brought = NOTHING) -> Task | None:
    """The task of a config."""
    if brought.task is not None or text.task is None:
        return brought.task
    return checked(text.data, registry.task_class(text.task), "the task of config.json")


def fitted(setup: Setup, shapes: tuple[tuple[int, ...], ...] | None, settings: Mapping[str, Any]) -> Setup:
    """A set-up with these settings, for a task whose inputs and outputs have these shapes."""
    if shapes is None:
        return setup.having(settings)
    inputs, outputs = shapes
    return setup.having(settings, input_shape=tuple(inputs), outputs=outputs[0])
