"""Networks that are trained alone, each by the same recipe: rows in a file, and those that are there are not made
again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct, to_builtins

from evonas.errors import RunError
from evonas.evaluation import Candidate, Decoder, Genome
from evonas.evaluation.limits import Guard
from evonas.evaluation.training import Training
from evonas.executors import Equipment, open_executor
from evonas.individual import Individual
from evonas.operators.by_decision import init_random
from evonas.recipe import Recipe
from evonas.run.budget import Budget
from evonas.run.config import Config
from evonas.run.journal import Event, Unwritten
from evonas.run.loop import Loop
from evonas.run.phase import Phase
from evonas.run.problem import Problem
from evonas.run.store import Run
from evonas.strategies.first import First
from evonas.support.device import memory_of, sharing
from evonas.support.files import json_of, read_bytes
from evonas.support.schema import checked


class Row(Struct):
    """One training.

    key     of all that it depends on, but its seed
    value   the task's first metric; None: it failed, for the reason that `error` has
    recipe  by which it was trained
    """

    key: str
    seed: int
    code: str
    value: float | None
    recipe: dict[str, Any]
    epochs: int
    seconds: float
    error: str | None = None


def training(run: Run, recipe: Recipe, *, seed: int, workers: int, final: bool) -> Training:
    """As a run makes its own: `final`, on all but the test split, which is read in the end; otherwise on the training
    split, judged on the validation split."""
    config, task = run.config, run.task
    assert task is not None, "only a run with a task trains"
    return Training(
        task=task,
        recipe=recipe,
        seed=seed,
        objectives=(task.metric.name,),
        device=config.device,
        precision=config.precision,
        memory=config.memory or memory_of(config.device) // sharing(config.device, workers),
        accumulate=config.accumulate,
        threads=config.threads,
        final=final,
    )


def draws(problem: Problem, rng: Random) -> Callable[[], Individual]:
    """Draws uniformly over the genomes of a space that keep the limits, which is not uniform over different networks;
    where genomes are no sequences of decisions, as the system's own toolbox does."""
    toolbox = problem.tools(rng)
    if problem.space.is_sequence:
        toolbox.register("individual", init_random, problem.space, rng=rng)
    if problem.limits:
        Guard(Decoder(problem.space), problem.limits).decorate(toolbox)
    return toolbox.individual


@contextmanager
def workplace(config: Config, workers: int) -> Iterator[Executor]:
    """Local processes, or this one where one worker is enough. On Ctrl-C they end at once."""
    equipment = Equipment(config.threads, config.device)
    executor = open_executor("serial" if workers == 1 else "processes", workers, equipment)
    try:
        yield executor
    except BaseException:  # Ctrl-C too: workers end at once, then it goes on upwards
        executor.shutdown(wait=False)
        raise
    executor.shutdown()


def trained(
    genomes: Sequence[Genome],
    by: Training,
    decoder: Decoder,
    file: Path,
    *,
    executor: Executor,
    workers: int,
    on_row: Callable[[int, int], None] = lambda done, of: None,
) -> list[Row]:
    """The row of each genome; genomes with equal networks have the same. What the file lacks is trained, and appended
    as soon as it is there.

    on_row   is told how many are trained, and of how many that the file lacked
    """
    known = {(row.seed, row.key): row for row in read(file)}
    keys = [by.identity(Candidate(genome, decoder)) for genome in genomes]
    wanted = {key: Individual(g) for g, key in zip(genomes, keys, strict=True) if (by.seed, key) not in known}
    before = len(known)
    asked: dict[int, Event] = {}

    def hear(event: Event, replayed: bool) -> None:
        if event["event"] == "asked":
            asked[event["id"]] = event
        elif event["event"] == "told":
            of, values, error = asked[event["id"]], event["values"], event["error"]
            row = Row(
                key=of["key"].rpartition("#")[0],
                seed=by.seed,
                code=of["code"],
                value=values[0] if values else None,
                recipe=by.recipe.to_json(),
                epochs=event["cost"]["epochs"],
                seconds=event["cost"]["seconds"],
                error=error and error.splitlines()[-1],
            )
            append(file, row)
            known[row.seed, row.key] = row
            on_row(len(known) - before, len(wanted))

    phase = Phase("alone", First(list(wanted.values())), by, decoder)
    Loop(Unwritten(), executor, workers, on_event=hear).run(phase, Budget())
    return [known[by.seed, key] for key in keys]


# ---- the file -------------------------------------------------------------------------------------------------------


def read(file: Path) -> list[Row]:
    """Its rows; a last line that was cut off goes, as what it says was never heard. Raises UserError for another line
    that is damaged."""
    try:
        data = read_bytes(file)
    except FileNotFoundError:
        return []
    *lines, torn = data.split(b"\n")
    if torn:
        file.write_bytes(data[: len(data) - len(torn)])
    where = [Path(f"{file}, line {number}") for number in range(1, len(lines) + 1)]
    return [checked(json_of(line, at), Row, str(at)) for line, at in zip(lines, where, strict=True)]


def append(file: Path, row: Row) -> None:
    """Raises RunError where it cannot be written, as on a full disk."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as end:
            end.write(json.dumps(to_builtins(row)).encode() + b"\n")
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; make room, and give the same command again") from error
