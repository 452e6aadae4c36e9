"""What scripts, notebooks and the command line call: `search` and `open_run`, as `evonas.search`, `evonas.open_run`."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from evonas.errors import RunError, UserError
from evonas.objectives import Limits, own_objectives, read_count, read_objectives
from evonas.run.loop import Budget
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.support.device import choose_device, choose_precision, cores
from evonas.support.streams import stream

if TYPE_CHECKING:
    from deap import base

    from evonas.comparison.trials import Comparison
    from evonas.model.trained import TrainedNetwork
    from evonas.run.store import Config, Run


def search(
    what: str | Space,
    data: Any = None,
    *,
    evaluate: Callable[[Sequence[Any]], Any] | None = None,
    strategy: Strategy | Callable[[base.Toolbox, Random], Strategy] | None = None,
    budget: int | str | Budget | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    objectives: str | Sequence[str] | Mapping[str, float] | None = None,
    max_parameters: int | str | None = None,
    max_multiply_adds: int | str | None = None,
    init: Sequence[str | Path] = (),
    size: int | None = None,
    validation: float = 0.2,
    data_dir: str | None = None,
    timeout: float | None = None,
    memory: int | str | None = None,
    accumulate: bool = False,
    workers: int | None = None,
    executor: str | Executor | None = None,
    hostfile: str | Path | None = None,
    scheduler: str | None = None,
    workers_per_gpu: int = 1,
    threads: int = 1,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    baseline: bool = False,
    inherit: bool | None = None,
    weights_disk: int | str | None = "2G",
    profile: bool = False,
    progress: bool = True,
) -> Run:
    """Search, train the winner to the end, and return the run.

    what               a system such as "genet", a space of your own, or where to import one: "my_space.py:MySpace"
    data               the name of a data set, a path (.npz, folder of images), numpy arrays or tensors (x, y) or
                       (x_train, y_train, x_test, y_test), a torch Dataset, or two of them
    evaluate           genome -> number (to be maximised), or one number for each of `objectives`; in place of training.
                       It runs in worker processes, and must give the same for the same genome
    strategy           what proposes genomes, fresh, in place of the system's; or (toolbox, rng) -> strategy, over the
                       system's DEAP toolbox, which keeps the limits and begins with `init`
    budget             evaluations, or a time such as "20m", or a `Budget`; None: what the system's settings say
    out                the run directory; None: runs/SYSTEM-DATA-SEED
    resume             go on with the run in `out`, if there is one; all but the budget, the workers and where they run
                       must be as it was begun
    settings           of the system, its space and recipes, by name, as `evonas list` shows them: {"population": 10}
    objectives         "accuracy,parameters": some of accuracy, parameters, multiply_adds, latency, by NSGA-II; with
                       `evaluate`: {name: 1 or -1}, to be maximised or minimised
    max_parameters     } no network above is trained: 20_000 or "20k"
    max_multiply_adds  }
    init               networks to begin with: codes, or directories of runs, whose best is taken
    size               resize images to size x size
    validation         share of the training images that the search is judged on
    timeout            seconds for one training or call of `evaluate`; a network over it is a failure
    memory             bytes for one training, such as "2G"; None: what the device has, shared by the workers. A network
                       that would need more is a failure, or, with `accumulate`, is trained with its batches in parts
    workers            evaluations at a time; None: one a core, or `workers_per_gpu` on each GPU
    executor           serial, processes, scoop, dask, mpi, or any concurrent.futures executor; None: the one that the
                       script has been started by (`python -m scoop`, `python -m mpi4py.futures`), else local processes
    hostfile           that SCOOP or MPI has been started with: a host a line, with its number of workers
    scheduler          address of a dask scheduler; None: dask starts workers on this host
    threads            of the CPU for each worker
    device, precision  "auto", or cpu, cuda; float32, bfloat16
    profile            say in profile.json where the time went
    baseline           compare with random search (as many evaluations) and a hand-written network
    inherit            children begin with the weights of their first parent, where name and shape agree; None: as the
                       system does
    weights_disk       bytes on disk for the weights of those alive; None: as many as it takes

    Ctrl-C ends the search and returns the run so far, with `run.interrupted`; `resume=True` goes on with it. A second
    Ctrl-C is raised. Raises UserError for what cannot be used, before anything is written; RunError where a run fails
    on the way.
    """
    from evonas.data.given import is_own_data, write_own_data
    from evonas.data.shared import shared
    from evonas.executors import require
    from evonas.executors.workplace import workplace
    from evonas.run.session import check
    from evonas.run.store import OWN_DATA, Config, Given, Run, fitted
    from evonas.systems import system
    from evonas.systems.own import name_of, own_system

    known = own_system(what, name_of(what)) if isinstance(what, Space) else system(_place_of_space(what))
    if evaluate is not None and not callable(evaluate):
        raise UserError(f"evaluate is {evaluate!r}; give a function of a genome that returns a number")
    if data is None and evaluate is None:
        raise UserError("there is nothing to judge networks by; give data=..., or evaluate=...")
    if inherit and evaluate is not None:
        raise UserError("inherit=True with an evaluate of your own: only trainings inherit weights")
    object_given = executor if isinstance(executor, Executor) else None
    given = Given(known if isinstance(what, Space) else None, evaluate, strategy, object_given)
    own = data is not None and is_own_data(data)
    directory = Path(out) if out is not None else _free(Path("runs") / _name(known.name, data, own, seed))
    begun = Run.exists(directory)
    if begun and not resume:
        raise UserError(f"{directory} holds another run; go on with 'evonas resume {directory}' (resume=True in a "
                        "script), or choose another --out")  # fmt: skip
    made = not directory.exists()
    arrays = directory / (f"resumed-{time.time_ns()}.npz" if begun else OWN_DATA)  # loaded data are kept by name
    try:
        source, images = None, None
        if data is not None:
            if own:
                write_own_data(data, arrays)
            where = str(arrays.resolve()) if own else _place(str(data))
            source = _source(where, size=size, validation=validation, seed=seed, root=data_dir)
            images = (shared(source).input_shape, len(shared(source).classes))
        preset = _preset(known, preset, source)
        setup = fitted(known.preset(preset), images, settings or {})
        limit = _budget(budget, setup.strategy.evaluations)
        if known.scheduled and "evaluations" not in (settings or {}):
            planned = Run.open(directory, given).config.settings["evaluations"] if begun else limit.evaluations
            setup = setup.having({} if planned is None else {"evaluations": planned})
        chosen_device, chosen_precision = device, precision
        device = choose_device(device)
        place = workplace(executor, workers, hostfile, scheduler, device=device, workers_per_gpu=workers_per_gpu)
        require(place["executor"])
        config = Config(
            system=known.name,
            preset=preset,
            settings=setup.settings(),
            source=source,
            images=images,
            data=None if source is None else shared(source).fingerprint,
            seed=seed,
            budgets=(limit,),
            **place,
            threads=threads,
            device=device,
            precision=choose_precision(precision, device, lambda: setup.space.check(stream(seed, "precision"))),
            objectives=_objectives(objectives, evaluate, known.objectives),
            limits=Limits.read(max_parameters, max_multiply_adds),
            init=tuple(_code(each, setup.space) for each in init),
            timeout_s=timeout,
            memory=None if memory is None else read_count(memory),
            accumulate=accumulate,
            profile=profile,
            baseline=baseline,
            inherit=known.inherits and evaluate is None if inherit is None else inherit,
            weights_disk=None if weights_disk is None else read_count(weights_disk),
            by_script=tuple(name for name in ("evaluate", "strategy") if getattr(given, name) is not None),
        )
        if begun:
            run = Run.open(directory, given)
            _check_same(run, config)
            run = run.moved(
                **place,
                device=config.device if chosen_device != "auto" else None,
                precision=config.precision if chosen_precision != "auto" else None,
                profile=profile or None,
                weights_disk=config.weights_disk,
            )
            return go_on(run if budget is None else _with_budget(run, budget), progress=progress)
        check(Run(directory, config, given))
        run = Run.new(directory, config, given)
    except UserError:
        if own and not begun:
            arrays.unlink(missing_ok=True)
            if made and directory.exists():
                directory.rmdir()
        raise
    finally:
        if own and begun:
            arrays.unlink(missing_ok=True)
    return go_on(run, progress=progress)


def open_run(directory: str | Path, space: Space | None = None) -> Run:
    """The run in a directory. `space`: the script's own, where it cannot be imported from where the run says."""
    from evonas.run.store import Given, Run
    from evonas.systems.own import own_system

    run = Run.open(directory)
    return run if space is None else Run(run.directory, run.config, Given(own_system(space, run.config.system)))


def go_on(run: Run, *, progress: bool = True) -> Run:
    """Do what is left of a run, with progress in the terminal or notebook. SIGTERM counts as Ctrl-C."""
    from evonas.reports.progress import Progress, Silent

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if main else None
    try:
        with Progress(run) if progress else Silent() as observer:
            run.go(observer)
    except KeyboardInterrupt:
        run.interrupted = True
    except RunError as error:
        how = "run the script again with resume=True" if run.config.by_script else f"evonas resume {run.directory}"
        raise RunError(f"{error} ({how})") from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    return run


def train(
    what: str | Path,
    which: int | str | None = None,
    *,
    data: str | Path | None = None,
    recipe: str = "final",
    epochs: int | None = None,
    all_data: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    size: int | None = None,
    validation: float = 0.2,
    data_dir: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    on_epoch: Callable[[Any], None] = lambda epoch: None,
) -> TrainedNetwork:
    """Train one network to the end, apart from a search.

    what, which   the directory of a run and an id (None: its best); or a system and a code of its space
    data          other data than the run's; of a system, digits where nothing is said
    recipe        final or search, as the run or system has them, or a name of `evonas.recipe.RECIPES`
    all_data      train on the validation part too, and keep the last epoch in place of the best
    out           where to; None: trained/ID in the run's directory, or trained/SYSTEM-DATA-SEED
    resume        go on after the last whole epoch of a training that was interrupted
    on_epoch      called with each `Epoch`: its number, loss and validation accuracy

    Raises UserError for what cannot be used, RunError where the training fails.
    """
    from evonas.data.shared import shared
    from evonas.model.final_training import Request, check_fit, choose_recipe, train_found, train_to_the_end
    from evonas.run.store import Run, fitted
    from evonas.systems import system

    options = {"size": size, "validation": validation, "root": data_dir}
    if (Path(what) / "config.json").exists():
        if settings or preset:
            raise UserError("a run has its own preset and settings; give a recipe, epochs or data instead")
        run = Run.open(what)
        source = None if data is None else _source(_place(str(data)), seed=run.config.seed, **options)
        found = run.best if which is None else run[_id(which)]
        return train_found(
            found, recipe=recipe, epochs=epochs, data=source, all_data=all_data, seed=seed, device=device,
            precision=precision, out=None if out is None else Path(out), resume=resume, on_epoch=on_epoch,
        )  # fmt: skip
    known = system(str(what))
    if which is None:
        raise UserError(f"which network of {what}? Give a code, as in 'evonas decode {what} CODE'")
    data, seed = data or "digits", seed or 0
    source = _source(_place(str(data)), seed=seed, **options)
    images = (shared(source).input_shape, len(shared(source).classes))
    setup = fitted(known.preset(_preset(known, preset, source)), images, settings or {})
    code, graph = setup.space.read(str(which))
    searched = setup.recipe if setup.space.is_sequence else setup.space.recipe(setup.space.parse(code), setup.recipe)
    device = choose_device(device)
    request = Request(
        graph=graph,
        code=code,
        source=source,
        recipe=choose_recipe(recipe, epochs, search=searched, final=setup.final),
        seed=seed,
        device=device,
        precision=choose_precision(precision, device, lambda: graph),
        all_data=all_data,
    )
    check_fit(request)
    folder = Path(out) if out is not None else Path("trained") / _name(known.name, data, False, seed)
    return train_to_the_end(request, folder, resume=resume, on_epoch=on_epoch)


def compare(
    space: str,
    *,
    table: str | Path | None = None,
    data: str | None = None,
    strategies: str = "random,aging,local",
    seeds: int = 100,
    first_seed: int = 0,
    budget: int | str = 200,
    regret: float | None = None,
    free_repeats: bool = False,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Strategies beside each other, over `seeds` seeds.

    space         with a table: nasbench201, nasbench101 or nasbench-macro; without one, a system, which is trained
    table         the file of the table
    data          cifar10, cifar100 or imagenet16 of a table; any data set or path for training
    strategies    of random, aging, local, nsga2, reinforce, ppo and q-learning, with settings:
                  "random,aging:population=10,sample=10"
    first_seed    others than those of a published table are to choose settings by
    budget        queries, or seconds of evaluation such as "20000s" (of a table: simulated)
    regret        points of accuracy: count the queries until the incumbent is this close to the best
    free_repeats  a network that was met before costs nothing (otherwise it costs again, as in the papers)
    out           directory for comparison.json, trials.json and regret.png; of training, the runs too

    Raises UserError for what cannot be used.
    """
    from evonas.comparison.contenders import read_contenders
    from evonas.comparison.trials import Comparison, by_training, on_table
    from evonas.evaluation.table import read_table
    from evonas.executors import Processes, Serial

    contenders = read_contenders(strategies)
    limit = _queries_or_seconds(budget)
    numbers = range(first_seed, first_seed + seeds)
    if not numbers or first_seed < 0:
        raise UserError(f"seeds is {seeds} and first_seed {first_seed}; use at least 1, and 0 or more")
    if regret is not None and regret < 0:
        raise UserError(f"regret is {regret}; use points of accuracy, 0 or more")
    data = data or ("digits" if table is None else "cifar10")
    directory = Path(out) if out is not None else Path("comparisons") / f"{space}-{Path(data).stem}"
    if table is None:
        found = by_training(
            space, data, contenders, seeds=numbers, budget=limit, settings=settings or {}, workers=workers,
            directory=directory,
        )  # fmt: skip
        best = max(max(trial.incumbent) for trials in found.values() for trial in trials)
    else:
        if settings:
            raise UserError("a table has no settings; give those of strategies as aging:population=10")
        read = read_table(space, Path(table), data)
        workers = min(workers or cores(), seeds)
        executor = Processes(workers) if workers > 1 else Serial()
        try:
            found = on_table(read, contenders, seeds=numbers, budget=limit, free_repeats=free_repeats,
                             executor=executor, workers=workers)  # fmt: skip
        finally:
            executor.shutdown()
        best = read.best_test
    counted = f"{seeds} seeds" + (f" from {first_seed} on" if first_seed else "")
    title = f"{space} on {Path(data).stem}: {counted}, {_counted(limit)}"
    comparison = Comparison(title, found, best, regret, directory)
    comparison.write()
    return comparison


def _queries_or_seconds(budget: int | str) -> Budget:
    text = str(budget)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s?)", text)
    if not found or (not found[2] and "." in found[1]):
        raise UserError(f"budget is {text!r}; write a number of queries, or seconds of evaluation such as 20000s")
    return Budget(cost_seconds=float(found[1])) if found[2] else Budget(int(found[1]))


def _counted(budget: Budget) -> str:
    if budget.cost_seconds is not None:
        return f"{budget.cost_seconds:,.0f} s of evaluation"
    return f"{budget.evaluations:,} queries"


def _id(which: int | str) -> int:
    try:
        return int(which)
    except ValueError:
        raise UserError(f"{which!r} is no id of a run; ids are numbers, as 'evonas show DIR' lists them") from None


def seconds_of(text: str) -> float:
    """90, 90s, 10m, 1h30m in seconds. Raises UserError for what is no duration."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if not found or not any(found.groups()):
        raise UserError(f"{text!r} is no duration; write 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if not total > 0:
        raise UserError(f"{text!r} allows nothing; use more than 0")
    return total


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _check_same(run: Run, config: Config) -> None:
    """A run goes on as it was begun: budget, workers and devices may change, and nothing else.

    Of an `evaluate` or `strategy` only whether there is one is known.
    """
    fields = ("preset", "settings", "images", "data", "seed", "objectives", "limits", "init", "timeout_s", "memory",
              "threads", "accumulate", "baseline", "inherit", "by_script")  # fmt: skip
    was = [name for name in fields if getattr(run.config, name) != getattr(config, name)]
    if run.config.system.rpartition(":")[2] != config.system.rpartition(":")[2]:
        was.insert(0, "system")
    if was:
        shown = "; ".join(f"{name} was {getattr(run.config, name)!r:.60}, is {getattr(config, name)!r:.60}"
                          for name in was if name != "settings")  # fmt: skip
        settings = [name for name, value in config.settings.items() if run.config.settings.get(name) != value]
        changed = ", ".join(was) + (f" ({', '.join(settings)})" if settings else "")
        raise UserError(f"{run.directory} holds a run with other {changed}: {shown or 'see its config.json'}; resume "
                        "it as it was begun, or choose another out")  # fmt: skip


def _with_budget(run: Run, budget: int | str | Budget) -> Run:
    wanted = _budget(budget, None)
    if wanted in run.config.budgets:
        return run
    if wanted.epochs is not None:
        raise UserError("a run goes on to a number of evaluations or for a time, not to a number of epochs")
    longer = run.extended(evaluations=wanted.evaluations, seconds=wanted.seconds)
    longer.write_config()
    return longer


def _budget(budget: int | str | Budget | None, usual: int | None) -> Budget:
    if isinstance(budget, Budget):
        return budget
    if isinstance(budget, str):
        return Budget(seconds=seconds_of(budget))
    return Budget(evaluations=usual if budget is None else budget)


def _objectives(given: Any, evaluate: Any, usual: str) -> dict[str, float]:
    if evaluate is None:
        return read_objectives(usual if given is None else given)
    if given is None:
        return {"fitness": 1.0}
    if not isinstance(given, Mapping):
        raise UserError(f"objectives is {given!r}; with evaluate, give {{name: 1 or -1}}, such as {{'score': 1}}")
    return own_objectives(given)


def _source(name: str, **options: Any) -> Any:
    from evonas.data.sources import Source

    return Source(name, **options)


def _place(data: str) -> str:
    """Of a file or folder, where it lies, whatever directory a later command is run in."""
    from evonas.data.sources import DATASETS

    return str(Path(data).resolve()) if data not in DATASETS and Path(data).exists() else data


def _place_of_space(name: str) -> str:
    """Of FILE.py:SPACE, where the file lies, whatever directory a later command is run in."""
    file, _, what = name.rpartition(":")
    return f"{Path(file).resolve()}:{what}" if file.endswith(".py") and Path(file).exists() else name


def _preset(known: Any, preset: str | None, source: Any) -> str:
    from evonas.data.shared import shared

    if preset is not None:
        known.preset(preset)
        return preset
    return next(iter(known.presets)) if source is None else known.preset_for(shared(source).input_shape)


def _code(given: str | Path, space: Space) -> str:
    """A code to begin with, or the best of a run in a directory."""
    if isinstance(given, Path) or (Path(given) / "config.json").exists():
        return space.format(space.parse(open_run(given).best.code))
    return space.format(space.parse(given))


def _name(system: str, data: Any, own: bool, seed: int) -> str:
    short = system.rpartition(":")[2].lower()
    what = "own" if own else "evaluate" if data is None else Path(str(data)).stem
    return f"{short}-{what}-{seed}"


def _free(path: Path) -> Path:
    """This path, or with the first number after it that is not taken."""
    number = 2
    free = path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free
