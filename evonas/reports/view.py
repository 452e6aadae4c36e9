"""What a notebook shows of a run, of one of its individuals and of a trained network: short fragments of HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evonas.plots.style import png
from evonas.reports import page as html
from evonas.reports.status import lines as status_lines
from evonas.reports.status import status
from evonas.reports.tables import (
    individual_facts,
    judgement_line,
    network_rows,
    smaller,
    summary_rows,
    top,
    verdict,
)
from evonas.support.text import brief, reason, shown, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evonas.model.predict import Predictions
    from evonas.model.trained import TrainedNetwork
    from evonas.run.found import Found
    from evonas.run.store import Run

BEST, ERRORS = 5, 3  # networks and reasons of failures that are shown of a run that has not come to its end
FIRST = 10  # of predictions


def of_run(run: Run) -> str:
    """What came out, or how it stands; the best networks; the course of the search; where everything lies."""
    from evonas.reports.report import title

    records = run.records()
    known = standing(run, records) if run.summary is None else outcome(run)
    return html.fragment([html.heading(title(run)), *known, course(run, records), where(run)])


def standing(run: Run, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """How far a run has come, why evaluations failed, and the best networks so far."""
    failed = [record["error"] or "" for record in records if record.get("status") == "failed"]
    reasons = Counter(error.strip().split("\n")[-1] for error in failed).most_common(ERRORS)
    return [
        html.items(status_lines(run, status(run))),
        html.items(f"{count} failed: {brief(reason)}" for reason, count in reasons),
        html.table("the best so far", network_rows(top(run, BEST), run.config.objectives)),
    ]


def outcome(run: Run) -> list[str]:
    """What came out: the table, and what it is worth."""
    summary = run.summary
    assert summary is not None, "it has come to its end"
    judged = judgement_line(summary["winner"].get("judgement"))
    return [
        html.table("winner and baselines", summary_rows(summary, run.config.objectives)),
        html.items([judged, smaller(run), *verdict(summary)]),
    ]


def where(run: Run) -> str:
    """The report and the trained winner, as far as they are there."""
    report, best = run.directory / "report.html", run.directory / "best"
    facts = {"report": html.link(report)} if report.exists() else {}
    if (best / "training.json").exists():
        facts["trained winner"] = f"{html.link(best)}, opened by <code>run.best.trained()</code>"
    return html.marked_definitions(facts)


def course(run: Run, records: Iterable[Mapping[str, Any]]) -> str:
    """The history of these records; nothing before the first result."""
    from evonas import plots

    records = list(records)
    if not any(record.get("values") for record in records):
        return ""
    return _picture("history", lambda: plots.history(records, objectives=run.config.objectives))


def of_individual(found: Found) -> str:
    """What is known of it, and its network where it can be decoded."""
    from evonas.reports.report import picture_of

    decodes = found.record["role"] != "reference" and (found.folder is not None or not found.run.untrusted_space)
    picture = _picture("network", lambda: picture_of(found)) if decodes else ""
    return html.fragment([html.code(*individual_facts(found)), picture])


def of_trained(trained: TrainedNetwork) -> str:
    """What it is, what it is worth, and its picture."""
    from evonas import plots

    judged = trained.judgement
    facts = {
        "code": trained.facts["code"],
        f"test {words(trained.metric)}": trained.worth,
        "parameters": shown("parameters", trained.graph.parameters),
        "multiply-adds": shown("multiply_adds", trained.graph.multiply_adds),
        "folder": str(trained.folder),
    }
    return html.fragment([
        html.definitions(facts),
        html.paragraphs(judgement_line(judged.to_json())) if judged is not None else "",
        _picture("network", lambda: plots.architecture(trained.graph.simplified(), title=trained.facts["code"])),
    ])  # fmt: skip


def of_predictions(found: Predictions) -> str:
    """The first of them, as a table."""
    heads = found.classes or [f"output {number}" for number in range(found.outputs.shape[1])]
    said = found.said if found.classes else None
    write = "{:.1%}" if found.classes else "{:.6g}"
    rows = [
        {"picture": name} | ({"said": said[at]} if said else {})
        | dict(zip(heads, map(write.format, found.outputs[at]), strict=True))
        for at, name in enumerate(found.pictures[:FIRST])
    ]  # fmt: skip
    left = len(found.pictures) - FIRST
    return html.fragment([
        html.table("predictions", rows),
        html.paragraphs(f"and {left:,} more") if left > 0 else "",
    ])  # fmt: skip


def _picture(name: str, draw: Callable[[], Figure]) -> str:
    try:
        return html.figure(name, png(draw()), "")
    except Exception as error:  # what is shown is whole without it, whatever the drawing stumbles over
        return html.absence(reason(error))
