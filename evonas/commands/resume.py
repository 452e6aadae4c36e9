"""evonas resume"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evonas.commands.options import Duration, Grouped, Place, executor_options, positive, track_option


@click.command(cls=Grouped)
@click.argument("directory", type=Place())
@click.option("--evaluations", type=positive, help="Go on to this many evaluations in all.")
@click.option("--time", "seconds", type=Duration(), help="Go on for this long.")
@click.option("--data", metavar="PATH", help="Where the data of the run lie now.")
@executor_options
@click.option("--profile", is_flag=True, help="Say where the time went, from now on.")
@track_option
def command(
    directory: Path,
    evaluations: int | None,
    seconds: float | None,
    data: str | None,
    workers: int | None,
    executor: str | None,
    hostfile: str | None,
    scheduler: str | None,
    ssh: str,
    slurm: str | None,
    profile: bool,
    track: str | None,
) -> None:
    """Go on with the run in DIRECTORY where it stopped, or take a finished one further.

    Workers and executor are as they were, where nothing else is said.
    """
    from evonas.commands.launching import launched_if_needed
    from evonas.commands.output import show_end
    from evonas.executors.sbatch import read_options
    from evonas.executors.workplace import workplace
    from evonas.run.carrying_out import go_on
    from evonas.run.problem import BY_SCRIPT
    from evonas.run.store import Run
    from evonas.tracking import named

    tracked_by, _ = named.read(track)
    run = Run.open(directory, trust=True)
    run = run if data is None else run.with_data(data)
    run.require_data()
    if evaluations is not None or seconds is not None:
        run = run.extended(evaluations=evaluations, seconds=seconds)
    elif run.finished() and not tracked_by:  # a tracker hears of a finished run by replaying it
        script = "run its script with resume=True and a larger budget"
        how = script if run.config.by_script else f"evonas resume {directory} --evaluations N"
        click.echo(f"{directory} is finished; to go on longer: {how}")
        return
    was = run.config
    name = executor or (None if was.executor == BY_SCRIPT else was.executor)
    if name == "serial" and workers is not None and executor is None:
        name = None
    place: dict[str, Any] = {"executor": name, "workers": workers or was.workers, "device": was.device}
    place |= {"hostfile": hostfile, "scheduler": scheduler, "slurm": slurm}
    if name == was.executor:
        place |= {"hostfile": hostfile or was.hostfile, "scheduler": scheduler or was.scheduler}
        place |= {"slurm": was.slurm | read_options(slurm)}
    launched_if_needed(place | {"ssh": ssh})
    show_end(go_on(run.moved(**workplace(**place), profile=profile or None, track=tracked_by)))
