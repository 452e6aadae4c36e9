"""Modules of the call shape of wandb: init, log, finish. Those that have a name are wandb, offline, and trackio.

A step is a result of the search. Each session of a run is a run of its own there, from the first result on, since what
was told before is replayed; those of one run are a group. So the last one is whole, whatever ended those before, and
nothing depends on what the module had written when they ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any

from evonas.tracking.candidates import BestSoFar, Candidates
from evonas.tracking.tracker import Event, RunFacts

PROJECT = "evonas"
PHASE = "search"  # the one whose results are logged
SKIPPED = ("schema", "data", "versions", "hardware", "budgets", "track")  # of config.json: not what was chosen


class Logged:
    """Logs to `module`; `options` of its `init` beside project, name, group and config."""

    def __init__(self, module: Any, options: Callable[[RunFacts], Mapping[str, Any]] = lambda run: {}) -> None:
        self.module, self.options = module, options

    def begin(self, run: RunFacts) -> None:
        self.run, self.candidates = run, Candidates()
        self.best = BestSoFar(next(iter(run.objectives.values())))
        self.failed = 0
        chosen = {name: value for name, value in run.config.items() if name not in SKIPPED}
        self.module.init(
            project=PROJECT,
            name=f"{run.name} {datetime.now():%Y-%m-%d %H:%M:%S}",
            group=run.name,
            config=chosen,
            **self.options(run),
        )

    def heard(self, event: Event, replayed: bool) -> None:
        record = self.candidates.hear(event)
        if record is None or record["phase"] != PHASE:
            return
        best, first = self.best.hear(record), next(iter(self.run.objectives))
        self.failed += record["status"] == "failed"
        values = {"id": record["id"], "failed": self.failed, "run_seconds": event["t"]}
        values |= record["measures"] | dict(zip(self.run.objectives, record["values"], strict=False))
        values |= {} if best is None else {f"best_{first}": best}
        self.module.log(values, step=self.candidates.told[PHASE])

    def ended(self, summary: Mapping[str, Any] | None) -> None:
        """The session is over; where it was the last one, what the winner is worth comes first."""
        if summary is not None:
            winner = {
                f"winner_{name}": value for name, value in summary["winner"].items() if isinstance(value, int | float)
            }
            self.module.log(winner, step=self.candidates.told[PHASE] + 1)
        self.module.finish()


def trackio() -> Logged:
    """In trackio's own folder, of which `trackio show` is the dashboard."""
    return Logged(import_module("trackio"))


def wandb() -> Logged:
    """In DIR/tracking/wandb, to be sent by `wandb sync`; the environment's WANDB_MODE=online sends it at once."""
    mode = os.environ.get("WANDB_MODE", "offline")

    def options(run: RunFacts) -> dict[str, Any]:
        run.folder.mkdir(parents=True, exist_ok=True)
        return {"mode": mode, "dir": str(run.folder)}

    return Logged(import_module("wandb"), options)
