"""How a run stands, read from its journal by whoever wants to know: another terminal, a script, a cluster's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evonas.executors.rendezvous import joined
from evonas.ranking import best_of
from evonas.support.device import ELSEWHERE
from evonas.support.text import shown

if TYPE_CHECKING:
    from evonas.run.store import Run

LATELY_S = 600.0  # of run time: what counts as the recent throughput
LOW = 0.75  # share of the workers' time, below which it is said why


def status(run: Run, *, now: float | None = None) -> dict[str, Any]:
    """Plain JSON: is it running, what is in flight since when, how busy are the workers, what has failed, the best.

    now   seconds since the epoch; None: the clock's

    state            running, finished, or stopped (interrupted or killed: it can be resumed)
    in_flight        id, age_s and phase of each evaluation that has been asked for and not told; of a stopped run,
                     those that will be begun again
    waiting          how many of these wait for a worker to come
    busy, idle       workers; a genome that waits for the same genome's result takes none
    joined           those that have come, where they come over a network; else null
    utilisation      share of the workers' time so far that went into evaluations
    generational     the search goes by generations, each of which waits for its last network
    a_minute         evaluations told, over the whole run and over its last ten minutes
    failures         how many, by kind
    """
    events = run.events()
    asked = {event["id"]: event for event in events if event["event"] == "asked"}
    reports = [event for event in events if event["event"] == "told" and event["status"] != "rejected"]
    told = list({event["id"]: event for event in reports}.values())  # the last one of each
    finished = run.finished()
    running = not finished and run.journal_path.exists() and run.is_held()
    elapsed = max((event.get("t", 0.0) for event in events), default=0.0)
    if running:
        elapsed += max((time.time() if now is None else now) - run.journal_path.stat().st_mtime, 0.0)
    in_flight: dict[int, Any] = {}
    for event in events:
        if event["event"] == "asked":
            in_flight[event["id"]] = event
        elif event["event"] == "continued":
            in_flight[event["id"]] = asked[event["id"]] | {"t": event["t"]}
        elif event["event"] == "told":
            in_flight.pop(event["id"], None)
    waiting = list(in_flight.values())
    works = list({event["key"]: event for event in reversed(waiting)}.values())[::-1] if running else []
    wanted = len(works)
    here = None
    if running and run.config.executor in ELSEWHERE:
        here = len(joined(run.directory) or [])
        works = works[:here]
    busy, spent = len(works), sum(event["cost"]["seconds"] for event in reports)
    spent += sum(elapsed - event["t"] for event in works)
    told_records = [asked[event["id"]] | event for event in told]
    found = best_of(told_records, next(iter(run.config.objectives.values())), apart=run.config.inherit)
    lately = [event for event in told if event["t"] > elapsed - LATELY_S]
    return {
        "state": "running" if running else "finished" if finished else "stopped",
        "phase": next((event["phase"] for event in reversed(events) if event["event"] == "asked"), None),
        "evaluations": len(told),
        "elapsed_s": round(elapsed, 1),
        "in_flight": [{"id": event["id"], "age_s": round(elapsed - event["t"], 1), "phase": event["phase"]}
                      for event in waiting],
        "waiting": wanted - busy,
        "workers": run.config.workers,
        "busy": busy,
        "idle": max((run.config.workers if here is None else here) - busy, 0) if running else 0,
        "joined": here,
        "utilisation": round(min(spent / (elapsed * run.config.workers), 1.0), 4) if elapsed else None,
        "generational": any(event.get("generation") is not None for event in asked.values()),
        "a_minute": {
            "whole": round(60 * len(told) / elapsed, 2) if elapsed else None,
            "lately": round(60 * len(lately) / min(elapsed, LATELY_S), 2) if elapsed else None,
        },
        "failures": dict(Counter((event["error"] or "").partition(":")[0] for event in told
                                 if event["status"] == "failed")),
        "best": None if found is None else {
            "id": found.id, "code": asked[found.id]["code"], next(iter(run.config.objectives)): found.value,
        },
    }  # fmt: skip


def lines(run: Run, found: dict[str, Any]) -> Iterator[str]:
    """The status as lines for people."""
    yield f"{run.directory}: {found['state']}" + (f", {found['phase']}" if found["state"] == "running" else "")
    yield (f"{found['evaluations']} evaluations in {found['elapsed_s']:.0f} s, {found['a_minute']['whole'] or 0:.1f} a "
           f"minute, {found['a_minute']['lately'] or 0:.1f} a minute lately")  # fmt: skip
    used = "" if found["utilisation"] is None else f"; {found['utilisation']:.0%} of their time so far in evaluations"
    come = "" if found["joined"] is None else f"; {found['joined']} have joined, of {found['workers']} wanted"
    if found["state"] == "running":
        yield f"workers: {found['busy']} busy, {found['idle']} idle{come}{used}"
    if found["waiting"]:
        yield f"{found['waiting']} of the evaluations in flight wait for a worker to come"
    all_here = found["workers"] > 1 and found["joined"] in (None, found["workers"])
    if found["generational"] and all_here and (found["utilisation"] or 1.0) < LOW:
        yield ("each generation waits for its last network; a search that never waits, such as --strategy aging, keeps "
               "workers busier")  # fmt: skip
    if found["in_flight"]:
        ages = ", ".join(f"{each['id']} ({each['age_s']:.0f} s)" for each in found["in_flight"])
        yield ("in flight: " if found["state"] == "running" else "to be repeated: ") + ages
    if found["failures"]:
        yield "failures: " + ", ".join(f"{count} {kind}" for kind, count in found["failures"].items())
    if found["best"]:
        name = next(iter(run.config.objectives))
        yield f"best: {shown(name, found['best'][name])} {found['best']['code']} (id {found['best']['id']})"
    if found["state"] == "stopped":
        by_script = "run its script or notebook again with resume=True"
        yield f"to go on: {by_script if run.config.by_script else f'evonas resume {run.directory}'}"
