"""What scripts, notebooks and the command line call: `evonas.search`, `evonas.open_run`, `evonas.train`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.executors import require, serve_if_worker
from evonas.executors.workplace import workplace
from evonas.genomes.with_recipe import decided
from evonas.individual import Toolbox
from evonas.latency import LatencyTable
from evonas.model.final_training import OnEpoch, Request, choose_recipe, train_to_the_end
from evonas.model.trained import TrainedNetwork
from evonas.objectives import read_count
from evonas.run import problem as problems
from evonas.run.arguments import (
    Arrays,
    brought_by,
    check_given,
    first_codes,
    free,
    holds_run,
    id_of,
    name_of_run,
    objectives_of,
    one_network,
    planned,
    preset_of,
    scheduled,
    scheduler_of,
    seconds_in,
    shaped,
    supernet_of,
    task_of,
    task_on,
    whole_numbers,
)  # fmt: skip
from evonas.run.budget import Budget
from evonas.run.carrying_out import go_on
from evonas.run.check import check, check_same
from evonas.run.config import LATENCIES, Config
from evonas.run.further import train_on
from evonas.run.latencies import kept_in, require_same, shown_table_of
from evonas.run.probe import require_time
from evonas.run.problem import BY_SCRIPT, Brought, fitted
from evonas.run.store import Run
from evonas.run.teaching import Lent, beginning_with, lent_to
from evonas.space import Space
from evonas.strategies import Strategy
from evonas.support import files
from evonas.support.device import ELSEWHERE, choose_device, choose_precision
from evonas.systems import registry
from evonas.systems.own import resolved
from evonas.systems.settings import whole
from evonas.tasks.task import Task
from evonas.tracking import named as trackers
from evonas.tracking.tracker import Tracker


def search(
    what: str | Space = "evonas",
    data: Any = None,
    *,
    # what is searched, and how it is judged
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    strategy: str | Strategy | Callable[[Toolbox, Random], Strategy] | None = None,
    supernet: str | Path | None = None,
    decide: Mapping[str, Any] | None = None,
    teacher: str | Path | None = None,
    evaluate: Callable[[Sequence[Any]], Any] | None = None,
    objectives: str | Sequence[str] | Mapping[str, float] | None = None,
    max_parameters: int | str | None = None,
    max_multiply_adds: int | str | None = None,
    target_ms: float | None = None,
    latencies: str | Path | None = None,
    init: Sequence[str | Path] = (),
    warm_start: str | None = None,
    fidelity: str | None = None,
    inherit: bool | None = None,
    baseline: bool = False,
    finalists: int = 1,
    # the data
    size: int | None = None,
    validation: float = 0.2,
    data_dir: str | None = None,
    # how long, and what a candidate may take
    budget: int | str | Budget | None = None,
    timeout: float | str | None = None,
    memory: int | str | None = None,
    accumulate: bool = False,
    weights_disk: int | str | None = "2G",
    # where
    workers: int | None = None,
    executor: str | Executor | None = None,
    hostfile: str | Path | None = None,
    scheduler: str | None = None,
    slurm: str | Mapping[str, Any] | None = None,
    workers_per_gpu: int = 1,
    threads: int = 1,
    device: str = "auto",
    precision: str = "auto",
    # the run
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    profile: bool = False,
    track: str | Tracker | Sequence[str | Tracker] | None = None,
    progress: bool = True,
    report: bool = True,
) -> Run:
    """Search, train the winner to the end, and return the run.

    what               a system or space such as "genet", the system evonas by default, a space of your own, or where to
                       import one: "my_space.py:MySpace"
    data               the name of a data set, a path (.npz, folder of images), numpy arrays or tensors (x, y) or
                       (x_train, y_train, x_test, y_test), a torch Dataset, or two of them, or a dict of arrays by the
                       names that they have in an .npz file; or a task of your own

    preset             a named set-up of the system; None: the one that fits the size of the images
    settings           of space, strategy and recipes, by name, as `evonas list NAME` shows them: {"population": 10}
    strategy           in place of the system's: by name with its settings ("aging:population=20,sample=5",
                       "my.py:Climb"), an object, fresh, or (toolbox, rng) -> strategy, over the system's DEAP toolbox,
                       which keeps the limits and begins with `init`
    supernet           judge candidates by the weights of a supernet in place of trainings of their own: what trains it,
                       by name with its settings ("uniform", "fair:mean=true"), or the directory of a run that has
                       trained one; None: the system's own choice
    decide             fields of the recipe that are searched together with the network, with their options:
                       {"learning_rate": (0.05, 0.02)}; as `evonas.with_recipe` makes a space of them
    teacher            the directory of a finished run, whose winner is the teacher where recipes distil (`distill`,
                       `features`), or of a network trained by `evonas.train`; a space that begins with a network begins
                       with it
    evaluate           genome -> number (to be maximised), or one number for each of `objectives`; in place of training.
                       It runs in worker processes, and must give the same for the same genome
    objectives         "accuracy,parameters": the task's metric, then some of its others, parameters, multiply_adds and
                       latency, by NSGA-II; with `evaluate`: {name: 1 or -1}, to be maximised or minimised
    max_parameters     no network above is trained: 20_000 or "20k"
    max_multiply_adds  likewise
    target_ms          no network is trained that takes more milliseconds, by the table of
    latencies          this file, which `evonas measure` makes, of this or another device; the objective latency is read
                       in it too; None: one that is measured on this machine at first
    init               networks to begin with: codes, or directories of runs, whose best is taken; ["none"]: none; ():
                       the system's own
    warm_start         begin with the best of so many random networks, as many as the strategy's population or else 20,
                       by a training-free score: "naswot:1000"; of several (`evonas.scores`) by the sum of their ranks:
                       "synflow+jacov+naswot:1000"
    fidelity           stop trainings that promise little, by a scheduler: "asha:eta=3,least=4", "halving", "hyperband",
                       "median"; "none": train all of them to the end; None: the system's own choice
    inherit            children begin with the weights of their first parent, where name and shape agree; None: as the
                       system does
    finalists          train so many of the best by the final recipe on the training split, and take the one that is
                       best on the validation split; 1: the best of the search
    baseline           compare with random search (as many evaluations) and a hand-written network

    size               resize images to size x size
    validation         share of the training images that the search is judged on
    data_dir           where named data sets lie or are downloaded to

    budget             evaluations, or a time such as "20m", or a `Budget`; None: as many as the strategy plans
    timeout            for one training or call of `evaluate`, in seconds or as "90s"; what takes longer is a failure
    memory             bytes for one training, such as "2G"; None: what the device has, shared by the workers. A network
                       that would need more is a failure, or, with `accumulate`, is trained with its batches in parts
    weights_disk       bytes on disk for the weights of the living population; None: as many as it takes

    workers            evaluations at a time; None: one a core, or `workers_per_gpu` on each GPU
    executor           serial, processes, scoop, dask, mpi, slurm (each worker is a job), remote (workers join by
                       `evonas worker`), or any concurrent.futures executor; None: the one that the script has been
                       started by (`python -m scoop`, `python -m mpi4py.futures`), else local processes
    hostfile           that SCOOP or MPI has been started with: a host a line, with its number of workers
    scheduler          address of a dask scheduler; None: dask starts workers on this host
    slurm              options of sbatch for the jobs of slurm: "partition=gpu,time=1:00:00", or a mapping
    threads            of the CPU for each worker
    device, precision  "auto", or cpu, cuda; float32, bfloat16

    out                the run directory; None: runs/SYSTEM-DATA-SEED
    resume             go on with the run in `out`, if there is one; all but the budget, the workers and where they run
                       must be as it was begun
    profile            say in profile.json where the time went
    track              what follows the run, live: "tensorboard", "optuna", "trackio" or "wandb", an object of your own
                       (`evonas.tracking.tracker.Tracker`), or several; None: as the run was begun; "none": nothing
    report             draw the run's pictures and its report at the end, which `run.plot()` does later, too

    Ctrl-C ends the search and returns the run so far, with `run.interrupted`; `resume=True` goes on with it. A second
    Ctrl-C is raised. Raises UserError for what cannot be used, before anything is written; RunError where a run fails
    on the way.
    """
    serve_if_worker()
    entered = time.monotonic()
    check_given(data, evaluate, inherit)
    tracked_by, own_trackers = trackers.read(track)
    seed, threads, workers_per_gpu = whole_numbers(seed=seed, threads=threads, workers_per_gpu=workers_per_gpu)
    size = None if size is None else whole("size", size)
    workers = None if workers is None else whole("workers", workers)
    system, brought = brought_by(what, data, evaluate, strategy)
    directory = free(Path("runs") / name_of_run(system.name, data, seed)) if out is None else files.place(out)
    begun = Run.exists(directory)
    if begun and not resume:
        raise UserError(f"{directory} holds a run already; go on with 'evonas resume {directory}' (resume=True in a "
                        "script), or choose another --out")  # fmt: skip
    with (
        Arrays(data, directory, begun) as arrays,
        kept_in(directory, begun) as kept,
        lent_to(directory, teacher, begun) as lent_teacher,
    ):
        task = task_of(data, arrays, size=size, validation=validation, seed=seed, root=data_dir)
        preset = preset_of(system, preset, task)
        named = strategy if isinstance(strategy, str) else None
        shapes = None if task is None else (task.input_shape, task.output_shape)
        policy, lent, values = supernet_of(supernet)
        settings = values | dict(settings or {})
        plain = registry.setup(system, preset, named, policy).deciding(decided(what) | dict(decide or {}))
        suited = plain.suited({} if task is None else task.augmentation())
        settings = beginning_with(lent_teacher, suited, settings)
        setup = fitted(suited, shapes, settings or {})
        usual = {} if evaluate else system.most(setup.space.networks)
        chosen_device, chosen_precision = device, precision
        device = choose_device(device, elsewhere=executor in ELSEWHERE)
        if latencies is not None:
            given = LatencyTable.read(latencies)
            if begun:
                require_same(directory, given)
            latencies = kept(lambda: given)
        elif target_ms is not None or (begun and (directory / LATENCIES).exists()):
            counts = Limits.read(max_parameters, max_multiply_adds, usual=usual)
            how = {"seed": seed, "threads": threads, "device": device}
            latencies = kept(partial(shown_table_of, setup, counts, precision, progress, **how))
        limits = Limits.read(max_parameters, max_multiply_adds, target_ms, latencies, usual)
        setup = shaped(setup, settings or {}, limits)
        limit = Budget.of(budget, planned(setup, registry.setup(system, preset), strategy))
        number = Run.open(directory).config.settings.get("strategy.evaluations") if begun else limit.evaluations
        setup = scheduled(setup, settings or {}, number)
        place = workplace(
            executor, workers, hostfile, scheduler, device=device, workers_per_gpu=workers_per_gpu, slurm=slurm
        )
        require(place["executor"])
        wanted = objectives_of(objectives, evaluate, system, task)
        if task is not None and evaluate is None:
            task = task.deciding(next(iter(wanted)))
            brought = replace(brought, task=brought.task and task)
        kind, fields = problems.task_text(task)
        first = first_codes(init, system, setup.space, limits, own=strategy is None)
        config = Config(
            system=system.name,
            preset=preset,
            settings=setup.settings(),
            objectives=wanted,
            strategy=named if strategy is None or named else BY_SCRIPT,
            supernet=policy,
            decide=setup.decide,
            lent=lent,
            teacher=None if lent_teacher is None else str(lent_teacher.file(directory).resolve()),
            task=kind,
            data=fields,
            shapes=shapes,
            evaluate=None if evaluate is None else BY_SCRIPT,
            limits=limits,
            seed=seed,
            budgets=(limit,),
            **place,
            threads=threads,
            device=device,
            precision=choose_precision(precision, device, partial(one_network, setup.space, first, seed)),
            init=first,
            warm_start=warm_start,
            fidelity=scheduler_of(fidelity, system, own=strategy is None and evaluate is None and len(wanted) == 1),
            timeout_s=seconds_in("timeout", timeout),
            memory=None if memory is None else read_count(memory),
            accumulate=accumulate,
            profile=profile,
            track=tracked_by or (),
            baseline=baseline,
            finalists=whole("finalists", finalists),
            inherit=system.inherits and evaluate is None if inherit is None else inherit,
            weights_disk=None if weights_disk is None else read_count(weights_disk),
        )
        if begun:
            run = Run.open(directory, brought, trust=True)
            check_same(run, config)
            run = run.moved(
                **place,
                device=config.device if chosen_device != "auto" else None,
                precision=config.precision if chosen_precision != "auto" else None,
                profile=profile or None,
                track=tracked_by,
                weights_disk=config.weights_disk,
            )
            run = run if budget is None else run.with_budget(Budget.of(budget))
        else:
            check(Run(directory, config, brought, trust=True))
            if limit.seconds is not None:
                require_time(Run(directory, config, brought, trust=True), limit.seconds)
            run = Run.new(directory, config, brought)
    own = executor if isinstance(executor, Executor) else None
    return go_on(run, own, progress=progress, since=entered, report=report, trackers=own_trackers)


def open_run(directory: str | Path, space: Space | None = None, *, trust: bool = False) -> Run:
    """The run in a directory, to be looked at: nothing of what it holds is run, and everything is checked.

    space   the script's own, where the run was made with one
    trust   import the space, strategy and task of the user's own that the run names, to decode and train its networks:
            as good as to run a program that whoever wrote the run has chosen
    """
    return Run.open(files.place(directory), Brought(space=None if space is None else space.networks), trust=trust)


def train(
    what: str | Path,
    which: int | str | None = None,
    *,
    data: str | Path | Task | None = None,
    recipe: str = "final",
    epochs: int | None = None,
    all_data: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    teacher: str | Path | None = None,
    size: int | None = None,
    validation: float = 0.2,
    data_dir: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    trust: bool = False,
    on_epoch: OnEpoch = lambda epoch: None,
) -> TrainedNetwork:
    """Train one network to the end, apart from a search.

    what, which   the directory of a run and an id (None: its best); the folder of a trained network, which is trained
                  on from its weights; or a system and a code of its space
    data          other data than the run's; of a system, digits where nothing is said
    settings      of the system; of a trained network, fields of the recipe
    recipe        final or search, as the run or system has them, or a name of `evonas.recipe.RECIPES`
    teacher       where the recipe distils, the directory of a finished run, whose winner teaches; None: the run's own
    all_data      train on the validation split too, and keep the last epoch in place of the best
    out           where to; None: trained/ID in the run's directory, or trained/SYSTEM-DATA-SEED
    resume        go on after the last whole epoch of a training that was interrupted
    trust         of a run, import the space and task of the user's own that it names: see `open_run`
    on_epoch      called with each `Epoch`: its number, loss and the value of the metric on the validation split

    Raises UserError for what cannot be used, RunError where the training fails.
    """
    options: dict[str, Any] = {"size": size, "validation": validation, "root": data_dir}
    folder = None if out is None else files.place(out)
    taught_by = None if teacher is None else Lent.of(teacher).teacher()
    if holds_run(files.place(what)):
        if settings or preset:
            raise UserError("a run has its own preset and settings; give a recipe, epochs or data instead")
        run = Run.open(what, trust=trust)
        task = None if data is None else task_on(run.task, data, seed=run.config.seed, **options)
        found = run.best if which is None else run[id_of(which)]
        return found.train(
            recipe=recipe, epochs=epochs, task=task, all_data=all_data, seed=seed, device=device, precision=precision,
            out=folder, resume=resume, on_epoch=on_epoch, teacher=taught_by,
        )  # fmt: skip
    if which is None and TrainedNetwork.exists(files.place(what)):
        given = None if data is None else task_on(None, data, seed=seed or 0, **options)
        return train_on(
            TrainedNetwork.open(files.place(what)), given, recipe=recipe, epochs=epochs, settings=settings or {},
            all_data=all_data, seed=seed, device=device, precision=precision, out=folder, resume=resume,
            on_epoch=on_epoch,
        )  # fmt: skip
    system = registry.system(resolved(str(what)))
    if which is None:
        raise UserError(f"which network of {what}? Give a code, as in 'evonas decode {what} CODE'")
    data, seed = data or "digits", seed or 0
    task = task_on(None, data, seed=seed, **options)
    shapes = (task.input_shape, task.output_shape)
    suited = registry.setup(system, preset_of(system, preset, task)).suited(task.augmentation())
    setup = fitted(suited, shapes, settings or {})
    space = setup.space
    code, graph = space.read(str(which))
    searched = setup.search if space.is_sequence else space.recipe(space.parse(code), setup.search)
    device = choose_device(device)
    request = Request(
        graph=graph,
        code=code,
        task=task,
        recipe=choose_recipe(recipe, epochs, search=searched, final=setup.final),
        seed=seed,
        device=device,
        precision=choose_precision(precision, device, lambda: graph),
        all_data=all_data,
        teacher=taught_by,
    )
    folder = folder or Path("trained") / name_of_run(system.name, data, seed)
    return train_to_the_end(request, folder, resume=resume, on_epoch=on_epoch)
