"""An evaluator: candidate -> outcome. Tables, trainings, users' functions and shared weights are all of them."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from random import Random
from typing import Any

from evonas.errors import Interrupted, UserError
from evonas.evaluation.candidate import Candidate
from evonas.evaluation.outcome import Outcome
from evonas.evaluation.parcel import LACKS, Parcel
from evonas.individual import Toolbox


class EvaluationError(UserError):
    """An evaluator that breaks its contract, whatever the candidate: the search stops and says so."""


class Evaluator(ABC):
    """What judges candidates. One evaluator serves a whole phase of a run; what differs between candidates (weights to
    begin with, a space of their own) they carry themselves.

    limit_s          seconds after which the process that evaluates a candidate is ended, since it does not end by
                     itself; None: never
    judges_anything  networks of other spaces too, such as a reference by hand
    features         names of measures that are known of a network before it is trained
    epochs           of a full training, where it can stop after fewer (`candidate.epochs`) and go on; None: it cannot
    """

    limit_s: float | None = None
    judges_anything: bool = True
    features: tuple[str, ...] = ("parameters", "multiply_adds")
    epochs: int | None = None

    @abstractmethod
    def identity(self, candidate: Candidate) -> str:
        """Equal for candidates of which one result is as good as another's: it can be used again."""

    @abstractmethod
    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        """Runs in a worker. It may raise: that is the candidate's failure; EvaluationError ends the search."""

    def job(self, candidate: Candidate, replicate: int = 0) -> Job | Known:
        """What a worker is handed."""
        return Job(self, candidate, replicate)

    def parcels(self) -> dict[str, Parcel]:
        """What workers need beside candidates, by the field that has it; an evaluator with any is a dataclass."""
        return {}

    def once_more(self, candidate: Candidate, replicate: int, outcome: Outcome) -> Job | None:
        """What a worker is handed instead, where the outcome says that it lacked something: the same with the content
        of parcels; None: it lacked nothing. Raises RunError where a parcel is lost here too."""
        lacking = {name: parcel for name, parcel in self.parcels().items() if parcel.content is None}
        if not lacking or not (outcome.error or "").startswith(f"{LACKS}:"):
            return None
        whole = {name: parcel.whole() for name, parcel in lacking.items()}
        return Job(replace(self, **whole), candidate, replicate)  # type: ignore[type-var]

    def epoch_seconds(self, candidate: Candidate, outcome: Outcome) -> float:
        """About what an epoch of training this candidate alone takes, by what its evaluation took."""
        return outcome.seconds / outcome.epochs if outcome.epochs else 0.0

    def draws(self, toolbox: Toolbox, rng: Random) -> Toolbox:
        """The toolbox from which random search draws what this evaluator can judge."""
        return toolbox


@dataclass(eq=False)  # nobody changes one; freezing takes longer than all else of it, where a table is searched
class Job:
    """What an executor runs: one evaluation of one candidate. Whatever goes wrong with the candidate is its outcome,
    `sys.exit` included; only EvaluationError is raised, and Ctrl-C where it reaches this process."""

    evaluator: Evaluator
    candidate: Candidate
    replicate: int = 0

    @property
    def limit_s(self) -> float | None:
        return self.evaluator.limit_s

    def __call__(self) -> Outcome:
        start, core = time.monotonic(), time.process_time()
        try:
            outcome = self.evaluator(self.candidate, self.replicate)
            if not outcome.failed and not all(map(math.isfinite, outcome.values)):  # NaN would upset every comparison
                outcome = replace(outcome, values=(), status="failed", error=f"nan: the values are {outcome.values}")
        except EvaluationError:
            raise
        except BaseException as raised:  # the boundary of a worker: the failure is recorded with its traceback
            if _is_ctrl_c(raised):
                raise
            outcome = Outcome.failure("error", traceback.format_exc().strip())
        if outcome.seconds and outcome.worker:  # a look-up in a table takes less time than a copy of what it has found
            return outcome
        return replace(
            outcome,
            seconds=outcome.seconds or round(time.monotonic() - start, 4),
            core_seconds=round(time.process_time() - core, 4),
            worker=here(),
        )


@dataclass(frozen=True)
class Known:
    """An outcome that the steering process has already, on its way through an executor like any other."""

    outcome: Outcome
    limit_s: float | None = None

    def __call__(self) -> Outcome:
        return self.outcome


@dataclass(frozen=True)
class Function(Evaluator):
    """A user's function of a genome as an evaluator: it returns `count` numbers (one: the number itself), or raises.

    limit_s   a genome that needs longer is a recorded failure, and its worker process is ended

    Raises EvaluationError where it returns anything else.
    """

    function: Callable[[Sequence[Any]], Any]
    count: int = 1
    limit_s: float | None = None

    def identity(self, candidate: Candidate) -> str:
        return json.dumps(candidate.genome)

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        returned = self.function(candidate.genome)
        values = returned.tolist() if hasattr(returned, "tolist") else returned  # of numpy and torch
        several = isinstance(values, Sequence) and not isinstance(values, str | bytes)
        try:
            numbers = tuple(map(_number, values if several else (values,)))
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != self.count:
            wanted = "a number" if self.count == 1 else f"{self.count} numbers, one for each objective"
            raise EvaluationError(f"evaluate returned {returned!r} for {candidate.genome}; return {wanted}")
        return Outcome(numbers)


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError("a text is no number")
    return float(value)


def _is_ctrl_c(raised: BaseException) -> bool:
    """Whether somebody wants the process to end. A KeyboardInterrupt is the evaluation's own where Ctrl-C raises
    something else, or nothing, as in a worker."""
    plain = isinstance(raised, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return plain or isinstance(raised, Interrupted)


@cache
def here() -> str:
    """Where an outcome is made: this process and its host."""
    return f"process {os.getpid()} on {socket.gethostname()}"


os.register_at_fork(after_in_child=here.cache_clear)


def identity(**parts: Any) -> str:
    """16 hex digits for what an evaluation depends on: digest, task, recipe, origin of the weights."""
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
