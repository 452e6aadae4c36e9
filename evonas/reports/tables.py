"""What a run says of itself and of its individuals, as rows and lines of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import inf, sqrt
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from evonas.judgement import interval
from evonas.ranking import comparable
from evonas.support.text import brief, shown, words

if TYPE_CHECKING:
    from evonas.model.trained import TrainedNetwork
    from evonas.run.found import Found
    from evonas.run.store import Run

CLASSES = 10  # so many are told, of many those with the lowest recall
UNEQUAL = 0.01  # balanced accuracy is told where it differs from the accuracy by so much
BARS = "▁▂▃▄▅▆▇█"


def summary_rows(summary: Mapping[str, Any] | None, objectives: Mapping[str, float]) -> list[dict[str, str]]:
    """The winner beside what it is compared with; nothing while the run has not come to an end."""
    if summary is None:
        return []
    first, metric = next(iter(objectives)), summary["metric"]
    shared = summary.get("by_shared_weights", False) and summary.get("finalists", 1) == 1
    validated = "validation" + ", by shared weights" * shared
    names = {f"validation_{first}": validated, f"as_trained_test_{metric}": "test, as trained",
             f"test_{metric}": "test", "balanced": "test, balanced", first: first, "parameters": "parameters",
             "multiply_adds": "multiply-adds"}  # fmt: skip
    units = {f"as_trained_test_{metric}": metric, f"test_{metric}": metric, f"validation_{first}": first,
             "balanced": "balanced_accuracy"}  # fmt: skip
    rows = [(role, row | _balanced(row, metric)) for role, row in compared(summary)]
    columns = [name for name in names if any(name in row for _, row in rows)]
    _, validation, test = summary["counts"] or (0, 0, 0)
    images = {f"validation_{first}": validation} | dict.fromkeys((f"as_trained_test_{metric}", f"test_{metric}"), test)

    def cell(name: str, row: Mapping[str, Any]) -> str:
        unit = units.get(name, name)
        return shown(unit, row[name]) + _reach(unit, row[name], images.get(name, 0))

    return [
        {"": role.replace("_", " "), "code": brief(row["code"])}
        | {names[name]: cell(name, row) if name in row else "" for name in columns}
        for role, row in rows
    ]


def compared(summary: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The winner and what it is compared with, by role."""
    return [(role, row) for role, row in summary.items() if isinstance(row, dict) and "code" in row]


def _balanced(row: Mapping[str, Any], metric: str | None) -> dict[str, float]:
    judged = row.get("judgement")
    if judged is None or metric == "balanced_accuracy":
        return {}
    return (
        {"balanced": judged["balanced_accuracy"]}
        if abs(judged["balanced_accuracy"] - judged["accuracy"]) >= UNEQUAL
        else {}
    )


def _reach(name: str, value: float | None, count: int) -> str:
    """The interval of an accuracy over so many examples; nothing for other values."""
    if name != "accuracy" or value is None or count < 1:
        return ""
    low, high = interval(value, count)
    return f" ({100 * low:.1f} to {100 * high:.1f})"


def verdict(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the search was worth, in sentences: what it gained, how sure that is, and what was cut short; the last one
    holds it against the network by hand."""
    first, metric = summary["first"], summary["metric"]
    if first is not None:
        name = next(iter(summary["objectives"]))
        value = first.get("of_all", summary["winner"].get(f"validation_{name}", summary["winner"].get(name)))
        split = "the validation split" + " by shared weights" * summary.get("by_shared_weights", False)
        yield (f"The best of the first {first['networks']} networks had {words(name)} {shown(name, first['best'])} on "
               f"{split}, the best of all {summary['evaluations']} {shown(name, value)}.")  # fmt: skip
    if taken := summary.get("latencies"):
        winner = taken["networks"][0]
        missed = ", which is missed" * (winner["measured"] > taken["target"])
        yield (f"The winner takes {shown('latency', winner['measured'])}; {shown('latency', winner['predicted'])} had "
               f"been predicted, and the target was {shown('latency', taken['target'])}{missed}.")  # fmt: skip
    rows = dict(compared(summary))
    evaluations, made = summary["baseline_evaluations"], summary["evaluations"]
    if evaluations is not None and evaluations < made:
        rival = next((role for role in rows if role not in ("winner", "reference")), "the baseline")
        yield f"{words(rival).capitalize()} had time for {evaluations} evaluations, the search for {made}."
    if summary["final_epochs"] and summary["final_epochs"][0] < summary["final_epochs"][1]:
        given, usual = summary["final_epochs"]
        yield f"Final trainings had {given} of {usual} epochs, as the time was limited: the winner may be worth more."
    for role in sorted((role for role in rows if role != "winner"), key=lambda role: role == "reference"):
        against = "the reference by hand" if role == "reference" else role.replace("_", " ")
        found = summary["differences"].get(role)
        sentence = _as_it_is(rows["winner"], rows[role], against, metric) if found is None else _proven(found, against)
        if sentence:
            yield sentence + _sizes(rows["winner"], rows[role])


def _proven(found: Mapping[str, Any], against: str) -> str:
    """By the interval of the difference on the same test images."""
    lead, low, high = (f"{100 * found[name]:+.1f}" for name in ("value", "low", "high"))
    beats = "beats" if found["low"] > 0 else "does not beat"
    noise = "" if found["low"] > 0 else ", more than the noise" if found["high"] < 0 else ", within the noise"
    return f"The winner {beats} {against}: {lead} points ({low} to {high}){noise}"


def _as_it_is(winner: Mapping[str, Any], row: Mapping[str, Any], against: str, metric: str | None) -> str:
    """Of values whose noise is not known."""
    own, other = (each.get(f"test_{metric}") for each in (winner, row))
    if metric is None or own is None or other is None:
        return ""
    return f"On the test split the winner has {words(metric)} {shown(metric, own)}, {against} {shown(metric, other)}"


def _sizes(winner: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    return (f"; {winner['parameters']:,} parameters to {row['parameters']:,}, {winner['multiply_adds']:,} "
            f"multiply-adds to {row['multiply_adds']:,}.")  # fmt: skip


def class_rows(judged: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """A judgement class by class, as `Judgement.to_json` gives it; of many classes, the worst."""
    if judged is None:
        return []
    names, mistaken = list(judged["classes"]), judged["confusion"]

    def row(label: int) -> dict[str, str]:
        found, others = judged["classes"][names[label]], mistaken[label]
        most = (
            max((count, -other) for other, count in enumerate(others) if other != label) if len(names) > 1 else (0, 0)
        )
        return {
            "class": names[label],
            "images": str(found["examples"]),
            "recall": _share(found["recall"]),
            "precision": _share(found["precision"]),
            "F1": _share(found["f1"]),
            "most often taken for": f"{names[-most[1]]} ({most[0]})" if most[0] else "",
        }

    worst = sorted(range(len(names)), key=lambda label: judged["classes"][names[label]]["recall"] or 0.0)
    return [row(label) for label in (worst[:CLASSES] if len(names) > CLASSES else sorted(worst))]


def judgement_line(judged: Mapping[str, Any] | None, of: str = "test images") -> str:
    """What a test says beyond the accuracy, in one line; empty where it says nothing."""
    if judged is None:
        return ""
    low, high = judged["accuracy_interval"]
    return (f"On {judged['examples']:,} {of}: accuracy {judged['accuracy']:.1%} ({100 * low:.1f} to "
            f"{100 * high:.1f}), balanced accuracy {judged['balanced_accuracy']:.1%}, macro F1 "
            f"{judged['macro_f1']:.1%}; {judged['confidence']:.0%} sure in the mean, calibration error "
            f"{100 * judged['calibration_error']:.1f} points.")  # fmt: skip


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def smaller(run: Run) -> str:
    """The smallest network that validation cannot tell from the winner, by one standard error; empty: there is none."""
    first, counts = next(iter(run.config.objectives)), (run.summary or {}).get("counts")
    if counts is None:
        return ""
    best = run.best
    value = best.values[first]
    spread = sqrt(value * (1 - value) / counts[1]) if first == "accuracy" and counts[1] else None
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
    return (f"Within one standard error of the winner's validation, individual {least['id']} has "
            f"{least['measures']['parameters']:,.0f} parameters instead of {size:,.0f}: evonas show {run.directory} "
            f"{least['id']}")  # fmt: skip


def top(run: Run, count: int) -> list[Mapping[str, Any]]:
    """Records of the best networks of the search by the first objective, as the winner is chosen: each genome once, by
    the mean of its evaluations, or by its best one where weights are inherited; of equal ones the smaller first."""
    weight, apart = next(iter(run.config.objectives.values())), run.config.inherit
    evaluations: dict[tuple, list[Mapping[str, Any]]] = {}
    for record in comparable(run.records()):
        evaluations.setdefault(tuple(record["genome"]), []).append(record)

    def one(records: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        if apart:  # then its worth depends on its ancestors
            return max(records, key=lambda record: weight * record["values"][0])
        return {**records[0], "values": [fmean(each) for each in zip(*(r["values"] for r in records), strict=True)]}

    def order(record: Mapping[str, Any]) -> tuple[float, float]:
        return -weight * record["values"][0], record.get("measures", {}).get("parameters", inf)

    return sorted(map(one, evaluations.values()), key=order)[:count]


def trained_rows(networks: Sequence[TrainedNetwork]) -> list[dict[str, str]]:
    """Trained networks with their tests and counts."""
    return [
        {
            "id": str(each.facts["id"]),
            "code": brief(each.facts["code"]),
            f"test {words(each.metric)}": each.worth,
            "parameters": shown("parameters", each.graph.parameters),
            "multiply-adds": shown("multiply_adds", each.graph.multiply_adds),
        }
        for each in networks
    ]


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
    if config.limits:
        yield "limits", ", ".join(f"at most {limit}" for limit in config.limits.told())
    everything = run.records()
    if config.lent is not None:
        yield "supernet", f"lent by {Path(config.lent).parent.parent}; its weights judge"
    for record in (record for record in everything if record["phase"] == "supernet" and "status" in record):
        cost = record["cost"]
        yield "supernet", f"{cost['epochs']} epochs in {cost['seconds']:.0f} s; its weights judge"
    if config.teacher is not None:
        yield "teacher", f"given, {Path(config.teacher).stem[:8]}"
    for record in (record for record in everything if record["phase"] == "teacher" and record.get("values")):
        value, cost = shown(next(iter(config.objectives)), record["values"][0]), record["cost"]
        yield "teacher", (f"{record['measures']['parameters']:,} parameters, {cost['epochs']} epochs in "
                          f"{cost['seconds']:.0f} s, {value} on the validation split")  # fmt: skip
    records = [record for record in everything if record["phase"] == "search"]
    told = [record for record in records if "status" in record]
    count = {status: sum(record["status"] == status for record in told) for status in ("failed", "rejected")}
    rejected = summary.get("rejected", count["rejected"])
    reused = sum(bool(record["reused"]) for record in told)
    yield "evaluations", (f"{len(told) - count['rejected']} ({reused} reused, {count['failed']} failed; {rejected} "
                          "proposals rejected by the limits)")  # fmt: skip
    epochs, seconds = (sum(record["cost"][name] for record in told) for name in ("epochs", "seconds"))
    yield "cost of the search", f"{epochs} epochs, {seconds:.0f} s of evaluation"
    if chosen := [record for record in everything if record["phase"] == "finalists" and record.get("values")]:
        yield "finalists", (f"{len(chosen)} of the best, trained by the final recipe on the training split; "
                            f"#{run.best.id} is the best of them")  # fmt: skip
    if config.fidelity is not None:
        yield "stopped early", f"{stopped_early(told)}, by {config.fidelity}"
    if summary:
        yield "run time", f"{summary['wall_s']:.0f} s; the search ended after {summary['ended_because']}"
    if run.resumed:
        yield "resumed", "after " + ", ".join(f"{seconds:.0f} s" for seconds in run.resumed)
    yield "machine", f"{config.workers} worker{'s' * (config.workers > 1)} on {config.device} in {config.precision}"
    yield "seed", str(config.seed)


def stopped_early(records: Sequence[Mapping[str, Any]]) -> str:
    """How many of these trainings a scheduler has stopped before their end."""
    under = [record for record in records if record.get("reached") and not record["reused"]]
    early = [record for record in under if record["status"] in ("partial", "predicted")]
    return f"{len(early)} of {len(under)} trainings"


def individual_lines(found: Found) -> Iterator[str]:
    """One individual: code, values, cost, parents, curve, and its network."""
    yield from individual_facts(found)
    if found.run.untrusted_space and found.folder is None:
        yield f"its network is shown with --trust, which runs {' and '.join(found.run.untrusted_space)}"
    elif found.record["role"] != "reference":
        yield ""
        yield str(found.graph)


def individual_facts(found: Found) -> Iterator[str]:
    """The same without its network."""
    record, run = found.record, found.run
    yield f"individual {found.id} of {run.directory}: {found.code}"
    if "status" not in record:
        yield "still being evaluated"
    elif record["status"] == "failed" or record["status"] == "rejected":
        yield f"{record['status']}: {record['error']}"
    else:
        yield ", ".join(f"{name} {shown(name, value)}" for name, value in found.values.items())
        if record["status"] in ("partial", "predicted"):
            epochs = f"{record['reached']} of {run.config.settings['search.epochs']} epochs"
            forecast = "; its value is a forecast" * (record["status"] == "predicted")
            yield f"its training was stopped after {epochs} by {run.config.fidelity}{forecast}"
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
        yield f"trained in {trained.folder}: test {words(trained.metric)} {trained.worth}"


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
