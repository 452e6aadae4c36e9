"""evonas predict"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, trust_option


@click.command(cls=Grouped)
@click.argument("what", metavar="DIR", type=Place())
@click.argument("pictures", metavar="PICTURES...", nargs=-1, required=True)
@trust_option
def command(what: Path, pictures: tuple[str, ...], trust: bool) -> None:
    """What the winner of the run in DIR says of PICTURES: files, folders, globs, or .npz files with an array x_test, x
    or x_train. DIR may be the folder of any trained network too.

    Prints a table as CSV: the file, the likeliest class, and the probability of each class. A picture that cannot be
    read is told on standard error, and the exit code is 1.
    """
    from evonas.commands.opening import trained_network
    from evonas.commands.output import Unreadable
    from evonas.model.predict import columns, predictions

    trained, unreadable = trained_network(what, trust=trust), Unreadable()
    found = predictions(trained, pictures, trust=trust, on_unreadable=unreadable)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["file", *columns(trained)])
    for batch in found:
        table.writerows(batch.rows())
        sys.stdout.flush()
    unreadable.end()
