"""evonas tau"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evonas.commands.options import Grouped, Place, positive, trust_option


@click.command(cls=Grouped)
@click.argument("run", type=Place())
@click.option("--genomes", type=click.IntRange(min=2), default=100, show_default=True,
              help="Different genomes, drawn uniformly.")  # fmt: skip
@click.option("--table", type=Place(), help="A table of trained networks; without one, each genome is trained "
              "alone by the run's final recipe, and judged on the validation images.")  # fmt: skip
@click.option("--data", help="Of a table. [default: its first]")
@click.option("--best", type=click.IntRange(min=2), help="So many more genomes, from the best tenth of a table that "
              "has every one of the space. [default: as many]")  # fmt: skip
@click.option("--epochs", type=positive, help="Of each training alone. [default: those of the final recipe]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--workers", type=positive, help="[default: one a core]")
@click.option("--out", type=Place(), help="For numbers, picture and trainings; those that are there are not made "
              "again. [default: RUN/tau]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@trust_option
def command(run: Path, as_json: bool, **options: Any) -> None:
    """How the supernet of RUN ranks random genomes, by Kendall's tau with their true values; beside it the same
    supernet before its training, and the size of networks."""
    from evonas.commands.output import print_table
    from evonas.comparison.tau import tau
    from evonas.reports.progress import new_console

    console = new_console()
    with console.status("") as status:
        found = tau(run, on_step=status.update, **options)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    print_table(console, found.rows(), found.heading)
    for sentence in found.said:
        console.print(sentence, soft_wrap=True)
    console.print(f"all of it: {found.directory}", soft_wrap=True)
