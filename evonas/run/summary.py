"""summary.json, as a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from evonas.run.schema import Number
from evonas.support.schema import checked


class First(Struct):
    """What a search began with: the best of so many networks; and the best of all of them, judged likewise."""

    networks: Number
    best: float
    of_all: float | None = None


class Difference(Struct):
    """By how much the winner is more accurate, with its interval."""

    value: float
    low: float
    high: float


class Latency(Struct):
    """What one network takes, in milliseconds."""

    predicted: float
    measured: float


class Latencies(Struct):
    """What networks of the search take; the first is the winner."""

    target: float
    device: str
    machine: str
    networks: list[Latency]


class OfClass(Struct):
    """What a test says of one class; None: a share of nothing."""

    examples: Number
    recall: float | None
    precision: float | None
    f1: float | None


class Judged(Struct):
    """What a test says of a classifier, as `evonas.judgement.Judgement.to_json` gives it."""

    examples: Number
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    confidence: float
    calibration_error: float
    classes: dict[str, OfClass]
    confusion: list[list[Number]]


class Summary(Struct):
    """summary.json, as far as every one has it; with a row for each network in the table."""

    evaluations: Number
    failed: Number
    rejected: Number
    ended_because: str
    wall_s: float
    metric: str | None
    winner: dict[str, Any]
    counts: tuple[Number, Number, Number] | None
    final_epochs: tuple[Number, Number] | None
    objectives: dict[str, float]
    first: First | None
    differences: dict[str, Difference]
    baseline_evaluations: Number | None
    finalists: Number = 1
    by_shared_weights: bool = False
    latencies: Latencies | None = None


def check(found: dict[str, Any], path: Path) -> None:
    """Raises UserError for what no run could have written."""
    checked(found, Summary, str(path))
    for row in found.values():
        if isinstance(row, dict) and "code" in row:
            numbers = {name: value for name, value in row.items() if name not in ("code", "error", "judgement")}
            checked(numbers, dict[str, float | None], str(path))
            checked(row["code"], str, str(path))
            if "judgement" in row:
                checked(row["judgement"], Judged, str(path))
