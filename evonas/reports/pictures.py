"""All pictures of a run, and the page that holds them, from its journal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas import plots
from evonas.ranking import comparable
from evonas.reports.page import DPI, page
from evonas.reports.tables import fact_lines, network_rows, summary_rows, top
from evonas.support.files import write_bytes, write_text
from evonas.support.text import brief, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evonas.run.store import Found, Run
    from evonas.space import Space

CAPTIONS = {
    "history": "What each evaluation gave, in the order in which they were asked for, and the best so far of each "
    "objective by itself.",
    "front": "What accuracy costs: every network that was evaluated, and those that no other one beats in both of "
    "these, whatever the objectives of the search.",
    "winner": "The winner, from its input to its output, or the cells that it is made of.",
    "lineage": "How the winner came to be, from its founder: what changed in each step, what the first objective "
    "gained, and how many epochs its weights have been trained for, its ancestors' included.",
    "genealogy": "The ancestors of the winner: what made each of them, and what it gained.",
    "learning": "How the strategy learnt: what its networks reached and their running mean, how much it left to "
    "chance, and how often it chose each token where it had to make such a choice.",
    "relaxation": "How the supernet's search became certain, what it gave weight to, and what it derived.",
    "curves": "How the networks of the last population learnt, and the winner beside them.",
    "utilisation": "Which evaluation ran when, and how long evaluations took.",
}


def draw(run: Run) -> list[Path]:
    """Draw plots/*.png and report.html; the paths of what was written. The journal may still be growing.

    A picture that cannot be drawn costs itself alone: the report says why it is missing.
    """
    pictures, missing = {}, {}
    for name, figure in _figures(run).items():
        try:
            pictures[name] = png(figure())
        except Exception as error:  # the run is whole without it, whatever the drawing stumbles over
            missing[name] = reason(error)
    paths = {name: run.directory / "plots" / f"{name}.png" for name in CAPTIONS}
    for name, path in paths.items():
        if name in pictures:
            write_bytes(path, pictures[name])
        else:  # nor does an older one stand for it
            path.unlink(missing_ok=True)
    written = [paths[name] for name in pictures]
    written.append(run.directory / "report.html")
    html = page(
        title=_title(run),
        facts=dict(fact_lines(run)),
        summary=summary_rows(run.summary, run.config.objectives),
        top=network_rows(top(run, 10), run.config.objectives),
        pictures=pictures,
        captions=CAPTIONS,
        missing=missing,
    )
    write_text(written[-1], html)
    return written


def picture_of(found: Found) -> Figure:
    """The network of an individual, or the cells that it is made of."""
    cells = None if found.run.untrusted_space else found.run.space.cells_of(found.code)
    title = f"individual {found.id} of {found.run.directory.name}"
    return (
        plots.architecture(found.graph.simplified(), title=f"{title}: {brief(found.code)}")
        if cells is None
        else plots.cells(cells, title=title)
    )


def png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def _title(run: Run) -> str:
    data = "" if run.config.data_name is None else f" on {Path(run.config.data_name).stem}"
    return f"{run.config.system.rpartition(':')[2]}{data}, seed {run.config.seed}"


def _kinds(space: Space) -> Callable[[Sequence[Any]], list[str]]:
    """The kinds of decision behind a genome's tokens, by the word that a name ends in (normal/3/input2: input)."""
    return lambda genome: [re.findall(r"([a-z_]*)\d*$", decision.name)[0] for decision in space.decisions(genome)]


def _figures(run: Run) -> dict[str, Callable[[], Figure]]:
    """The pictures that there are of a run, by name, each to be drawn when it is called."""
    records = run.records()
    common: dict[str, Any] = {"records": records, "title": _title(run)}
    valued = common | {"objectives": run.config.objectives}
    figures: dict[str, Callable[[], Figure]] = {
        "history": partial(plots.history, **valued),
        "front": partial(plots.front, **valued),
    }
    if comparable(records):
        best = run.best
        if not run.untrusted_space or best.folder is not None:
            figures["winner"] = partial(picture_of, best)
        if run.config.inherit:
            figures["lineage"] = partial(plots.lineage, id=best.id, **valued)
        figures["genealogy"] = partial(plots.genealogy, id=best.id, **valued)
    said = [record["proposal"] for record in records if record["phase"] == "search" and "proposal" in record]
    if any("weights" in each for each in said):
        figures["relaxation"] = partial(plots.relaxation, **common)
    elif said:
        kinds = _kinds(run.space) if not run.untrusted_space and run.space.is_sequence else None
        figures["learning"] = partial(plots.learning, kinds=kinds, **valued)
    if any(record.get("curve") for record in records if record["phase"] == "search"):
        figures["curves"] = partial(plots.curves, **valued)
    figures["utilisation"] = partial(plots.utilisation, workers=run.config.workers, **common)
    return figures
