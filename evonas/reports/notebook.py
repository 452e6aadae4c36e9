"""How a run goes on, in a notebook: one area below the cell, with a picture of the search, which is shown anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from evonas.reports import page as html
from evonas.reports.progress import BEAT_S, IN_THE_END, PREPARING, Progress
from evonas.reports.view import course, outcome, where
from evonas.support.kernel import Area
from evonas.support.text import duration

if TYPE_CHECKING:
    from evonas.run.store import Run

LINE_EVERY_S, PICTURE_EVERY_S = 1.0, 4.0
SHARE = 30  # of so many seconds at most one goes into showing, as what is shown wants the time, too


class Notebook(Progress):
    """What is searched, a line for each phase, warnings, and the history of the search; at the end the table and what
    it is worth. A thread of its own shows it, so that the search does not wait."""

    def __init__(self, run: Run, area: Any = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(run, clock=clock)
        self.area = area or Area()
        self.notes: list[str] = []
        self.picture = ""
        self.changed = self.undrawn = False  # since it was shown, and since the picture was drawn
        self.shown = clock()
        self.next_line = self.next_picture = self.shown  # not before

    def __enter__(self) -> Self:
        super().__enter__()
        self._show(PREPARING)
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__()
        error = raised[1]
        if error is not None:
            how = "interrupted" if isinstance(error, KeyboardInterrupt) else "stopped by an error"
            self.note(f"{how}; no finished result is lost: go on with resume=True")
        if self.undrawn or not self.picture:
            self._draw()
        self._show("", *([*outcome(self.run), where(self.run)] if error is None else []))

    def note(self, message: str) -> None:
        with self.lock:
            self.notes.append(message)
            self.changed = True

    def _say(self, *, final: bool = False) -> None:
        if final:
            self.note(self._line(self.clock()))
        self.changed = self.undrawn = True

    def _beat(self) -> None:
        while not self.over.wait(LINE_EVERY_S):
            self.refresh()

    def refresh(self) -> None:
        """Show what is new, where it may be shown again; where nothing has been for a while, the line with the time."""
        now = self.clock()
        silent = now - self.shown >= BEAT_S
        due = self.undrawn and now >= self.next_picture
        if now >= self.next_line and (self.changed or due or silent):
            self.changed = False
            if due:
                self._draw()
            began = self.clock()
            self._show(self._now(now, silent))
            self.shown = self.clock()
            self.next_line = self.shown + SHARE * (self.shown - began)

    def _now(self, now: float, silent: bool) -> str:
        """How the phase goes on; where nothing has ended for a while, with the time."""
        with self.lock:
            line = self._line(now) if self.current else PREPARING
        if silent:
            return f"{line}; {duration(now - self.began)} since this began"
        return "" if self.current in IN_THE_END else line  # which have been noted

    def _draw(self) -> None:
        began, self.undrawn = self.clock(), False
        with self.lock:
            records = [record for name in ("search", "baseline") for record in self.seen.get(name, {}).values()]
        self.picture = course(self.run, records)
        now = self.clock()
        self.next_picture = now + max(PICTURE_EVERY_S, SHARE * (now - began))

    def _show(self, line: str, *further: str) -> None:
        with self.lock:
            lines = [*self.notes, line] if line else list(self.notes)
        self.area.show(html.fragment([html.code(*lines), self.picture, *further]), "\n".join(lines))
