"""SCOOP and MPI start the workers around a command: where they have not yet, it starts itself under them."""

from __future__ import annotations

import sys
from typing import Any

import click


def launched_if_needed(options: dict[str, Any]) -> None:
    """Where SCOOP or MPI is asked for and has not started this process, it starts the same command; its end is ours."""
    from evonas.executors.launch import launch, to_be_launched
    from evonas.executors.workplace import workplace
    from evonas.support import files
    from evonas.support.device import choose_device

    if to_be_launched(options["executor"]):
        names = ("executor", "workers", "hostfile", "scheduler", "workers_per_gpu")
        place = {name: options[name] for name in names if name in options}
        found = workplace(**place, device=choose_device(options["device"]))
        hostfile = options["hostfile"]
        hostfile = None if hostfile is None else files.place(hostfile)
        if found["executor"] == "scoop":
            click.echo("SCOOP listens on all network interfaces, and whoever reaches its ports can run code: work in a "
                       "network that you trust", err=True)  # fmt: skip
        root, arguments = "evonas.commands.root", sys.argv[1:]
        sys.exit(launch(found["executor"], root, arguments, workers=found["workers"], hostfile=hostfile,
                        ssh=options["ssh"]))  # fmt: skip
