"""evonas deepen"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, positive, trust_option


@click.command(cls=Grouped)
@click.argument("what", metavar="DIR", type=Place())
@click.argument("place", metavar="[PLACE]", required=False)
@click.argument("kernel", metavar="[KERNEL]", required=False, type=positive)
@click.option("--to", "folder", type=Place(), help="The folder to make.")
@trust_option
def command(what: Path, place: str | None, kernel: int | None, folder: Path | None, trust: bool) -> None:
    """Insert a layer into a trained network: the network computes the same, and can be trained on.

    DIR is a run, whose winner is meant, or the folder of a trained network; PLACE a ReLU, such as stem.relu, behind
    which a convolution with this KERNEL, batch norm and ReLU are inserted; where there are features, a linear layer
    (KERNEL 1). Without a PLACE, the places are listed. Then: evonas train FOLDER.
    """
    from evonas.commands.opening import change, trained_network
    from evonas.morphisms import offers

    trained = trained_network(what, trust=trust)
    if place is None:
        for name, kernels in offers.deeper(trained.graph, (1, 3, 5)).items():
            click.echo(f"{name}  {', '.join(kernels)}")
        return
    if kernel is None or folder is None:
        raise click.UsageError("give the kernel and --to FOLDER, as in: evonas deepen DIR stem.relu 3 --to deeper")
    change(trained, f"deepen:{place}:{kernel}", folder, trust=trust)
