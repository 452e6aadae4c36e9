"""evonas replay"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evonas.commands.options import Grouped, Place, positive


@click.command(cls=Grouped)
@click.argument("curves", type=Place())
@click.option("--rules", metavar="NAME[:SETTING=VALUE,...],...", help="By name, with settings: asha:eta=3,least=2,"
              "baker. `evonas list` shows them as schedulers. [default: halving, asha, median, last-value and "
              "baker]")  # fmt: skip
@click.option("--trainings", type=positive, help="So many of them, drawn by each seed. [default: all]")
@click.option("--seeds", type=positive, default=5, show_default=True, help="Orders in which the trainings arrive.")
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Choose settings on "
              "others than those that you report.")  # fmt: skip
@click.option("--workers", type=positive, help="[default: one a core]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=Place(), help="Draw what each rule saves and loses into this file.")
def command(curves: Path, as_json: bool, png: Path | None, **options: Any) -> None:
    """Rules that stop trainings early, on learning CURVES that are known to their end: the directory of a run, or a
    CSV file with a training a row and columns acc_1, acc_2, ..."""
    from evonas.commands.output import print_table
    from evonas.comparison.replay import replay_all
    from evonas.plots.style import png as drawn
    from evonas.reports.progress import new_console
    from evonas.support.files import write_bytes

    found = replay_all(curves, **options)
    if png is not None:
        write_bytes(png, drawn(found.figure()))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    console = new_console()
    print_table(console, found.rows(), found.heading)
    if found.stored.seconds == ():
        console.print("The curves do not say how long an epoch takes: what is saved is counted in epochs.")
