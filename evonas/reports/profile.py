"""Where the time of a run went: inside the evaluations, and in the process that steers them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evonas.run.store import Run

SECTIONS = ("forward", "backward", "optimizer", "data", "evaluation", "build", "other")  # of an evaluation


def profile(run: Run, steering: dict[str, float]) -> dict[str, Any]:
    """Seconds by section, as plain JSON.

    evaluations   how many were watched; `seconds` by section, and `total`, as the outcomes say
    steering      of the process that proposes and records, in this session: strategy, identity (decode and digest),
                  hand out (without workers, the evaluations themselves), waiting, journal, other
    utilisation   share of the workers' time, in this session, that was spent in evaluations
    """
    watched = [record for record in run.records() if record.get("profile")]
    found: Counter[str] = Counter()
    for record in watched:
        found.update(record["profile"])
    total = sum(record["cost"]["seconds"] for record in watched)
    wall = sum(steering.values())
    return {
        "evaluations": len(watched),
        "seconds": {name: round(found[name], 3) for name in SECTIONS},
        "total": round(total, 3),
        "workers": run.config.workers,
        "steering": steering,
        "utilisation": round(total / (wall * run.config.workers), 4) if wall else None,
    }


def inside(found: dict[str, Any]) -> list[dict[str, str]]:
    """The sections of the evaluations as rows of a table."""
    rest = max(found["total"] - sum(found["seconds"].values()), 0.0)
    return _rows(found["seconds"] | {"not watched": rest}, found["total"])


def steering(found: dict[str, Any]) -> list[dict[str, str]]:
    """The sections of the process that steers as rows of a table."""
    return _rows(found["steering"], sum(found["steering"].values()))


def _rows(seconds: dict[str, float], total: float) -> list[dict[str, str]]:
    return [
        {"": name, "seconds": f"{each:.1f}", "share": f"{each / (total or 1.0):.1%}"} for name, each in seconds.items()
    ]
