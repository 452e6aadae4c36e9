"""evonas show"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, positive, run_argument, trust_option
from evonas.errors import UserError


@click.command(cls=Grouped)
@run_argument
@click.argument("which", metavar="[ID]", required=False, type=click.IntRange(0))
@click.option("--top", type=positive, help="The best N networks of the search.")
@click.option("--front", is_flag=True, help="The networks that no other one beats in all objectives.")
@click.option("--csv", "as_csv", is_flag=True, help="Every evaluation as CSV.")
@click.option("--png", type=Place(), help="Draw the individual's network into this file.")
@trust_option
def command(
    directory: Path, which: int | None, top: int | None, front: bool, as_csv: bool, png: Path | None, trust: bool
) -> None:
    """What the run in DIRECTORY (the latest in runs/, where none is named) has found so far, or all about its
    individual ID."""
    from evonas.commands.output import print_table, print_tables, print_verdict
    from evonas.plots.style import png as drawn
    from evonas.reports.progress import new_console
    from evonas.reports.report import picture_of
    from evonas.reports.tables import csv_text, fact_lines, individual_lines, network_rows
    from evonas.reports.tables import top as best_of
    from evonas.run.store import Run
    from evonas.support.files import write_bytes

    run = Run.open(directory, trust=trust)
    if as_csv:
        click.echo(csv_text(run.rows()), nl=False)
        return
    if which is not None:
        for line in individual_lines(run[which]):
            click.echo(line)
        if png is not None:
            write_bytes(png, drawn(picture_of(run[which])))
        return
    if png is not None:
        raise UserError("--png draws one individual; say which: evonas show DIR ID --png FILE")
    console = new_console()
    if front:
        records = [found.record for found in run.front]
        print_table(console, network_rows(records, run.config.objectives), f"the Pareto front of {directory}")
        return
    if top is None:
        for name, text in fact_lines(run):
            console.print(f"{name}: {text}", soft_wrap=True)
        if run.summary is not None:
            print_tables(console, run, "")
            print_verdict(console, run)
    print_table(console, network_rows(best_of(run, top or 5), run.config.objectives), f"the best of {directory}")
