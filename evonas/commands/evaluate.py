"""evonas evaluate"""

from __future__ import annotations

import json
from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, trust_option
from evonas.errors import UserError


@click.command(cls=Grouped)
@click.argument("what", metavar="DIR", type=Place())
@click.option("--data", metavar="PATH",
              help="A folder with a folder of pictures for each class (of splits, the test part), or an .npz file with "
              "x_test and y_test, or x and y. [default: the run's test split, read at its end]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@trust_option
def command(what: Path, data: str | None, as_json: bool, trust: bool) -> None:
    """What the winner of the run in DIR is worth on other pictures, class by class. DIR may be the folder of any
    trained network too.

    Classes are known by their names: the folders are called as the classes of the network are.
    """
    from evonas.commands.opening import trained_network
    from evonas.commands.output import Unreadable, print_table
    from evonas.data.unseen import labelled
    from evonas.model.predict import classes_of, form_of, judged
    from evonas.reports.judged import confusion_rows, most_wrong, wrong_rows
    from evonas.reports.progress import new_console
    from evonas.reports.tables import class_rows, judgement_line

    trained, unreadable = trained_network(what, trust=trust), Unreadable()
    classes = classes_of(trained)
    if data is None:
        of, found = "test images", trained.judgement
        if found is None:
            raise UserError(f"{trained.folder} has not kept what the network said of its test split; give --data")
    else:
        given = labelled(data, classes, form_of(trained))
        of, found = given.what, judged(trained, given, trust=trust, on_unreadable=unreadable)
        if given.whole and trained.facts["data"] == str(Path(data).expanduser().resolve()):
            click.echo(f"the network was trained on most of these; 'evonas evaluate {what}' judges it on those that it "
                       "has not seen", err=True)  # fmt: skip
    told = found.to_json()
    if as_json:
        about = {"network": str(trained.folder), "code": trained.facts["code"], "data": of}
        click.echo(json.dumps(about | told | {"most_wrong": most_wrong(found)}, indent=2))
    else:
        console = new_console()
        console.print(f"{trained.facts['code']}, trained in {trained.folder}", soft_wrap=True, markup=False)
        print_table(console, class_rows(told), "by class")
        print_table(console, *confusion_rows(found))
        print_table(console, wrong_rows(found), "most surely taken for another class")
        console.print(judgement_line(told, of), soft_wrap=True, markup=False)
    unreadable.end()
