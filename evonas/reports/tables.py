"""What a run says of itself and of its individuals, as rows and lines of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any

from evonas.ranking import comparable
from evonas.support.text import brief, shown, words

if TYPE_CHECKING:
    from evonas.run.store import Found, Run

GROUPS = 10  # so many classes are told
BARS = "▁▂▃▄▅▆▇█"


def summary_rows(summary: Mapping[str, Any] | None, objectives: Mapping[str, float]) -> list[dict[str, str]]:
    """The winner beside what it is compared with; nothing while the run has not come to an end."""
    if summary is None:
        return []
    first, metric = next(iter(objectives)), summary["metric"]
    names = {f"validation_{first}": "validation", f"as_trained_test_{metric}": "test, as trained",
             f"test_{metric}": "test", first: first, "parameters": "parameters",
             "multiply_adds": "multiply-adds"}  # fmt: skip
    units = {f"as_trained_test_{metric}": metric, f"test_{metric}": metric, f"validation_{first}": first}
    rows = compared(summary)
    columns = [name for name in names if any(name in row for _, row in rows)]
    _, validation, test = summary["counts"] or (0, 0, 0)
    images = {f"validation_{first}": validation} | dict.fromkeys((f"as_trained_test_{metric}", f"test_{metric}"), test)

    def cell(name: str, row: Mapping[str, Any]) -> str:
        unit = units.get(name, name)
        spread = standard_error(unit, row[name], images.get(name, 0))
        return shown(unit, row[name]) + ("" if spread is None else f" ±{100 * spread:.1f}")

    return [
        {"": role.replace("_", " "), "code": brief(row["code"])}
        | {names[name]: cell(name, row) if name in row else "" for name in columns}
        for role, row in rows
    ]


def compared(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The winner and what it is compared with, by role."""
    return [(role, row) for role, row in summary.items() if isinstance(row, dict) and "code" in row]


def standard_error(name: str, value: float | None, count: int) -> float | None:
    """The standard error of an accuracy over so many examples; None for other values."""
    if count <= 0 or value is None or not 0 <= value <= 1 or name != "accuracy":
        return None
    return sqrt(value * (1 - value) / count)


def verdict(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the table is worth, in sentences: leads within the noise of the test split, and what was cut short."""
    metric, (_, _, test) = summary["metric"], summary["counts"] or (0, 0, 0)
    value = summary["winner"].get(f"test_{metric}")
    own = standard_error(metric or "", value, test)
    for role, row in compared(summary):
        other = row.get(f"test_{metric}")
        if role == "winner" or own is None or other is None or value is None:
            continue
        noise = 2 * sqrt(own**2 + (standard_error(metric, other, test) or 0) ** 2)
        against = role.replace("_", " ")
        lead = "ahead of" if value > other else "behind"
        if abs(value - other) <= noise:
            yield (f"winner and {against} cannot be told apart: {100 * abs(value - other):.1f} points on {test} test "
                   f"images, where chance makes up to {100 * noise:.1f}")  # fmt: skip
        else:
            yield f"the winner is {lead} {against} by {100 * abs(value - other):.1f} points, more than by chance"
    evaluations, made = summary["baseline_evaluations"], summary["evaluations"]
    if evaluations is not None and evaluations < made:
        yield f"random search had time for {evaluations} evaluations, the search for {made}"
    if summary["final_epochs"] and summary["final_epochs"][0] < summary["final_epochs"][1]:
        given, usual = summary["final_epochs"]
        yield f"final trainings had {given} of {usual} epochs, as the time was limited: the winner may be worth more"


def smaller(run: Run) -> str:
    """The smallest network that validation cannot tell from the winner, by one standard error; empty: there is none."""
    first, counts = next(iter(run.config.objectives)), (run.summary or {}).get("counts")
    if counts is None:
        return ""
    best = run.best
    spread = standard_error(first, best.values[first], counts[1])
    size = best.record["measures"].get("parameters")
    if spread is None or size is None:
        return ""
    near = [
        record
        for record in comparable(run.records())
        if record["values"][0] >= best.values[first] - spread and "parameters" in record["measures"]
    ]
    least = min(near, key=lambda record: record["measures"]["parameters"])
    if least["measures"]["parameters"] >= size:
        return ""
    return (f"within one standard error of the winner's validation, individual {least['id']} has "
            f"{least['measures']['parameters']:,.0f} parameters instead of {size:,.0f}: evonas show {run.directory} "
            f"{least['id']}")  # fmt: skip


def group_rows(summary: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """The winner on the test images of each class; of many classes, the worst."""
    found = {} if summary is None else summary["by_group"]
    worst = sorted(found.items(), key=lambda each: each[1])[:GROUPS]
    return [{"class": name, "test": shown(summary["metric"], value)} for name, value in worst] if summary else []


def top(run: Run, count: int) -> list[Mapping[str, Any]]:
    """Records of the best networks of the search by the first objective; a genome once, by its first evaluation, or by
    its best one where weights are inherited."""
    weight = next(iter(run.config.objectives.values()))
    records = list(comparable(run.records()))
    if run.config.inherit:  # then its worth depends on its ancestors: the best one of each genome
        records.sort(key=lambda record: -weight * record["values"][0])
    once: dict[tuple, Mapping[str, Any]] = {}
    for record in records:
        once.setdefault(tuple(record["genome"]), record)
    return sorted(once.values(), key=lambda record: -weight * record["values"][0])[:count]


def network_rows(records: Sequence[Mapping[str, Any]], objectives: Mapping[str, float]) -> list[dict[str, str]]:
    """Evaluated networks with their values, costs and origin."""
    return [
        {"id": str(record["id"]), "code": brief(record["code"])}
        | {name: shown(name, value) for name, value in zip(objectives, record["values"], strict=True)}
        | {
            name.replace("_", "-"): shown(name, record["measures"][name])
            for name in ("parameters", "multiply_adds")
            if name in record.get("measures", {}) and name not in objectives
        }
        | ({"epochs, ancestors included": str(record["lineage"]["epochs"])} if record.get("lineage") else {})
        | {"made by": record["operator"], "parents": ", ".join(map(str, record["parents"]))}
        for record in records
    ]


def fact_lines(run: Run) -> Iterator[tuple[str, str]]:
    """What was chosen and how it went, as (name, text)."""
    config, summary = run.config, run.summary or {}
    yield "system", f"{config.system}, preset {config.preset}"
    if config.strategy is not None:
        yield "strategy", config.strategy
    if config.data_name is not None:
        share = config.source.get("validation")
        held_out = "" if not isinstance(share, float) else f", {share:.0%} of the training images for validation"
        yield "data", f"{config.data_name}{held_out}"
    yield (
        "objectives",
        ", ".join(f"{name} ({'max' if weight > 0 else 'min'})" for name, weight in config.objectives.items()),
    )
    limits = {"parameters": config.limits.parameters, "multiply-adds": config.limits.multiply_adds}
    if config.limits:
        yield "limits", ", ".join(f"at most {limit:,} {name}" for name, limit in limits.items() if limit is not None)
    records = [record for record in run.records() if record["phase"] == "search"]
    told = [record for record in records if "status" in record]
    count = {status: sum(record["status"] == status for record in told) for status in ("failed", "rejected")}
    rejected = summary.get("rejected", count["rejected"])
    reused = sum(bool(record["reused"]) for record in told)
    yield "evaluations", (f"{len(told) - count['rejected']} ({reused} reused, {count['failed']} failed; {rejected} "
                          "proposals rejected by the limits)")  # fmt: skip
    epochs, seconds = (sum(record["cost"][name] for record in told) for name in ("epochs", "seconds"))
    yield "cost of the search", f"{epochs} epochs, {seconds:.0f} s of evaluation"
    if summary:
        yield "run time", f"{summary['wall_s']:.0f} s; the search ended after {summary['ended_because']}"
    yield "machine", f"{config.workers} worker{'s' * (config.workers > 1)} on {config.device} in {config.precision}"
    yield "seed", str(config.seed)


def individual_lines(found: Found) -> Iterator[str]:
    """One individual: code, values, cost, parents, curve, and its network."""
    record, run = found.record, found.run
    yield f"individual {found.id} of {run.directory}: {found.code}"
    if "status" not in record:
        yield "still being evaluated"
    elif record["status"] == "failed" or record["status"] == "rejected":
        yield f"{record['status']}: {record['error']}"
    else:
        yield ", ".join(f"{name} {shown(name, value)}" for name, value in found.values.items())
    made = f"made by {record['operator']}"
    if record["parents"]:
        made += " from " + ", ".join(f"{parent} ({brief(run[parent].code, 60)})" for parent in record["parents"])
    yield made + (f", generation {record['generation']}" if record["generation"] is not None else "")
    if lineage := record.get("lineage"):
        begun = "drawn" if lineage["from"] is None else f"inherited from {lineage['from']}"
        copied = f" ({lineage['copied']} of {lineage['tensors']} tensors)" * (lineage.get("copied") is not None)
        yield f"weights {begun}{copied}, trained for {lineage['epochs']} epochs, ancestors included"
    if record.get("warning"):
        yield f"warning: {record['warning']}"
    if record.get("worker"):
        yield f"evaluated by {record['worker']}"
    if "cost" in record:
        cost = record["cost"]
        yield (
            "reused: the same network had been evaluated"
            if record["reused"]
            else (f"cost {cost['epochs']} epochs, {cost['seconds']:.1f} s")
        )
    if record.get("curve"):
        metric = next(iter(run.config.objectives))
        yield f"{words(metric)} after each epoch {sparkline(record['curve'])} " + ", ".join(
            f"{v:.1%}" if metric.endswith("accuracy") else shown(metric, v) for v in record["curve"]
        )
    if found.folder is not None:
        trained = found.trained()
        yield f"trained in {trained.folder}: test {words(trained.metric)} {shown(trained.metric, trained.test)}"
    if run.untrusted_space and found.folder is None:
        yield f"its network is shown with --trust, which runs {' and '.join(run.untrusted_space)}"
    elif record["role"] != "reference":
        yield ""
        yield str(found.graph)


def sparkline(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with every column that any of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
