"""evonas train"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evonas.commands.options import Fields, data_options, device_options, positive, settings_option, trust_option
from evonas.errors import INTERRUPTED, UserError

if TYPE_CHECKING:
    from evonas.model.trained import TrainedNetwork


@click.command(cls=Fields)
@click.argument("what", metavar="DIR|SYSTEM")
@click.argument("which", metavar="[ID|CODE]", required=False)
@click.option("--front", is_flag=True, help="Of a run, each network that no other one beats in all objectives.")
@click.option("--genotype", help="Of a SYSTEM, a published genotype by its name, in place of CODE.")
@click.option("--recipe", default="final", show_default=True,
              help="final or search, as the run or system has them, or genet-cifar10, resnet-cifar, ...")  # fmt: skip
@click.option("--teacher", metavar="DIR", help="The finished run whose winner teaches, where the recipe distils. "
              "[default: the run's teacher]")  # fmt: skip
@click.option("--epochs", type=positive, help="Train this long; milestones keep their share.")
@click.option("--data", metavar="NAME|PATH", help="[default: the run's; of a system: digits]")
@data_options
@click.option("--preset", help="Of a SYSTEM; the default fits the size of the images.")
@settings_option
@click.option("--all-data", is_flag=True, help="Train on the validation images too, and keep the last epoch.")
@click.option("--out", type=click.Path(), help="[default: DIR/trained/ID, or trained/SYSTEM-DATA-SEED]")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="[default: the run's; of a system: 0]")
@device_options
@trust_option
def command(
    what: str,
    which: str | None,
    front: bool,
    genotype: str | None,
    data: str | None,
    words: tuple[str, ...],
    out: str | None,
    **options: Any,
) -> None:
    """Train one network to the end: the winner of the run in DIR (or individual ID), or CODE of a SYSTEM. With --front,
    every network on the Pareto front of the run.

    After every epoch there is a checkpoint; --resume goes on from it. The epoch that is best on the validation images
    is kept, and the test images are read once, at the end.
    """
    from evonas.api import open_run, train
    from evonas.commands.output import leave, print_table
    from evonas.reports.progress import new_console
    from evonas.reports.tables import trained_rows
    from evonas.support.text import shown
    from evonas.support.text import words as in_words
    from evonas.systems.settings import read_words

    if which is not None and genotype is not None:
        raise UserError("give a code, or --genotype NAME, and not both")
    if front and (which or genotype or out):
        raise UserError("--front trains several networks, each into trained/ID of the run; leave out the id and --out")
    chosen = [str(found.id) for found in open_run(what).front] if front else [which or genotype]
    epochs = 0
    trained: list[TrainedNetwork] = []

    def tell(row: Any) -> None:
        nonlocal epochs
        epochs = row.epoch
        value = "" if row.value is None else f", validation {in_words(row.metric)} {shown(row.metric, row.value)}"
        click.echo(f"epoch {row.epoch}: loss {row.loss:.4f}{value}")

    try:
        for each in chosen:
            if front:
                click.echo(f"individual {each}, {len(trained) + 1} of the {len(chosen)} networks on the front")
            trained.append(train(what, each, data=data, settings=read_words(words), out=out, on_epoch=tell, **options))
    except KeyboardInterrupt:
        leave(f"interrupted after epoch {epochs}; go on with the same command and --resume", INTERRUPTED)
    for network in trained:
        facts, metric = network.facts, network.metric
        kept = (
            f"epoch {facts['epoch']} of {facts['epochs']} kept, test {in_words(metric)} {shown(metric, network.test)}"
        )
        click.echo(f"{facts['code']}: {kept}\nto take it away: evonas export {network.folder} --to FOLDER")
    if front:
        print_table(new_console(), trained_rows(trained), f"the Pareto front of {what}, trained")
