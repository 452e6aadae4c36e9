"""The events of a journal, as a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Number = Annotated[int, Meta(ge=0)]
Epochs = Annotated[int, Meta(ge=1)]


class Head(Struct):
    """The first line of a journal."""

    event: Literal["run"]
    id: Literal["run"]
    schema: int
    space: dict[str, Any]
    t: float


class Asked(Struct):
    """A candidate was proposed."""

    event: Literal["asked"]
    id: Number
    genome: list[str | int | float | bool | None]
    code: str
    parents: list[Number]
    operator: str
    phase: str
    role: str | None
    generation: Number | None
    key: Annotated[str, Meta(pattern=r"^$|#\d{1,9}$")]
    t: float
    proposal: dict[str, Any] = {}
    provisional: bool = False
    epochs: Epochs | None = None


class Continued(Struct):
    """A training goes on until it has had so many epochs of its schedule."""

    event: Literal["continued"]
    id: Number
    phase: str
    epochs: Epochs
    t: float


class Closed(Struct):
    """A scheduler has decided what waited, since nothing more came."""

    event: Literal["closed"]
    id: str
    t: float


class Cost(Struct):
    """What an evaluation took; nothing where its result was used again."""

    epochs: Number
    seconds: float
    core_seconds: float = 0.0


class Told(Struct):
    """A candidate has its outcome."""

    event: Literal["told"]
    id: Number
    values: list[float]
    status: Literal["full", "partial", "predicted", "shared", "failed", "rejected"]
    cost: Cost
    reused: bool
    curve: list[float]
    measures: dict[str, float]
    error: str | None
    worker: str | None
    t: float
    weights: str | None = None
    lineage: dict[str, int | None] = {}
    warning: str | None = None
    profile: dict[str, float] = {}
    losses: list[float] = []
    reached: Epochs | None = None
    waits: bool = False
    forecast: tuple[float, float, float] | None = None
    checkpoint: str | None = None


class Planned(Struct):
    """For how many epochs the final trainings, or that of a supernet or a teacher, go on, where the time is limited."""

    event: Literal["planned"]
    id: Literal["final", "supernet", "teacher"]
    epochs: Epochs
    t: float


class Resumed(Struct):
    """Another session goes on with the run, which had not come to its end."""

    event: Literal["resumed"]
    id: Literal["run"]
    t: float


class Ended(Struct):
    """A phase has come to its end."""

    event: Literal["ended"]
    id: str
    because: str
    t: float


class Finished(Struct):
    """Everything that the budgets asked for has been done."""

    event: Literal["finished"]
    id: Literal["run"]
    t: float


EVENTS: dict[str, type[Struct]] = {
    "run": Head,
    "asked": Asked,
    "continued": Continued,
    "told": Told,
    "closed": Closed,
    "planned": Planned,
    "resumed": Resumed,
    "ended": Ended,
    "finished": Finished,
}
