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


def print_table(console: Any, rows: Any, title: str) -> None:
    """Rows that name their columns; nothing where there are none."""
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title)
    for column in rows[0]:
        words = column in ("", "code", "made by", "parents")
        table.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=column != "code")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def show_end(run: Any) -> None:
    """The end of a search: a table, or how to go on."""
    from evonas.reports.profile import inside, steering
    from evonas.reports.progress import new_console
    from evonas.reports.tables import group_rows, smaller, summary_rows, verdict
    from evonas.support.files import read_json

    if run.interrupted:
        leave(f"interrupted; no finished result is lost: go on with 'evonas resume {run.directory}'", INTERRUPTED)
    console, summary = new_console(), run.summary
    title = f"after {summary['evaluations']} evaluations in {summary['wall_s']:.0f} s"
    print_table(console, summary_rows(summary, run.config.objectives), title)
    print_table(console, group_rows(summary), "the winner by class")
    for sentence in filter(None, [*verdict(summary), smaller(run)]):
        console.print(sentence, soft_wrap=True)
    if summary["failed"]:
        console.print(f"{summary['failed']} of the evaluations failed; journal.jsonl says why")
    if run.config.profile:
        found = read_json(run.directory / "profile.json")
        print_table(console, inside(found), f"inside {found['evaluations']} evaluations")
        print_table(console, steering(found), "the process that steers")
        console.print(f"workers were in evaluations for {found['utilisation']:.1%} of the time, starting them included")
    if run.config.limits:
        console.print(f"{summary['rejected']} networks were over the limits and not trained")
    if len(run.config.objectives) > 1:
        console.print(
            f"{len(run.front)} networks on the Pareto front: evonas show {run.directory} --front", soft_wrap=True
        )
    console.print(f"the winner as PyTorch weights: {run.directory}/best; all pictures: {run.directory}/report.html",
                  soft_wrap=True)  # fmt: skip
