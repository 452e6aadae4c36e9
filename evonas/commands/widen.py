"""evonas widen"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, positive, trust_option


@click.command(cls=Grouped)
@click.argument("what", metavar="DIR", type=Place())
@click.argument("place", metavar="[PLACE]", required=False)
@click.argument("channels", metavar="[CHANNELS]", required=False, type=positive)
@click.option("--to", "folder", type=Place(), help="The folder to make.")
@click.option("--new", is_flag=True, help="New channels that count as nothing first, in place of copies.")
@click.option("--noise", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="By which copies differ, as a share of the deviation of the weights.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of what is copied.")
@trust_option
def command(
    what: Path, place: str | None, channels: int | None, folder: Path | None, new: bool, noise: float, seed: int,
    trust: bool,
) -> None:  # fmt: skip
    """Make a layer of a trained network wider: the network computes the same, and can be trained on.

    DIR is a run, whose winner is meant, or the folder of a trained network; PLACE a convolution or linear layer, such
    as stem.conv, CHANNELS its new width. Without a PLACE, the layers that can become wider are listed. Whatever is
    added to the layer's channels becomes wider with them. Then: evonas train FOLDER.
    """
    from evonas.commands.opening import change, trained_network
    from evonas.morphisms import offers
    from evonas.morphisms.morphism import width_of

    trained = trained_network(what, trust=trust)
    if place is None:
        for name, layer in offers.layers(trained.graph):
            click.echo(f"{name}  {width_of(layer)}")
        return
    if channels is None or folder is None:
        raise click.UsageError("give the new width and --to FOLDER, as in: evonas widen DIR stem.conv 32 --to wider")
    kind = "extend" if new else "widen"
    change(trained, f"{kind}:{place}:{channels}", folder, noise=noise, seed=seed, trust=trust)
