"""evonas plot"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Grouped, run_argument, trust_option


@click.command(cls=Grouped)
@run_argument
@trust_option
def command(directory: Path, trust: bool) -> None:
    """Draw the pictures and report.html of the run in DIRECTORY (the latest in runs/, where none is named) anew, also
    while it goes on."""
    from evonas.run.store import Run

    for path in Run.open(directory, trust=trust).plot():
        click.echo(path)
