"""The report of a run: all pictures, and the page that holds them, from its journal and its trained networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evonas import plots
from evonas.errors import UserError
from evonas.plots.style import png
from evonas.ranking import comparable
from evonas.reports import page as html
from evonas.reports.glossary import code_words, operator_words
from evonas.reports.importance import importance
from evonas.reports.tables import (
    class_rows,
    fact_lines,
    judgement_line,
    network_rows,
    smaller,
    summary_rows,
    top,
    verdict,
)
from evonas.support.files import write_bytes, write_text
from evonas.support.text import brief, reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evonas.judgement import Judgement
    from evonas.run.found import Found
    from evonas.run.store import Run
    from evonas.space import Space

CAPTIONS = {
    "history": "What each evaluation gave, in the order in which they were asked for, and the best so far of each "
    "objective by itself.",
    "front": "What accuracy costs: every network that was evaluated, and those that no other one beats in both of "
    "these, whatever the objectives of the search.",
    "winner": "The winner, from its input to its output, or the cells that it is made of.",
    "confusion": "The winner on the test pictures: how many of each class (row) it took for which (column).",
    "mistakes": "The test pictures that the winner got most wrong: what it said, how sure it was, and what is right.",
    "examples": "Test pictures as they come, with what the winner says of them.",
    "importance": "How much of the differences between networks each decision explains by itself. The black mark is "
    "what chance would explain in 95 of 100 cases; grey bars stay below it. A search that has settled on an answer "
    "leaves little to be explained.",
    "lineage": "How the winner came to be, from its founder: what changed in each step, what the first objective "
    "gained, and how many epochs its weights have been trained for, its ancestors' included.",
    "genealogy": "The ancestors of the winner: what made each of them, and what it reached; of one that is alone in "
    "its row also what it gained, and its code.",
    "learning": "How the strategy learnt: what its networks reached and their running mean, how much it left to "
    "chance, and how often it chose each token where it had to make such a choice.",
    "predictions": "What a predictor thought of each network that it chose, against what came out; and how well it "
    "ranked the last of them. Networks that were chosen because much was expected of them are much alike, and hard to "
    "rank.",
    "latencies": "What networks of the search take on this machine, against what the table had predicted of them: the "
    "winner (star) and the last of the others.",
    "relaxation": "How the supernet's search became certain, what it gave weight to, and what it derived.",
    "curves": "How the networks of the last population learnt, and the winner beside them.",
    "utilisation": "Which evaluation ran when, and how long evaluations took.",
}
COURSE = (
    "history", "front", "learning", "predictions", "relaxation", "latencies", "lineage", "genealogy", "curves",
    "utilisation",
)  # fmt: skip
LISTED = 300  # candidates that the table has, at most: the best
SHOWN = 10  # pictures of each kind


def draw(run: Run) -> list[Path]:
    """Draw plots/*.png and report.html; the paths of what was written. The journal may still be growing.

    A picture that cannot be drawn costs itself alone: the report says why it is missing.
    """
    drawn, missing = {}, {}
    for name, figure in _figures(run).items():
        try:
            drawn[name] = png(figure())
        except Exception as error:  # the run is whole without it, whatever the drawing stumbles over
            missing[name] = reason(error)
    paths = {name: run.directory / "plots" / f"{name}.png" for name in CAPTIONS}
    for name, path in paths.items():
        if name in drawn:
            write_bytes(path, drawn[name])
        else:  # nor does an older one stand for it
            path.unlink(missing_ok=True)
    report = run.directory / "report.html"
    parts = {name: html.figure(name, drawn[name], CAPTIONS[name]) for name in drawn}
    parts |= {name: html.absence(why) for name, why in missing.items()}
    write_text(report, html.page(title(run), _lead(run), _sections(run, parts)))
    return [*(paths[name] for name in drawn), report]


def _lead(run: Run) -> list[str]:
    """What came out, before anything else."""
    if run.summary is None:
        return [html.paragraphs("This run has not come to its end: what follows is what it has found so far.")]
    judged = judgement_line(run.summary["winner"].get("judgement"))
    return [html.items([judged, smaller(run), *verdict(run.summary)])]


def _sections(run: Run, pictures: dict[str, str]) -> dict[str, list[str]]:
    """The parts of the page by heading; `pictures`: those that there are, by name."""

    def of(*names: str, titled: bool = True) -> list[str]:
        found = [(name, pictures[name]) for name in names if name in pictures]
        return [part for name, picture in found for part in (html.subheading(name) * titled, picture)]

    objectives, records = run.config.objectives, top(run, LISTED)
    judged = ((run.summary or {}).get("winner") or {}).get("judgement")
    shown = network_rows(records, objectives)
    return {
        "Winner and baselines": [
            html.table("winner and baselines", summary_rows(run.summary, objectives)),
            html.paragraphs(INTERVALS) if judged else "",
        ],
        "The winner on test pictures": [
            html.table("the winner by class", class_rows(judged)),
            *of("confusion", "mistakes", "examples"),
        ],
        "How to use it": _usage(run),
        "The winner's network": of("winner", titled=False),
        "How the search went": of(*COURSE),
        "Which decisions mattered": of("importance", titled=False),
        "Candidates": [
            html.paragraphs(f"The best {len(shown)} networks of the search, each genome once; press a heading to sort.")
            if shown
            else "",
            html.table("candidates", shown, sortable=True),
        ],
        "What the words mean": _words(run, records),
        "The run": [html.definitions(dict(fact_lines(run)))],
    }


INTERVALS = (
    "Intervals are those of 95 % for the choice of the test pictures. The seed of a training moves an accuracy too, "
    "and each network was trained once."
)


def _usage(run: Run) -> list[str]:
    best = run.directory / "best"
    if not (best / "training.json").exists():
        return []
    return [
        html.code(
            f"evonas predict {run.directory} PICTURES...      # a table (CSV): file, class, probabilities",
            f"evonas evaluate {run.directory} --data FOLDER   # how good it is on other pictures",
            f"evonas export {run.directory} --to winner       # plain PyTorch, which needs nothing of evonas",
            f"evonas train {run.directory} --epochs 200       # train it anew, for longer",
        ),
        html.paragraphs("From Python:"),
        html.code(
            "import evonas", "", f"network = evonas.TrainedNetwork.open({str(best)!r}).network()  # torch.nn.Module"
        ),
    ]


def _words(run: Run, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a code means, and what has made networks."""
    if run.untrusted_space:
        return []
    made = operator_words(record["operator"] for record in records)
    return [
        html.subheading("codes"),
        html.paragraphs(code_words(run.space)),
        html.subheading("made by") if made else "",
        html.definitions(made),
    ]


def picture_of(found: Found) -> Figure:
    """The network of an individual, or the cells that it is made of."""
    cells = None if found.run.untrusted_space else found.run.space.cells_of(found.code)
    title = f"individual {found.id} of {found.run.directory.name}"
    return (
        plots.architecture(found.graph.simplified(), title=f"{title}: {brief(found.code)}")
        if cells is None
        else plots.cells(cells, title=title)
    )


def title(run: Run) -> str:
    data = "" if run.config.data_name is None else f" on {Path(run.config.data_name).stem}"
    return f"{run.config.system.rpartition(':')[2]}{data}, seed {run.config.seed}"


def _kinds(space: Space) -> Callable[[Sequence[Any]], list[str]]:
    """The kinds of decision behind a genome's tokens, by the word that a name ends in (normal/3/input2: input)."""
    return lambda genome: [re.findall(r"([a-z_]*)\d*$", decision.name)[0] for decision in space.decisions(genome)]


def _figures(run: Run) -> dict[str, Callable[[], Figure]]:
    """The pictures that there are of a run, by name, each to be drawn when it is called."""
    records = run.records()
    common: dict[str, Any] = {"records": records, "title": title(run)}
    valued = common | {"objectives": run.config.objectives}
    figures: dict[str, Callable[[], Figure]] = {
        "history": partial(plots.history, **valued),
        "front": partial(plots.front, **valued),
    }
    figures |= _of_tests(run)
    if not run.untrusted_space and run.space.is_sequence:
        first = next(iter(run.config.objectives))
        if shares := importance(records, run.space):
            figures["importance"] = partial(plots.importance, shares, objective=first, title=title(run))
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
    elif any("predicted" in each for each in said):
        figures["predictions"] = partial(plots.predictions, **valued)
    elif said:
        kinds = _kinds(run.space) if not run.untrusted_space and run.space.is_sequence else None
        figures["learning"] = partial(plots.learning, kinds=kinds, **valued)
    if any(record.get("curve") for record in records if record["phase"] == "search"):
        figures["curves"] = partial(plots.curves, **valued)
    if taken := (run.summary or {}).get("latencies"):
        figures["latencies"] = partial(plots.latencies, taken, title=title(run))
    figures["utilisation"] = partial(plots.utilisation, workers=run.config.workers, resumed=run.resumed, **common)
    return figures


def _of_tests(run: Run) -> dict[str, Callable[[], Figure]]:
    """Pictures of what the winner said of the test split, where it says something."""
    judged = ((run.summary or {}).get("winner") or {}).get("judgement")
    if judged is None:
        return {}
    figures: dict[str, Callable[[], Figure]] = {
        "confusion": partial(plots.confusion, judged, title=title(run)),
        "examples": partial(_examples, run, lambda judgement: range(min(SHOWN, len(judgement.targets)))),
    }
    if judged["accuracy"] < 1:
        figures["mistakes"] = partial(_examples, run, lambda judgement: judgement.most_wrong(SHOWN))
    return figures


def _examples(run: Run, choose: Callable[[Judgement], Iterable[int]]) -> Figure:
    """Test pictures with what the winner said of them. Raises UserError where the data or its answers are not there."""
    winner, task = run.finalist(), run.task
    judged = None if winner is None else winner.judgement
    if judged is None or task is None:
        raise UserError("the winner's answers to the test pictures are not there")
    chosen = list(choose(judged))
    images = task.shown(chosen)
    if images is None:
        raise UserError(f"{task.name} has no pictures to be shown")

    def caption(each: int) -> tuple[str, ...]:
        said, right = judged.classes[judged.said[each]], judged.classes[judged.targets[each]]
        sure = f"{said} ({judged.probabilities[each].max():.0%})"
        return (sure,) if said == right else (sure, f"right: {right}")

    return plots.pictures(images, [caption(each) for each in chosen], title=title(run))
