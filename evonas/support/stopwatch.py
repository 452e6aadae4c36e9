"""Where time goes, by section."""

from __future__ import annotations

import time
from collections.abc import Callable


class Unwatched:
    """Counts nothing: the watch of whoever does not ask."""

    def begin(self, section: str) -> None: ...

    def stop(self) -> dict[str, float]:
        return {}


UNWATCHED = Unwatched()


class Stopwatch(Unwatched):
    """One section at a time: to begin one is to end the one before. Sections may be begun again.

    wait    called at each border, to wait for what a device has still to do
    """

    def __init__(
        self, *, wait: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.wait, self.clock = wait, clock
        self.seconds: dict[str, float] = {}
        self._section: str | None = None
        self._since = 0.0

    def begin(self, section: str) -> None:
        if section != self._section:
            self._end()
            self._section = section

    def stop(self) -> dict[str, float]:
        """Seconds by section, in the order in which they first ended."""
        self._end()
        self._section = None
        return {name: round(seconds, 4) for name, seconds in self.seconds.items()}

    def _end(self) -> None:
        self.wait()
        now = self.clock()
        if self._section is not None:
            self.seconds[self._section] = self.seconds.get(self._section, 0.0) + now - self._since
        self._since = now
