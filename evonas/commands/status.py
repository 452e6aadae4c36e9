"""evonas status"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from evonas.commands.options import Grouped, run_argument

EVERY_S = 2.0


@click.command(cls=Grouped)
@run_argument
@click.option("--json", "as_json", is_flag=True, help="As one JSON object a line.")
@click.option("--follow", is_flag=True, help="Again every two seconds, until the run ends.")
def command(directory: Path, as_json: bool, follow: bool) -> None:
    """How the run in DIRECTORY (the latest in runs/, where none is named) stands: workers, evaluations in flight,
    failures, throughput, the best so far."""
    from evonas.reports.status import lines, status
    from evonas.run.store import Run

    while True:
        run = Run.open(directory)
        found = status(run)
        click.echo(json.dumps(found) if as_json else "\n".join(lines(run, found)))
        if not follow or found["state"] != "running":
            return
        time.sleep(EVERY_S)
        if not as_json:
            click.echo()
