"""What would stop a run later is said before anything is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from evonas import contract
from evonas.errors import UserError
from evonas.evaluation import Decoder, Genome
from evonas.evaluation.training import Training
from evonas.graph import Graph
from evonas.individual import Individual
from evonas.operations.operation import some_are_added
from evonas.run import teaching, warm_start
from evonas.run.config import Config
from evonas.run.problem import BY_SCRIPT
from evonas.run.smaller import smaller
from evonas.run.store import Run
from evonas.run.supernet import SharedSearch
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.support.streams import stream
from evonas.systems import registry
from evonas.systems.own import is_reference

DRAWN = 10  # random networks whose operations are tried


def check(run: Run) -> None:
    """Raises UserError for a run that cannot come to its end."""
    problem, config = run.problem, run.config
    graph = contract.check(problem.space, stream(config.seed, "check"))
    rival = problem.system.baseline
    if config.baseline and rival and rival.toolbox is None and not problem.space.is_sequence:
        raise UserError(f"random search cannot draw from {problem.space.name}, whose genomes are no sequences of "
                        "decisions; leave the baseline out")  # fmt: skip
    toolbox = problem.tools(stream(config.seed, "check"))
    if problem.strategy is None:
        toolbox.individual()  # raises for a space that evonas has no operators for
    if some_are_added():
        _check_operations([graph, *_decoded(problem.space, stream(config.seed, "check"))])
    if run.task is not None and is_reference(config.system):
        _check_names(graph)
    _check_signs(run)
    _check_classes(run)
    strategy = problem.make(toolbox, stream(config.seed, "check"))
    strategy.check(problem, inherit=config.inherit)
    teaching.check(run, strategy)
    if problem.setup.supernet is not None:
        _check_supernet(run, strategy)
    if config.fidelity is not None:
        _check_fidelity(run, config.fidelity, strategy)
    if config.limits.latencies and config.limits.latency_ms is None and "latency" not in problem.objectives:
        raise UserError("a table of latencies is for a target or for an objective; give --target-ms 5, or --objectives "
                        "accuracy,latency")  # fmt: skip
    if config.finalists > 1 and run.task is None:
        raise UserError(f"finalists is {config.finalists}, but there are no data to train them on; leave it out")
    if config.inherit:
        _check_inheritance(run, strategy.population == ())
    ready = problem.strategy is not None and problem.maker is None
    if not ready and (missing := [role for role in strategy.roles if not hasattr(toolbox, role)]):
        raise UserError(f"{type(strategy).__name__} needs operators for {', '.join(missing)}, and the toolbox of "
                        f"{problem.space.name} has none; use another strategy, or register them")  # fmt: skip
    if (config.init or config.warm_start) and ready and type(strategy).begin_with is Strategy.begin_with:
        told = "init" if config.init else "warm_start"
        raise UserError(f"a strategy that is made already does not hear of `{told}`, which the search's toolbox hands "
                        "out; give strategy=lambda toolbox, rng: ..., or let it begin with its own")  # fmt: skip
    given = [Individual(problem.space.parse(code)) for code in config.init]
    strategy.begin_with([*given, *warm_start.check(problem, config)])
    _check_first(run)
    if config.limits:
        draw = problem.tools(stream(config.seed, "check")).individual
        config.limits.check(Decoder(problem.space), draw, lambda: smaller(problem.setup, config.limits))
    _check_travels(run)
    task = run.task
    if task is not None and (graph.input_shape != task.input_shape or graph.output_shape != task.output_shape):
        raise UserError(f"{problem.space.name} has networks from {graph.input_shape} to {graph.output_shape}, but "
                        f"the data have inputs of {task.input_shape} and outputs of {task.output_shape}; give it "
                        "the fields input_shape and outputs, and decode by them")  # fmt: skip


def _check_fidelity(run: Run, fidelity: str, strategy: Strategy) -> None:
    """Trainings can be stopped and go on, as a scheduler wants."""
    problem, config = run.problem, run.config
    registry.scheduler(fidelity, problem.search.epochs)
    if config.inherit:
        raise UserError("with fidelity, children cannot inherit weights: the networks of a rung would have had unequal "
                        "trainings; leave one of the two out (--no-inherit)")  # fmt: skip
    if problem.search.trainings > 1:
        raise UserError(
            f"with fidelity, a fitness is of one training, not of {problem.search.trainings}; set trainings=1"
        )
    usual = None if run.task is None else Training(run.task, problem.search, config.seed)
    if problem.evaluate is not None or usual is None or strategy.evaluator(usual) is not usual:
        raise UserError("fidelity needs trainings that can stop and go on, and here networks are judged in another "
                        "way; leave it out")  # fmt: skip


def _check_supernet(run: Run, strategy: Strategy) -> None:
    """A supernet can be trained, and the strategy lets its weights judge."""
    shared = SharedSearch(run.problem, run.config, run.directory)
    shared.check()
    usual = Training(run.task, run.problem.search, run.config.seed)  # type: ignore[arg-type]
    if strategy.evaluator(usual) is not usual:
        raise UserError(f"{run.problem.chosen.name} trains a supernet of its own; search that of "
                        f"{run.problem.setup.supernet.name} by another strategy, such as nsga2")  # type: ignore[union-attr]  # fmt: skip


def _check_travels(run: Run) -> None:
    """What a script brings can go to worker processes, where there are any."""
    if run.config.executor == BY_SCRIPT or (run.config.executor == "serial" and run.config.timeout_s is None):
        return
    for name in ("evaluate", "space", "task"):
        given = getattr(run.brought, name)
        if (error := _cannot_travel(given)) is not None:
            used = inspect.getclosurevars(given) if inspect.isfunction(given) else None
            named = {} if used is None else {**used.globals, **used.nonlocals}
            culprit = next((key for key, value in named.items() if _cannot_travel(value) is not None), None)
            which = "" if culprit is None else f" with its {culprit!r}"
            raise UserError(f"{name}{which} cannot go to worker processes ({error}); make what it needs where it is "
                            "used, or use executor='serial'")  # fmt: skip


def _cannot_travel(given: Any) -> Exception | None:
    import cloudpickle

    try:
        cloudpickle.dumps(given)
    except Exception as error:  # objects raise many kinds when they are pickled
        return error
    return None


def _decoded(space: Space, rng: Random) -> Iterator[Graph]:
    """Graphs of random genomes that can be decoded, and the supernet's, which holds all candidates."""
    draws: list[Callable[[], Genome]] = [*[partial(space.random, rng)] * DRAWN, space.open] if space.is_sequence else []
    for draw in draws:
        try:
            yield space.decode(draw())
        except Exception:  # a user's decode may raise anything, and a space need not have a supernet
            continue


def _check_operations(graphs: Iterable[Graph]) -> None:
    """Operations of the user's own keep their word: they are built and run once, before a search begins."""
    from evonas.network import check

    for graph in graphs:
        check(graph)


def _check_names(graph: Graph) -> None:
    """The nodes of a space of the user's own can be modules of a network."""
    from evonas.network import check_names

    check_names(graph)


def _check_signs(run: Run) -> None:
    """A system whose search for several objectives is made for some wants those."""
    problem, wanted = run.problem, run.system.front_signs
    signs = tuple(1 if weight > 0 else -1 for weight in problem.weights)
    given = problem.named or problem.strategy is not None
    if wanted is not None and not given and len(signs) > 1 and signs != wanted:
        ways = ", then ".join(f"one to be {'maximised' if sign > 0 else 'minimised'}" for sign in wanted)
        raise UserError(f"{run.system.name} searches for several objectives only as {ways}, such as accuracy,latency; "
                        f"not for {', '.join(problem.objectives)}")  # fmt: skip


def _check_classes(run: Run) -> None:
    """Who weights or balances classes has some."""
    problem = run.problem
    for group, recipe in (("search", problem.search), ("final", problem.final)):
        if (recipe.class_weights or recipe.balanced) and (run.task is None or run.task.class_counts() is None):
            which = "class_weights" if recipe.class_weights else "balanced"
            raise UserError(f"{group}.{which} is set, but what is learnt has no classes; leave it out")


def _check_inheritance(run: Run, childless: bool) -> None:
    trainings = run.problem.search.trainings
    if trainings > 1:
        raise UserError(f"trainings is {trainings}, but what inherits is trained once; set trainings=1, or do without "
                        "(--no-inherit)")  # fmt: skip
    if childless:
        raise UserError("children are to inherit weights (--inherit), but with this strategy nobody ever has children; "
                        "choose another strategy, or leave it out")  # fmt: skip


def _check_first(run: Run) -> None:
    """Networks to begin with fit into the first population and keep the limits."""
    problem, config = run.problem, run.config
    first = [problem.space.parse(code) for code in config.init]
    room = problem.first_population
    if room is not None and len(first) > room:
        whole = problem.setup.strategy.settings["population"].default
        raise UserError(f"{len(first)} networks to begin with, but the search begins with {room}; set "
                        f"population={len(first) * max(whole // room, 1)}")  # fmt: skip
    for code, genome in zip(config.init, first, strict=True):
        broken = config.limits.broken_by(problem.space.decode(genome)) if config.limits else ""
        if broken:
            raise UserError(f"{code} has {broken}; begin with a smaller network, or raise the limit")


def check_same(run: Run, config: Config) -> None:
    """A run goes on as it was begun: budget, workers and devices may change, and nothing else.

    Of an `evaluate` or `strategy` of a script only whether there is one is known. Raises UserError.
    """
    fields = ("preset", "settings", "shapes", "data", "seed", "objectives", "limits", "init", "warm_start", "fidelity",
              "supernet", "decide", "lent", "timeout_s", "memory", "threads", "accumulate", "baseline", "inherit",
              "evaluate", "finalists", "strategy", "task", "teacher")  # fmt: skip
    was = [name for name in fields if _said(run.config, name) != _said(config, name)]
    if run.config.system.rpartition(":")[2] != config.system.rpartition(":")[2]:
        was.insert(0, "system")
    if was:
        shown = "; ".join(f"{name} was {getattr(run.config, name)!r:.60}, is {getattr(config, name)!r:.60}"
                          for name in was if name != "settings")  # fmt: skip
        settings = [name for name, value in config.settings.items() if run.config.settings.get(name) != value]
        changed = ", ".join(was) + (f" ({', '.join(settings)})" if settings else "")
        raise UserError(f"{run.directory} holds a run with other {changed}: {shown or 'see its config.json'}; resume "
                        "it as it was begun, or choose another out")  # fmt: skip


def _said(config: Config, name: str) -> object:
    """A field of a config; of data and a teacher, what they hold, wherever they lie now."""
    found = getattr(config, name)
    if name == "teacher" and found is not None:
        return Path(found).stem
    return found.get("fingerprint", found) if name == "data" and found is not None else found
