"""Evaluations: genome -> outcome. Training is one of them; tables, predictors and users' own functions are others."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Protocol

Genome = Sequence[Any]


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gave: plain values that travel between processes.

    values    one for each objective; () where it failed
    status    full, partial, predicted or failed
    epochs    epochs that were trained
    seconds   wall time of the evaluation itself, without loading data for the first time
    curve     validation accuracy after each epoch
    error     of a failure: its kind (nan, memory, time, worker, error) and what happened
    weights   of a final training, as safetensors
    """

    values: tuple[float, ...] = ()
    status: str = "full"
    epochs: int = 0
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    error: str | None = None
    weights: bytes | None = field(default=None, repr=False)

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


class Evaluation(Protocol):
    """A picklable callable that a worker runs; `key` says when two evaluations are the same one."""

    def key(self, genome: Genome) -> str:
        """Identity, without the replicate: equal keys mean that a result can be used again."""
        ...

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome: ...


@dataclass(frozen=True)
class Calls:
    """Any function of a genome as an evaluation: it returns a number or a tuple of numbers, and may raise."""

    function: Callable[[Genome], Any]

    def key(self, genome: Genome) -> str:
        return json.dumps(list(genome))

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        values = self.function(genome)
        return Outcome(tuple(values) if isinstance(values, Sequence) else (values,))


def attempt(evaluation: Evaluation, genome: Genome, replicate: int) -> Outcome:
    """What runs in a worker. Never raises an Exception: whatever goes wrong with one genome is its outcome."""
    start = time.monotonic()
    try:
        outcome = evaluation(genome, replicate)
        if not outcome.failed and not all(map(math.isfinite, outcome.values)):  # NaN would upset every comparison
            outcome = replace(outcome, values=(), status="failed", error=f"nan: the values are {outcome.values}")
    except Exception:  # the boundary of a worker: the failure is recorded with its traceback
        outcome = Outcome.failure("error", traceback.format_exc().strip())
    return replace(outcome, seconds=outcome.seconds or round(time.monotonic() - start, 4))


def identity(**parts: Any) -> str:
    """16 hex digits for what an evaluation depends on: digest, task, recipe, origin of the weights."""
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
