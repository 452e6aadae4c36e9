"""How a run goes on: a live line in a terminal, plain lines elsewhere. In notebooks, see `evonas.reports.notebook`."""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from evonas.ranking import best_of
from evonas.support.kernel import Area, shell
from evonas.support.text import brief, duration, shown

if TYPE_CHECKING:
    from evonas.run.budget import Budget
    from evonas.run.store import Run

Event = dict[str, Any]

PLAIN_EVERY_S, LIVE_EVERY_S = 10.0, 0.2
BEAT_S = 30.0  # without a word

IN_THE_END = ("finalists", "baseline-finalists", "final")  # phases that train what a search has found
CODE = 60  # letters of a code
PREPARING = "preparing"  # before the first phase


def new_console() -> Console:
    """Standard output; a file has no width of its own."""
    console = Console(markup=False, highlight=False)  # names of users' files and classes are no markup
    terminal = console.is_terminal or console.is_jupyter
    return console if terminal else Console(width=120, file=sys.stdout, markup=False, highlight=False)


@contextmanager
def passing() -> Iterator[Callable[[str], None]]:
    """A function that shows a line in place of the one before, for what takes a while."""
    if shell() is None:
        with new_console().status("") as status:
            yield status.update
    else:
        area = Area()  # rich would want widgets for it
        yield lambda line: area.show(f"<pre>{escape(line)}</pre>", line)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def phase(self, name: str, budget: Budget, already: int) -> None: ...

    def event(self, event: Event, replayed: bool) -> None: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...


class Progress(ABC):
    """Counts what it is told: best so far, evaluations a minute, failures, time left. How that is shown, and a sign of
    life where nothing has ended for a while, is its subclass's."""

    def __init__(self, run: Run, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.run, self.clock = run, clock
        baseline = run.system.baseline.name.replace("_", " ") if run.system.baseline else "reference"
        self.titles = {
            "supernet": "supernet",
            "teacher": "teacher",
            "search": "search",
            "baseline": baseline,
            "finalists": "training of finalists",
            "baseline-finalists": f"training of finalists of {baseline}",
            "final": "final training",
        }
        self.name, self.weight = next(iter(run.config.objectives.items()))
        self.current = ""
        self.warned = False
        self.lock, self.over = threading.Lock(), threading.Event()
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.seen: dict[str, dict[int, Event]] = {}  # phase -> its records, which a further budget adds to
        self.records: dict[int, Event] = {}
        self._begin(0)

    def __enter__(self) -> Self:
        self.note(self.run.about())
        self.beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.beating.join()
        if self.current == "search" and self.fresh:
            self._say(final=True)

    @abstractmethod
    def note(self, message: str) -> None:
        """Show a message that stays."""

    def warn(self, message: str) -> None:
        self.note(f"warning: {message}")

    @abstractmethod
    def _say(self, *, final: bool = False) -> None:
        """Something new was told; `final`: the last of its phase."""

    @abstractmethod
    def _beat(self) -> None:
        """What a thread of its own does until `over` is set."""

    def phase(self, name: str, budget: Budget, already: int) -> None:
        if self.current == "search" and self.fresh:
            self._say(final=True)
        with self.lock:
            self.current, self.budget = name, budget
            self.records = self.seen.setdefault(name, {})
            self._begin(already)
        if name in IN_THE_END:
            self.note(f"{self.titles[name]} of {budget.evaluations} network{'s' * (budget.evaluations != 1)} ...")

    def _begin(self, already: int) -> None:
        """Nothing has been seen of a phase, but that so many had been asked for in a session before."""
        self.already = already
        self.heard: set[int] = set()  # ids: a training that goes on is told of again
        self.told = self.fresh = self.failed = self.reused = 0
        self.losses: list[float] = []  # of a supernet, epoch by epoch
        self.began, self.first = self.clock(), 0.0  # the second: when each worker had told something new
        self.elapsed = 0.0

    def event(self, event: Event, replayed: bool) -> None:
        if event["event"] == "asked":
            if event["role"] is None:
                with self.lock:
                    self.records[event["id"]] = event
        elif event["event"] == "told" and event["status"] != "rejected" and not self._goes_on(event):
            with self.lock:
                first = event["id"] not in self.heard
                self.heard.add(event["id"])
                self.losses = event.get("losses", [])
                self.told += first
                self.fresh += not replayed and first
                self.reused += event["reused"]
                self.failed += event["status"] == "failed"
                self.elapsed = event.get("t", self.elapsed)
                if self.fresh == self.run.config.workers and not replayed:
                    self.first = self.clock()
                if event["id"] in self.records:
                    self.records[event["id"]] = self.records[event["id"]] | event
            if event.get("warning") and not self.warned:  # the first one; the others are in the journal
                self.warned = True
                self.warn(f"#{event['id']}: {event['warning']}")
            if not replayed and self.current not in IN_THE_END:
                self._say()

    def _goes_on(self, event: Event) -> bool:
        """Whether this is a piece of a final training after which others follow."""
        return self.current in IN_THE_END and event.get("waits", False)

    def _line(self, now: float) -> str:
        if self.current in ("supernet", "teacher"):
            after = f", loss {self.losses[-1]:.3f}" if self.losses else ""
            return f"{self.titles[self.current]}: {len(self.losses)}/{self.budget.epochs} epochs{after}"
        total = self.budget.evaluations
        done = f"{self.already + self.told}/{total}" if total else f"{self.already + self.told}"
        parts = [f"{self.titles[self.current]}: {done} evaluations"]
        best = best_of(self.records.values(), self.weight, apart=self.run.config.inherit)
        if best is not None:
            parts.append(f"best {shown(self.name, best.value)} {brief(self.records[best.id]['code'], CODE)}")
        parts.append(f"{60 * self.fresh / max(now - self.began, 1e-9):.0f} a minute")
        parts += [f"{self.reused} reused"] * bool(self.reused) + [f"{self.failed} failed"] * bool(self.failed)
        if (left := self._seconds_left(now)) is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _seconds_left(self, now: float) -> float | None:
        """None until more has ended than the workers began with: they load libraries and data first."""
        estimates = []
        further = self.fresh - self.run.config.workers
        if self.budget.evaluations and further > 0:
            missing = self.budget.evaluations - self.already - self.told
            estimates.append(missing * (now - self.first) / further)
        if self.budget.seconds:
            estimates.append(self.budget.seconds - self.elapsed)
        return max(min(estimates), 0.0) if estimates else None


class Terminal(Progress):
    """A live line where there is a terminal; elsewhere lines, with the time where nothing has ended for a while."""

    def __init__(
        self, run: Run, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(run, clock=clock)
        self.console = console or new_console()
        terminal = self.console.is_terminal
        self.live = Live(console=self.console, transient=True, auto_refresh=False) if terminal else None
        self._shown = self._drawn = -PLAIN_EVERY_S

    def __enter__(self) -> Self:
        super().__enter__()
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
        super().__exit__()

    def note(self, message: str) -> None:
        self.console.print(message, soft_wrap=True)

    def _say(self, *, final: bool = False) -> None:
        now = self.clock()
        if self.live and (final or now - self._drawn >= LIVE_EVERY_S):
            self._drawn = now
            self.live.update(Text(self._line(now)), refresh=True)
        if (final or not self.live) and (final or now - self._shown >= PLAIN_EVERY_S):
            self._shown = now
            self.note(self._line(now))

    def _beat(self) -> None:
        """Where nothing has ended for a while, the same line again, with the time."""
        start = self.clock()
        while not self.over.wait(BEAT_S / 10):
            now = self.clock()
            if not self.live and now - max(self._shown, start) >= BEAT_S:
                self._shown = now
                with self.lock:
                    line = self._line(now) if self.current else PREPARING
                self.note(f"{line}; {duration(now - self.began)} since this began")
