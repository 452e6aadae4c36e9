"""evonas worker"""

from __future__ import annotations

from pathlib import Path

import click

from evonas.commands.options import Grouped, Place


@click.command(cls=Grouped)
@click.argument("directory", type=Place())
def command(directory: Path) -> None:
    """Work for the search in DIRECTORY, from any host that sees it, until the search ends.

    The search must have been started with --executor remote or slurm. Each call is one worker; Ctrl-C and SIGTERM end
    it, and SIGUSR1 and SIGUSR2 do after its evaluation: what it was doing goes to another worker.
    """
    from evonas.errors import RunError
    from evonas.executors.rendezvous import joining
    from evonas.executors.serving import RootGone

    serving = joining(directory)
    serving.heed_signals()
    click.echo(f"{serving.name} works for {directory}")
    try:
        serving.serve()
    except RootGone as gone:
        raise RunError(f"{gone}; where the run is resumed, join again") from None
    click.echo("the search has ended")
