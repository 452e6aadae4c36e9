"""evonas export"""

from __future__ import annotations

from math import isnan
from pathlib import Path

import click

from evonas.commands.options import Grouped, Place, trust_option


@click.command(cls=Grouped)
@click.argument("what", metavar="DIR", type=Place())
@click.argument("which", metavar="[ID]", required=False, type=click.IntRange(0))
@click.option("--to", "folder", required=True, type=Place(), help="The folder to make.")
@click.option("--onnx", is_flag=True, help="Also network.onnx (pip install 'evonas[onnx]').")
@trust_option
def command(what: Path, which: int | None, folder: Path, onnx: bool, trust: bool) -> None:
    """Write a trained network as plain PyTorch: the winner of the run in DIR, its individual ID, or the trained network
    in the folder DIR. The folder needs torch and safetensors only."""
    from evonas.commands.opening import trained_network
    from evonas.model.export import export
    from evonas.support.text import words

    trained = trained_network(what, which, trust=trust)
    difference = export(trained, folder, onnx=onnx, trust=trust)
    if isnan(difference):
        click.echo("the outputs were not compared: the network has operations of the user's own, whose recorded source "
                   "is only run with --trust")  # fmt: skip
    else:
        click.echo(f"ok: the exported network gives the same outputs (largest difference {difference:.1g})")
    click.echo(f"weights of {trained.folder}, {trained.worth} test {words(trained.metric)}")
    if trained.preprocessing["pixel"] is None:
        click.echo("the training images went below 0: say in `read` of network.py how pixels become such values")
    for path in sorted(folder.iterdir()):
        click.echo(path)
