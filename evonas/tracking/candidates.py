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
        self.asked: dict[int, Record] = {}
        self.told: Counter[str] = Counter()

    def hear(self, event: Event) -> Record | None:
        """The candidate of whom a result is told; None for every other event, and for a rejected proposal.

        In the record is what was asked and told last; `cost`: of all results; `results`: how many were told, as of a
        training in pieces; `had`: how many epochs of its curve were told before; and `began`: when it was asked for.
        """
        if event["event"] == "asked" and event["key"]:  # without one it was rejected
            self.asked[event["id"]] = event | {"began": event["t"], "results": 0, "cost": {}, "curve": []}
        if event["event"] != "told" or event["id"] not in self.asked:
            return None
        asked = self.asked[event["id"]]
        cost = {name: asked["cost"].get(name, 0) + spent for name, spent in event["cost"].items()}
        record = asked | event | {"cost": cost, "had": len(asked["curve"]), "results": asked["results"] + 1}
        asked.update({name: record[name] for name in ("cost", "results", "curve")})
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
