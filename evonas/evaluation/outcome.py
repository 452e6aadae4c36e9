"""What an evaluation gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STATUSES = ("full", "partial", "predicted", "shared", "failed", "rejected")


@dataclass(frozen=True)
class Outcome:
    """Plain values that travel between processes.

    values    one for each objective; () where it failed
    measures  what else is known of the network: the metrics of its task, parameters, multiply_adds, latency (ms)
    status    full; partial, where a training was cut short; predicted; shared, by the weights of a supernet; failed; or
              rejected (it broke a limit and was not evaluated)
    epochs    epochs that were trained by this evaluation
    reached   epochs of the full schedule that the network has had in all, where it may go on; 0: no schedule is cut
    seconds   wall time of the evaluation itself, without loading data for the first time
    core_seconds  of the CPU that its process took, whatever else the machine did; 0: nobody has measured them
    curve     the first metric on the validation split after each epoch
    losses    mean training losses of the same epochs
    forecast  of a curve model for the end of the schedule: `evonas.fidelity.scheduler.Trial`
    state     of a training that may go on (`evonas.training.course`), as bytes
    checkpoint  the name under which that is kept
    error     of a failure: its kind (nan, memory, time, worker, error) and what happened
    weights   that were trained, as safetensors, where somebody wants to keep them; then
    answers   arrays by name, what the task keeps of the answers to the test split, where weights are kept too
    kept      the name under which they are kept, until they are deleted
    lineage   where weights were inherited: `from`, the id of whom; `epochs` trained along the whole ancestry, these
              included; `copied` tensors of so many `tensors`
    warning   what was not as it should have been, though there is a result
    worker    where it was evaluated: process and host
    profile   seconds by section, where they were asked for: `evonas.support.stopwatch`
    """

    values: tuple[float, ...] = ()
    status: str = "full"
    epochs: int = 0
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    error: str | None = None
    measures: dict[str, float] = field(default_factory=dict)
    reached: int = 0
    losses: tuple[float, ...] = ()
    core_seconds: float = 0.0
    forecast: tuple[float, float, float] | None = None
    weights: bytes | None = field(default=None, repr=False)
    answers: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    state: bytes | None = field(default=None, repr=False, compare=False)
    checkpoint: str | None = None
    kept: str | None = None
    lineage: dict[str, Any] = field(default_factory=dict)
    warning: str | None = None
    profile: dict[str, float] = field(default_factory=dict)
    worker: str | None = None

    @property
    def failed(self) -> bool:
        return self.status == "failed"

    @property
    def stopped(self) -> bool:
        """Whether its training was stopped before its end."""
        return self.status in ("partial", "predicted")

    @property
    def reason(self) -> str:
        """The error in one line: the last one, where it is a traceback."""
        return self.error.splitlines()[-1] if self.error else ""

    @classmethod
    def failure(cls, kind: str, message: str, **costs: Any) -> Outcome:
        return cls(status="failed", error=f"{kind}: {message}", **costs)
