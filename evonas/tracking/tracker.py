"""What a tracker is, and what it learns of a run as it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from evonas.space import CodeError, Decision, Genome, Space

Event = dict[str, Any]


@dataclass(frozen=True)
class RunFacts:
    """A run as it begins or goes on.

    directory    of the run; what a tracker writes lies in `folder`, unless it has a place of its own
    objectives   in order, each with 1 where it is maximised and -1 where it is minimised
    config       what config.json holds
    space        what is searched
    began        seconds since 1970 at which the run would have begun without a break: an event's `t` counts from there
    """

    directory: Path
    objectives: Mapping[str, float]
    config: Mapping[str, Any]
    space: Space
    began: float

    @property
    def name(self) -> str:
        return self.directory.resolve().name

    @property
    def folder(self) -> Path:
        return self.directory / "tracking"

    def answers(self, genome: Genome) -> dict[str, Any]:
        """What a genome says to each decision of its space, as texts and numbers; nothing where genomes are no
        sequences of decisions, or it is not of the space, which its evaluation says."""
        return {d.name: plain(token) for d, token in zip(self._decisions(genome), genome, strict=False)}

    def options(self, genome: Genome) -> dict[str, tuple[Any, ...]]:
        """What might be said to each decision that a genome answers: anywhere in the space, where all of it can be
        walked through, or else where the genome decides it."""
        decisions = self._decisions(genome)
        return {d.name: self._anywhere.get(d.name) or tuple(plain(option) for option in d.options) for d in decisions}

    def _decisions(self, genome: Genome) -> list[Decision]:
        try:
            return self.space.decisions(genome) if self.space.is_sequence else []
        except CodeError:
            return []

    @cached_property
    def _anywhere(self) -> dict[str, tuple[Any, ...]]:
        found: dict[str, dict[Any, None]] = {}
        if self.space.countable:
            for decision in self.space.every_decision:
                found.setdefault(decision.name, {}).update(dict.fromkeys(map(plain, decision.options)))
        return {name: tuple(options) for name, options in found.items()}


class Tracker(Protocol):
    """What hears of a run.

    All calls come from the one process that holds the journal, one after the other, and the search waits for them. A
    run that goes on after an interruption replays its journal: a tracker hears again of all that was asked and told, as
    `replayed`, and then of what is new. So whatever ended the run before, a tracker that keeps records knows what they
    lack.
    """

    def begin(self, run: RunFacts) -> None:
        """The run begins, or goes on."""

    def heard(self, event: Event, replayed: bool) -> None:
        """An event of the journal: asked, told, continued, closed or ended. It is in the journal already."""

    def ended(self, summary: Mapping[str, Any] | None) -> None:
        """The session is over; `summary`: what summary.json holds, or None where the run was interrupted or failed."""


def plain(token: Any) -> Any:
    """A token as what every library writes."""
    return token if isinstance(token, str | int | float | bool) or token is None else str(token)
