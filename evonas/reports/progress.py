"""How a run goes on, in the terminal: a live line where there is a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from evonas.support.text import brief, shown

if TYPE_CHECKING:
    from evonas.run.budget import Budget
    from evonas.run.store import Run

Event = dict[str, Any]

PLAIN_EVERY_S = 10.0

CODE = 60  # letters of a code


def new_console() -> Console:
    """Standard output; a file has no width of its own."""
    console = Console(markup=False, highlight=False)  # names of users' files and classes are no markup
    terminal = console.is_terminal or console.is_jupyter
    return console if terminal else Console(width=120, file=sys.stdout, markup=False, highlight=False)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def phase(self, name: str, budget: Budget, already: int) -> None: ...

    def event(self, event: Event, replayed: bool) -> None: ...

    def warn(self, message: str) -> None: ...


class Progress:
    """Counts what it is shown. Best so far, evaluations a minute, failures, time left."""

    def __init__(
        self, run: Run, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run, self.clock = run, clock
        self.console = console or new_console()
        live = self.console.is_terminal and not self.console.is_jupyter  # a notebook would want widgets for it
        self.live = Live(console=self.console, transient=True, auto_refresh=False) if live else None
        baseline = run.system.baseline.name.replace("_", " ")
        self.titles = {"search": "search", "baseline": baseline, "final": "final training"}
        self.name, self.weight = next(iter(run.config.objectives.items()))
        self._shown = -PLAIN_EVERY_S
        self.current = ""
        self.warned = False
        self.told = self.fresh = self.failed = self.reused = 0

    def __enter__(self) -> Progress:
        self.console.print(self.run.about(), soft_wrap=True)
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def phase(self, name: str, budget: Budget, already: int) -> None:
        if self.current == "search" and self.told:
            self._say(final=True)
        self.current, self.budget = name, budget
        self.codes: dict[int, str] = {}
        self.told = self.fresh = self.failed = self.reused = 0
        self.already = already
        self.best: tuple[float, str] | None = None
        self.began = self.clock()
        self.elapsed = 0.0
        if name == "final":
            self.console.print(
                f"{self.titles[name]} of {budget.evaluations} network{'s' * (budget.evaluations != 1)} ..."
            )

    def event(self, event: Event, replayed: bool) -> None:
        if event["event"] == "asked":
            if event["role"] is None:
                self.codes[event["id"]] = event["code"]
        elif event["event"] == "told" and event["status"] != "rejected":
            self.told += 1
            self.fresh += not replayed
            self.reused += event["reused"]
            self.failed += event["status"] == "failed"
            if event.get("warning") and not self.warned:  # the first one; the others are in the journal
                self.warned = True
                self.warn(f"#{event['id']}: {event['warning']}")
            self.elapsed = event.get("t", self.elapsed)
            code = self.codes.pop(event["id"], None)
            if code is not None and event["values"]:
                value = event["values"][0]
                if self.best is None or self.weight * value > self.weight * self.best[0]:
                    self.best = value, brief(code, CODE)
            if not replayed and self.current != "final":
                self._say()

    def warn(self, message: str) -> None:
        self.console.print(f"warning: {message}", soft_wrap=True)

    def _say(self, *, final: bool = False) -> None:
        now = self.clock()
        if self.live:
            self.live.update(Text(self._line(now)), refresh=True)
        if (final or not self.live) and (final or now - self._shown >= PLAIN_EVERY_S):
            self._shown = now
            self.console.print(self._line(now), soft_wrap=True)

    def _line(self, now: float) -> str:
        seconds = max(now - self.began, 1e-9)
        total = self.budget.evaluations
        done = f"{self.already + self.told}/{total}" if total else f"{self.already + self.told}"
        parts = [f"{self.titles[self.current]}: {done} evaluations"]
        if self.best:
            parts.append(f"best {shown(self.name, self.best[0])} {self.best[1]}")
        parts.append(f"{60 * self.fresh / seconds:.0f} a minute")
        parts += [f"{self.reused} reused"] * bool(self.reused) + [f"{self.failed} failed"] * bool(self.failed)
        left = self._seconds_left(seconds)
        parts += [f"{_duration(left)} left"] * (left is not None)
        return ", ".join(parts)

    def _seconds_left(self, seconds: float) -> float | None:
        estimates = []
        if self.budget.evaluations and self.fresh:
            missing = self.budget.evaluations - self.already - self.told
            estimates.append(missing * seconds / self.fresh)
        if self.budget.seconds:
            estimates.append(self.budget.seconds - self.elapsed)
        return max(min(estimates), 0.0) if estimates else None


def _duration(seconds: float | None) -> str:
    minutes, rest = divmod(round(seconds or 0), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
