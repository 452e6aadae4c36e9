"""evonas compare"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evonas.commands.options import Fields, Place, positive, settings_option


@click.command(cls=Fields)
@click.option(
    "--space", required=True, help="With a --table, its space, such as nasbench201; or a system, such as genet."
)
@click.option("--table", type=Place(), help="A table of trained networks; without one, networks are "
              "trained.")  # fmt: skip
@click.option("--data", help="cifar10, cifar100 or imagenet16 of a table, or its graph or task; any data for training. "
              "[default: the table's first, or digits]")  # fmt: skip
@click.option("--signal", help="What a search on a table sees: e12 or e200 of nasbench201; 1, 2, 3 or mean of "
              "nasbench-macro. [default: e12; one of three, drawn by the seed]")  # fmt: skip
@click.option("--strategies", default="random,aging,local", show_default=True, metavar="NAME[:SETTING=VALUE,...],...",
              help="By name, with settings, or your own: aging:sample=10,my.py:NAME. `evonas list` shows "
              "them.")  # fmt: skip
@click.option("--seeds", type=positive, default=100, show_default=True, help="Trials of each strategy.")
@click.option("--first-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Choose settings on "
              "others than those of a published table.")  # fmt: skip
@click.option("--budget", default="200", show_default=True, metavar="N|Ns", help="Queries, or seconds of evaluation "
              "(simulated, of a table).")  # fmt: skip
@click.option("--regret", type=float, help="Count queries until the incumbent is this close to the best (points).")
@click.option("--target", type=click.Choice(["test", "signal"]), default="test", show_default=True,
              help="What the regret on a table is counted in.")  # fmt: skip
@click.option("--stop", is_flag=True, help="A trial on a table ends as soon as it has reached the regret.")
@click.option("--free-repeats", is_flag=True, help="A network that was met before costs nothing, and is no query.")
@click.option("--workers", type=positive, help="[default: one a core]")
@settings_option
@click.option("--out", type=Place(), help="[default: comparisons/SPACE-DATA]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--png", type=Place(), help="Draw the regret over queries into this file.")
def command(
    space: str,
    table: Path | None,
    data: str | None,
    words: tuple[str, ...],
    as_json: bool,
    png: Path | None,
    **options: Any,
) -> None:
    """Compare strategies over many seeds, with each other and with one random genome a seed: on a table of trained
    networks, or by training."""
    from evonas.commands.output import print_table
    from evonas.comparison import compare
    from evonas.plots.style import png as drawn
    from evonas.reports.progress import new_console
    from evonas.support.files import write_bytes
    from evonas.systems.settings import read_words

    found = compare(space, table=table, data=data, settings=read_words(words), **options)
    if png is not None:
        write_bytes(png, drawn(found.figure()))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    console = new_console()
    print_table(console, found.rows(), found.heading)
    console.print(f"all of it: {found.directory}", soft_wrap=True)
