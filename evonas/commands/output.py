"""How commands end, and what they print in common."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from evonas.errors import INTERRUPTED


def leave(message: str, code: int) -> NoReturn:
    """One line on stderr, and the exit code."""
    click.echo("evonas: " + " ".join(message.split()), err=True)
    sys.exit(code)


class Unreadable:
    """Tells of each picture that cannot be read, on stderr, and at the end that there were some."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: Exception) -> None:
        self.count += 1
        click.echo(str(error), err=True)

    def end(self) -> None:
        if self.count:
            leave(f"{self.count} of what was given could not be read, as told above", 1)


def print_table(console: Any, rows: Any, title: str) -> None:
    """Rows that name their columns; nothing where there are none."""
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title)
    for column in rows[0]:
        words = column in ("", "code", "made by", "parents", "picture")
        long = column in ("code", "picture")
        table.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=not long)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def print_tables(console: Any, run: Any, title: str) -> None:
    """What a run that has come to its end has found, and the winner class by class."""
    from evonas.reports.tables import class_rows, summary_rows

    print_table(console, summary_rows(run.summary, run.config.objectives), title)
    classes = class_rows(run.summary["winner"].get("judgement"))
    print_table(console, classes, "the winner on the test images, by class")


def print_verdict(console: Any, run: Any) -> None:
    """What that is worth, in sentences."""
    from evonas.reports.tables import judgement_line, smaller, verdict

    judged = judgement_line(run.summary["winner"].get("judgement"))
    for sentence in filter(None, [judged, smaller(run), *verdict(run.summary)]):
        console.print(sentence, soft_wrap=True)


def show_end(run: Any) -> None:
    """The end of a search: a table, or how to go on."""
    from evonas.reports.profile import inside, steering
    from evonas.reports.progress import new_console
    from evonas.reports.tables import stopped_early
    from evonas.support.files import read_json

    if run.interrupted:
        leave(f"interrupted; no finished result is lost: go on with 'evonas resume {run.directory}'", INTERRUPTED)
    console, summary = new_console(), run.summary
    done = f"after {summary['evaluations']} evaluations in {summary['wall_s']:.0f} s; in brackets, 95 % intervals"
    print_tables(console, run, done)
    if summary["failed"]:
        console.print(f"{summary['failed']} of the evaluations failed; journal.jsonl says why")
    if run.config.profile:
        found = read_json(run.directory / "profile.json")
        print_table(console, inside(found), f"inside {found['evaluations']} evaluations")
        print_table(console, steering(found), "the process that steers")
        console.print(f"workers were in evaluations for {found['utilisation']:.1%} of the time, starting them included")
    if run.config.fidelity:
        records = [record for record in run.records() if record["phase"] == "search" and "status" in record]
        epochs = sum(record["cost"]["epochs"] for record in records)
        console.print(f"{stopped_early(records)} were stopped early by {run.config.fidelity}; the search trained "
                      f"{epochs:,} epochs")  # fmt: skip
    if run.config.limits:
        count = summary["rejected"]
        console.print(f"{count} network{' was' if count == 1 else 's were'} over the limits and not trained: at most "
                      f"{', '.join(run.config.limits.told())}")  # fmt: skip
    if len(run.config.objectives) > 1:
        console.print(
            f"{len(run.front)} networks on the Pareto front: evonas show {run.directory} --front", soft_wrap=True
        )
    console.print(f"the winner as PyTorch weights: {run.directory}/best; all pictures: {run.directory}/report.html",
                  soft_wrap=True)  # fmt: skip
    print_verdict(console, run)
