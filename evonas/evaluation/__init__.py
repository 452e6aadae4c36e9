"""Evaluations: genome -> outcome. Training is one of them; tables, predictors and users' own functions are others."""

from __future__ import annotations

import json
import math
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Protocol

from evonas.errors import UserError

Genome = Sequence[Any]


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gave: plain values that travel between processes.

    values    one for each objective; () where it failed
    measures  what else is known of the network: accuracy, parameters, multiply_adds, latency (ms)
    status    full, partial, predicted, failed, or rejected (it broke a limit and was not evaluated)
    epochs    epochs that were trained
    seconds   wall time of the evaluation itself, without loading data for the first time
    curve     validation accuracy after each epoch
    error     of a failure: its kind (nan, memory, time, worker, error) and what happened
    weights   that were trained, as safetensors, where somebody wants to keep them; then
    kept      the name under which they are kept, until they are deleted
    lineage   where weights were inherited: `from`, the id of whom; `epochs` trained along the whole ancestry, these
              included; `copied` tensors of so many `tensors`
    warning   what was not as it should have been, though there is a result
    worker    where it was evaluated: process and host
    profile   seconds by section, where they were asked for: `evonas.reports.profile.SECTIONS`
    """

    values: tuple[float, ...] = ()
    status: str = "full"
    epochs: int = 0
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    error: str | None = None
    measures: dict[str, float] = field(default_factory=dict)
    weights: bytes | None = field(default=None, repr=False)
    kept: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    warning: str | None = None
    profile: dict[str, float] = field(default_factory=dict)
    worker: str | None = None

    @property
    def failed(self) -> bool:
        return self.status == "failed"

    @property
    def reason(self) -> str:
        """The error in one line: the last one, where it is a traceback."""
        return self.error.splitlines()[-1] if self.error else ""

    @classmethod
    def failure(cls, kind: str, message: str, **costs: Any) -> Outcome:
        return cls(status="failed", error=f"{kind}: {message}", **costs)


class EvaluationError(UserError):
    """An evaluation that breaks its contract, whatever the genome: the search stops and says so."""


class Evaluation(Protocol):
    """A picklable callable that a worker runs; `key` says when two evaluations are the same one."""

    def key(self, genome: Genome) -> str:
        """Identity, without the replicate: equal keys mean that a result can be used again."""
        ...

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome: ...


@dataclass(frozen=True)
class Calls:
    """Any function of a genome as an evaluation: it returns `count` numbers (one: the number itself), and may raise.

    overdue_s   a genome that needs longer is a recorded failure, and its worker process is ended

    Raises EvaluationError where it returns anything else.
    """

    function: Callable[[Genome], Any]
    count: int = 1
    overdue_s: float | None = None

    def key(self, genome: Genome) -> str:
        return json.dumps(list(genome))

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        returned = self.function(genome)
        values = tuple(returned) if isinstance(returned, Sequence) and not isinstance(returned, str) else (returned,)
        try:
            numbers = tuple(map(float, values))
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != self.count:
            wanted = "a number" if self.count == 1 else f"{self.count} numbers, one for each objective"
            raise EvaluationError(f"evaluate returned {returned!r} for {tuple(genome)}; return {wanted}")
        return Outcome(numbers)


@dataclass(frozen=True)
class Attempt:
    """What an executor runs: one evaluation of one genome. Whatever goes wrong with the genome is its outcome; only
    EvaluationError is raised."""

    evaluation: Evaluation
    genome: Genome
    replicate: int = 0

    @property
    def overdue_s(self) -> float | None:
        """Seconds after which the process that computes it is ended, since it does not end by itself; None: never."""
        return getattr(self.evaluation, "overdue_s", None)

    def __call__(self) -> Outcome:
        start = time.monotonic()
        try:
            outcome = self.evaluation(self.genome, self.replicate)
            if not outcome.failed and not all(map(math.isfinite, outcome.values)):  # NaN would upset every comparison
                outcome = replace(outcome, values=(), status="failed", error=f"nan: the values are {outcome.values}")
        except EvaluationError:
            raise
        except Exception:  # the boundary of a worker: the failure is recorded with its traceback
            outcome = Outcome.failure("error", traceback.format_exc().strip())
        seconds = outcome.seconds or round(time.monotonic() - start, 4)
        return replace(outcome, seconds=seconds, worker=f"process {os.getpid()} on {socket.gethostname()}")


def identity(**parts: Any) -> str:
    """16 hex digits for what an evaluation depends on: digest, task, recipe, origin of the weights."""
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
