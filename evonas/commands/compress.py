"""evonas compress"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evonas.commands.options import Count, Duration, Fields, Place, positive, settings_option


@click.command(cls=Fields)
@click.argument("what", metavar="DIR", type=Place())
@click.option("--max-parameters", type=Count(), help="Of the small network, such as 20k.")
@click.option("--max-multiply-adds", type=Count(), help="Of the small network, for one image, such as 2M.")
@click.option("--evaluations", type=positive, default=40, show_default=True, help="Small networks that are tried.")
@click.option("--time", "seconds", type=Duration(), help="For the whole command, in place of a number: 5m, 1h.")
@click.option("--workers", type=positive, help="[default: one a core]")
@click.option("--out", type=Place(), help="[default: DIR/compressed]")
@click.option("--resume", is_flag=True, help="Go on with one that was interrupted.")
@settings_option
def command(
    what: Path, evaluations: int, seconds: float | None, words: tuple[str, ...], out: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Make the winner of the run in DIR smaller: networks that lack some of its layers or have others shrunk, each
    taught by it; the best that keeps the limits is trained to the end, on the run's data."""
    from evonas.commands.output import print_table, show_end
    from evonas.compression import compress, cost
    from evonas.model.trained import TrainedNetwork
    from evonas.reports.progress import new_console
    from evonas.run.budget import Budget
    from evonas.run.store import Run
    from evonas.systems.settings import read_words

    budget = Budget(evaluations if seconds is None else None, seconds=seconds)
    run = compress(what, budget=budget, settings=read_words(words), out=out, **options)
    show_end(run)
    before, after = Run.open(what).best.trained(), TrainedNetwork.open(run.directory / "best")
    print_table(new_console(), cost(before, after), f"{what}, compressed")
    click.echo(f"to take it away: evonas export {run.directory} --to FOLDER")
