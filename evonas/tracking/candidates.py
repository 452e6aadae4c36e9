"""What was asked joined with what was told, for trackers that want whole candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from evonas.ranking import PARTIAL, RANKED
from evonas.tracking.tracker import Event

Record = dict[str, Any]


class Candidates:
    """Those of a run, by id. `told` counts the results of each phase, those of pieces of trainings among them."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.told: Counter[str] = Counter()

    def hear(self, event: Event) -> Record | None:
        """The candidate of whom a result is told; None for every other event, and for a rejected proposal.

        In the record is what was asked and told last; `results`: how many were told, as of a training in pieces; and
        `had`: how many epochs of its curve were told before.
        """
        if event["event"] == "asked" and event["key"]:  # without one it was rejected
            self.records[event["id"]] = event | {"results": 0}
        if event["event"] != "told" or event["id"] not in self.records:
            return None
        before = self.records[event["id"]]
        had = len(before.get("curve", ()))
        record = self.records[event["id"]] = before | event | {"had": had, "results": before["results"] + 1}
        self.told[record["phase"]] += 1
        return record


class BestSoFar:
    """The best value of the first objective that was told: of whole trainings, before there is one of shared weights,
    and before that of the trainings that came furthest."""

    def __init__(self, weight: float) -> None:
        self.sign = 1 if weight > 0 else -1
        self.best: tuple[Any, ...] | None = None

    def hear(self, record: Mapping[str, Any]) -> float | None:
        """The best value with this one; None while there is none."""
        ranks = {status: -number for number, status in enumerate((*RANKED, PARTIAL))}
        if record["values"] and record["status"] in ranks and record["role"] is None:
            reached = record.get("reached") or 0 if record["status"] == PARTIAL else 0
            counts = not record.get("provisional", False)
            key = (counts, ranks[record["status"]], reached, self.sign * record["values"][0])
            self.best = key if self.best is None else max(self.best, key)
        return None if self.best is None else self.sign * self.best[-1]
