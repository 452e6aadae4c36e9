"""The journal of a run: one JSON line an event, only ever appended. Resuming is replaying it.

The first line holds the schema version and the space. `asked` holds genome, parents, operator and phase; `told` holds
values, status, cost and whether the result was reused. Under a scheduler a training may be told of several times:
`continued` says that it goes on, and for how many epochs. Each line carries a checksum over itself and the line before,
so a line that was changed or removed later is found and named. Kinds of events that a reader does not know are skipped.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from evonas.errors import RunError, UserError
from evonas.evaluation import Outcome
from evonas.individual import Individual
from evonas.run.schema import EVENTS
from evonas.support.files import read_bytes
from evonas.support.schema import VERSION, checked

_encode = json.JSONEncoder(allow_nan=False).encode  # json.dumps would make an encoder of each event
COSTS = ("epochs", "seconds", "core_seconds")  # of an outcome
_CHECK = re.compile(r', "check": "([0-9a-f]{8})"\}$')

Event = dict[str, Any]


class JournalError(UserError):
    """A journal that cannot be replayed. The message names the line."""


class Journal:
    """Append-only events at `path`.

    events     what was read, in order, as (line number, event); unknown kinds are left out
    torn       the last line, where it was damaged: its event counts as one that never was
    elapsed    seconds of run time up to the last event that was read

    since      when the session began, by the clock: what it did before it came here counts as run time; None: now

    One process at a time holds a journal.

    Raises JournalError for a changed line, another schema or another space, and where another process holds it;
    RunError when an event cannot be written.
    """

    def __init__(
        self, path: Path, space: Event, *, clock: Callable[[], float] = time.monotonic, since: float | None = None
    ) -> None:
        self.path, self.clock = path, clock
        self._started = clock() if since is None else since
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}; make it writable and resume") from error
        if not _hold(self._file):
            os.close(self._file)
            raise JournalError(f"another process is at work on {path.parent}; wait for its end, or end it first "
                               f"('evonas status {path.parent}' tells how it stands)")  # fmt: skip
        try:
            self._open(space)
        except BaseException:  # Ctrl-C too: whatever ends the reading, the journal is let go of, and it goes on upwards
            os.close(self._file)
            raise

    def _open(self, space: Event) -> None:
        path = self.path
        self.events, self._check, self._end, self.torn = read(path, space)
        self.elapsed = max((event.get("t", 0.0) for _, event in self.events), default=0.0)
        os.ftruncate(self._file, self._end)  # a torn last line goes: its event was never acted on
        if not self.events:
            self.append({"event": "run", "id": "run", "schema": VERSION, "space": space})

    @property
    def seconds(self) -> float:
        """Run time so far, over all sessions."""
        return self.elapsed + self.clock() - self._started

    def append(self, event: Event) -> Event:
        """Write one event, whole; returns it with its run time `t`.

        Raises RunError when it cannot be written, as on a full disk.
        """
        event = event | {"t": round(self.seconds, 3)}
        body = _encode(event)
        check = _chain(self._check, body)
        line = f'{body[:-1]}, "check": "{check}"}}\n'.encode()
        try:
            written = os.write(self._file, line)
            if written < len(line):  # the disk took a part: say why on the second try
                os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; everything told so far is kept: make room, then resume"
            ) from error
        self._check = check
        self._end += len(line)
        return event

    def resume(self) -> None:
        """Write down that another session goes on, where one has begun the run and none has ended it."""
        if self.events and self.events[-1][1]["event"] not in ("run", "finished"):
            self.append({"event": "resumed", "id": "run"})

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def asked(individual: Individual, phase: str, key: str, code: str, epochs: int | None = None) -> Event:
    """The event that an individual was proposed; `key` is its identity with the replicate, empty if it is rejected;
    with the `code` of its genome a journal can be read without the space; `epochs`: of its schedule, at first, where a
    scheduler says so."""
    event: Event = {
        "event": "asked",
        "id": individual.id,
        "genome": list(individual),
        "code": code,
        "parents": list(individual.parents),
        "operator": individual.operator,
        "phase": phase,
        "role": individual.role,
        "generation": individual.generation,
        "key": key,
    }
    if individual.proposal:
        event["proposal"] = individual.proposal
    if individual.provisional:
        event["provisional"] = True
    if epochs is not None:
        event["epochs"] = epochs
    return event


def continued(individual: Individual, phase: str, epochs: int) -> Event:
    """The event that a training goes on until it has had so many epochs of its schedule."""
    return {"event": "continued", "id": individual.id, "phase": phase, "epochs": epochs}


def closed(phase: str) -> Event:
    """The event that a scheduler decides what waits, since nothing more comes."""
    return {"event": "closed", "id": phase}


def told(individual: Individual, outcome: Outcome, reused: bool = False, waits: bool = False) -> Event:
    """The event that an individual has its outcome; `reused` where it is that of an equal one, and `waits` where the
    scheduler has not stopped its training, so that the strategy does not hear of it yet."""
    cost = {name: 0 if reused else getattr(outcome, name) for name in COSTS}
    event: Event = {
        "event": "told",
        "id": individual.id,
        "values": list(outcome.values),
        "status": outcome.status,
        "cost": cost,
        "reused": reused,
        "curve": list(outcome.curve),
        "measures": outcome.measures,
        "error": outcome.error,
        "worker": None if reused else outcome.worker,
    }
    if outcome.losses:
        event["losses"] = list(outcome.losses)
    if outcome.reached:
        event["reached"] = outcome.reached
    if waits:
        event["waits"] = True
    if outcome.forecast:
        event["forecast"] = list(outcome.forecast)
    if outcome.checkpoint:
        event["checkpoint"] = outcome.checkpoint
    if outcome.kept:
        event["weights"] = outcome.kept
    if outcome.lineage:
        event["lineage"] = outcome.lineage
    if outcome.warning:
        event["warning"] = outcome.warning
    if outcome.profile and not reused:
        event["profile"] = outcome.profile
    return event


def outcome_of(event: Event) -> Outcome:
    """The outcome that a `told` event says."""
    return Outcome(
        tuple(event["values"]),
        event["status"],
        event["cost"]["epochs"],
        event["cost"]["seconds"],
        tuple(event["curve"]),
        event["error"],
        event.get("measures", {}),
        reached=event.get("reached") or 0,
        losses=tuple(event.get("losses", ())),
        core_seconds=event["cost"].get("core_seconds", 0.0),
        forecast=None if event.get("forecast") is None else tuple(event["forecast"]),
        checkpoint=event.get("checkpoint"),
        kept=event.get("weights"),
        lineage=event.get("lineage", {}),
        warning=event.get("warning"),
    )


def ended(phase: str, because: str) -> Event:
    """The event that a phase asks for nothing more."""
    return {"event": "ended", "id": phase, "because": because}


def is_held(path: Path) -> bool:
    """Whether some process is at work on the journal."""
    file = os.open(path, os.O_RDONLY)
    try:
        return not _hold(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _hold(file: int, how: int = fcntl.LOCK_EX) -> bool:
    """Take the file until it is closed, by this process or its end; False where another process has it."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Unwritten:
    """A journal of nothing: for searches over tables, which are made again faster than they are read."""

    path = Path("unwritten")
    events: tuple[tuple[int, Event], ...] = ()

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self._started = clock, clock()

    @property
    def seconds(self) -> float:
        return self.clock() - self._started

    def append(self, event: Event) -> Event:
        return event


def read(path: Path, space: Event | None = None) -> tuple[list[tuple[int, Event]], str, int, bytes]:
    """The events of a journal with their line numbers, its last checksum, the length in bytes of its whole lines, and
    what follows them.

    A torn last line is left out. Raises JournalError naming the line where the journal cannot be trusted, UserError
    where it cannot be read.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        data = b""
    events: list[tuple[int, Event]] = []
    check, whole, order = "", 0, _Order()
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines):  # what follows the last newline: nothing, or a torn line
            break
        try:
            text = line.decode()
            event = json.loads(text, parse_constant=_refused)
            kind, _ = event["event"], event["id"]
            hash(kind)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines) - 1 and isinstance(error, ValueError):
                break
            raise JournalError(f"{path}, line {number}: it is not an event of a journal; {_RESTORE}") from None
        if number == 1:
            _check_first(path, event, space)
        found = _CHECK.search(text)
        if found:
            check = _chain(check, text[: found.start()] + "}")
        if found[1] != check if found else kind in EVENTS:
            raise JournalError(f"{path}, line {number}: changed after it was written, or lines are missing before it; "
                               f"{_RESTORE}")  # fmt: skip
        if kind in EVENTS:
            try:
                checked(event, EVENTS[kind], f"{path}, line {number}")
            except UserError as error:
                raise JournalError(str(error)) from None
            if wrong := order.broken_by(event):
                raise JournalError(f"{path}, line {number}: {wrong}; {_RESTORE}")
            events.append((number, event))
        whole += len(line) + 1
    return events, check, whole, data[whole:]


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class _Order:
    """In which events follow one another."""

    def __init__(self) -> None:
        self.asked, self.waiting, self.paused = 0, set[int](), set[int]()

    def broken_by(self, event: Event) -> str:
        """What is wrong with the next event; empty: nothing."""
        if event["event"] == "asked":
            if event["id"] != self.asked or any(parent >= self.asked for parent in event["parents"]):
                return f"individual {event['id']} cannot come from {event['parents']} as the {self.asked}th"
            self.waiting.add(self.asked)
            self.asked += 1
        elif event["event"] == "continued":
            if event["id"] not in self.paused:
                return f"the training of individual {event['id']} goes on without having begun"
            self.paused.remove(event["id"])
            self.waiting.add(event["id"])
        elif event["event"] == "told":
            if event["id"] not in self.waiting:
                return f"individual {event['id']} is told without having been asked"
            self.waiting.remove(event["id"])
            if event.get("reached"):
                self.paused.add(event["id"])
        return ""


_RESTORE = "put the original journal back, or start a new run in another directory"


def _check_first(path: Path, event: Event, space: Event | None) -> None:
    if event["event"] != "run":
        raise JournalError(f"{path}, line 1: the first line is not the head of a journal; {_RESTORE}")
    if event.get("schema") != VERSION:
        raise JournalError(f"{path}, line 1: schema version {event.get('schema')}; this evonas reads version "
                           f"{VERSION}: resume with the evonas that wrote it")  # fmt: skip
    if space is not None and event.get("space") != space:
        raise JournalError(f"{path}, line 1: the journal is of another space: {json.dumps(event.get('space'))} instead "
                           f"of {json.dumps(space)}; {_RESTORE}")  # fmt: skip


def _chain(before: str, body: str) -> str:
    return f"{zlib.crc32((before + body).encode()):08x}"
