"""A search that begins with the best of many random networks by training-free scores.

`naswot:1000`, or several scores by the sum of their ranks: `synflow+jacov+naswot:1000`. `multiply_adds:1000` begins
with the largest ones, which any score has to beat.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from evonas import scores
from evonas.errors import RunError, UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Guard
from evonas.individual import Individual
from evonas.run.bench import RunBench
from evonas.run.config import Config
from evonas.run.problem import Problem
from evonas.run.store import Run
from evonas.scores.ranks import rank_sum
from evonas.support.device import torch_threads
from evonas.support.files import read_bytes, write_text
from evonas.support.schema import checked
from evonas.support.streams import number, stream
from evonas.support.text import duration

if TYPE_CHECKING:
    from torch import Tensor

COUNTS = ("parameters", "multiply_adds")  # of a network, the more the better
FILE = "warm_start.csv"  # in the run's directory
USUAL = 20  # networks to begin with, of a strategy that has no population
BATCH = 64  # images, as in the papers
MISSES = 1_000  # draws in a row that give no new network, after which there are no more


@dataclass(frozen=True)
class WarmStart:
    """How many different random networks are scored, and by what: training-free scores, or their own size, which often
    ranks as well."""

    names: tuple[str, ...]
    networks: int

    @property
    def scores(self) -> tuple[str, ...]:
        """Those that are computed of a network."""
        return tuple(name for name in self.names if name not in COUNTS)

    @classmethod
    def read(cls, text: str) -> WarmStart:
        """Raises UserError for anything but names of scores, joined by +, and a number of networks."""
        if not isinstance(text, str):
            raise UserError(f"warm_start is {text!r}; use a score and a number of networks, such as 'naswot:1000'")
        joined, colon, count = text.partition(":")
        names = tuple(joined.split("+"))
        for name in names:
            if name not in COUNTS:
                scores.check_name(name)
        if len(set(names)) < len(names):
            raise UserError(f"the warm start {text!r} has a score twice; name each once")
        if not colon or not count.isdecimal() or int(count) < 1:
            raise UserError(f"the warm start {text!r} says no number of networks, at least 1; use {joined}:1000")
        return cls(names, int(count))


class Row(Struct):
    """One network that was scored, as a row of the file: higher is better; NaN and -inf are no scores."""

    code: str
    scores: dict[str, float]
    parameters: int
    multiply_adds: int

    def value(self, name: str) -> float:
        return getattr(self, name) if name in COUNTS else self.scores[name]


def check(problem: Problem, config: Config) -> list[Individual]:
    """As many individuals as a warm start gives a strategy. Raises UserError for one that could not be made."""
    if config.warm_start is None:
        return []
    wanted, task, kept = WarmStart.read(config.warm_start), problem.task, _kept(problem, config)
    if task is None or len(task.input_shape) != 3:
        raise UserError("a warm start scores networks on images, and here are none; give data, or leave it out")
    by_class = [name for name in wanted.names if name in scores.BY_CLASS]
    if by_class and task.class_counts() is None:
        others = ", ".join(name for name in scores.SCORES if name not in scores.BY_CLASS)
        raise UserError(f"{by_class[0]} is the gradient of a loss by classes, which these data do not have; use "
                        f"{others}")  # fmt: skip
    if kept < 1:
        raise UserError(f"the {len(config.init)} networks given fill the first population; leave the warm start out, "
                        "or set population higher")  # fmt: skip
    if wanted.networks < kept:
        raise UserError(f"the warm start scores {wanted.networks} networks, and the search begins with {kept}: there "
                        f"is nothing to choose; use {'+'.join(wanted.names)}:1000")  # fmt: skip
    drawn = different(problem.tools(stream(config.seed, "check")).individual, Decoder(problem.space))
    found = [individual for individual, _ in zip(drawn, range(kept), strict=False)]
    if len(found) < kept:
        raise UserError(f"the warm start wants {kept} different networks to begin with, but the toolbox of "
                        f"{problem.space.name} draws only {len(found)}; leave it out, or set population "
                        "lower")  # fmt: skip
    return found


def begin(run: Run, note: Callable[[str], None], seconds: float | None = None) -> list[Individual]:
    """What the search begins with: as the run's directory has it, or, where it does not yet, by scoring.

    seconds   after which no more networks are scored than the search begins with; None: there is no limit

    Raises UserError where the file is damaged, RunError where a score is of no use here.
    """
    problem, config = run.problem, run.config
    if config.warm_start is None:
        return []
    wanted, path, kept = WarmStart.read(config.warm_start), run.directory / FILE, _kept(problem, config)
    by = "+".join(wanted.names)
    if path.exists():
        rows = _read(path, wanted)
        note(f"warm start: the best {kept} of {len(rows):,} networks by {by}, as {FILE} has them")
    else:
        start = time.monotonic()
        rows = _scored(problem, config, wanted, kept, seconds)
        _write(path, wanted, rows)
        note(f"warm start: {len(rows):,} networks scored by {by} in {duration(time.monotonic() - start)}; the search "
             f"begins with the best {kept}")  # fmt: skip
    values = [[row.value(name) for row in rows] for name in wanted.names]
    for name, each in zip(wanted.names, values, strict=True):
        if not np.isfinite(each).any():
            raise RunError(f"none of the {len(rows):,} networks has a {name} that is a number; begin anew with another "
                           "warm start")  # fmt: skip
    best = np.argsort(-rank_sum(values), kind="stable")[:kept]
    first = [Individual(problem.space.parse(rows[place].code)) for place in best]
    for individual in first:
        individual.operator = "warm_start"
    return first


def different(draw: Callable[[], Individual], decoder: Decoder) -> Iterator[Individual]:
    """Individuals whose graphs differ, until draws give nothing new."""
    seen: set[str] = set()
    misses = 0
    while misses < MISSES:
        individual = draw()
        try:
            digest = decoder.digest(individual)
        except Exception:  # a user's decode may raise anything: such a genome is no network
            misses += 1
            continue
        misses = misses + 1 if digest in seen else 0
        if digest not in seen:
            seen.add(digest)
            yield individual


def _kept(problem: Problem, config: Config) -> int:
    """How many of the networks the search begins with: those for which the networks given leave room."""
    return (problem.first_population or USUAL) - len(config.init)


def _scored(problem: Problem, config: Config, wanted: WarmStart, kept: int, seconds: float | None) -> list[Row]:
    start = time.monotonic()
    toolbox, decoder = problem.tools(stream(config.seed, "warm start")), Decoder(problem.space)
    if config.limits:
        Guard(decoder, config.limits).decorate(toolbox)
    inputs, targets = _minibatch(problem, config)
    rows: list[Row] = []
    with torch_threads(config.threads):
        for individual in different(toolbox.individual, decoder):
            rows.append(_row(individual, decoder, config.seed, wanted.scores, inputs, targets))
            late = seconds is not None and time.monotonic() - start > seconds and len(rows) >= kept
            if late or len(rows) == wanted.networks:
                break
    return rows


def _minibatch(problem: Problem, config: Config) -> tuple[Tensor, Tensor]:
    """Training images as a network takes them, drawn at random, and their targets."""
    import torch

    from evonas.tasks.splits import channels_last

    split = RunBench(problem, config).train
    generator = torch.Generator().manual_seed(number(config.seed, "warm start", "images"))
    size = min(BATCH, prod(split.inputs.shape[1:]) // 2)  # gradients of more would depend on one another
    chosen = torch.randperm(len(split), generator=generator)[:size]
    inputs = split.inputs[chosen.to(split.inputs.device)].to(split.device)
    return channels_last(split.normalised(inputs)), split.targets[chosen.to(split.device)]


def _row(
    individual: Individual, decoder: Decoder, seed: int, names: Sequence[str], inputs: Tensor, targets: Tensor
) -> Row:
    """A fresh network, scored. Its weights depend on the seed and its graph, not on when it was drawn."""
    import torch

    from evonas.network import build

    graph, code = decoder.graph(individual), decoder.space.format(individual)
    own = number(seed, "warm start", decoder.digest(individual))
    found: dict[str, float] = {}
    if not names:
        return Row(code, found, graph.parameters, graph.multiply_adds)
    network = build(graph.simplified(), seed=own)
    network.to(device=inputs.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name in names:
        try:
            found[name] = scores.score(name)(network, inputs, targets, torch.Generator().manual_seed(own))
        except RuntimeError as error:  # of torch: no memory, or an operation of the user's own
            raise RunError(f"the network {code} cannot be scored by {name}: {error}") from error
    return Row(code, found, graph.parameters, graph.multiply_adds)


# ---- the file -----------------------------------------------------------------------------------------------------


def _columns(wanted: WarmStart) -> list[str]:
    return ["code", *wanted.scores, *COUNTS]


def _write(path: Path, wanted: WarmStart, rows: Sequence[Row]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_columns(wanted))
    for row in rows:
        table.writerow([row.code, *(row.scores[name] for name in wanted.scores), row.parameters, row.multiply_adds])
    write_text(path, text.getvalue())


def _read(path: Path, wanted: WarmStart) -> list[Row]:
    """Raises UserError where the file is damaged."""
    columns, (header, *lines) = _columns(wanted), _lines(path)
    if header != columns or not lines or any(len(line) != len(columns) for line in lines):
        raise UserError(f"{path} cannot be read (its columns are not {', '.join(columns)}); put the original back")
    data = [
        {
            "code": code,
            "scores": dict(zip(wanted.scores, found, strict=True)),
            "parameters": size,
            "multiply_adds": cost,
        }
        for code, *found, size, cost in lines
    ]
    return checked(data, list[Row], str(path), strict=False)  # a CSV file has texts


def _lines(path: Path) -> list[list[str]]:
    text = read_bytes(path).decode(errors="replace")
    return list(csv.reader(io.StringIO(text, newline=""))) or [[]]
