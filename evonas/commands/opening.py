"""Which trained network the DIR of a command means, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evonas.model.trained import TrainedNetwork


def trained_network(what: Path, which: int | None = None, *, trust: bool = False) -> TrainedNetwork:
    """The winner of the run in a directory, an individual of it, or the trained network in a folder.

    Raises UserError where there is none.
    """
    from evonas.model.trained import TrainedNetwork
    from evonas.run.store import Run

    if which is None and (TrainedNetwork.exists(what) or (what / "request.json").exists()):
        return TrainedNetwork.open(what)
    run = Run.open(what, trust=trust)
    return (run.best if which is None else run[which]).trained()


def change(trained: TrainedNetwork, edit: str, folder: Path, **options: Any) -> None:
    """Write a trained network after an edit into a folder, and say what became of it."""
    import click

    from evonas.model.editing import edit as edited
    from evonas.model.trained import TrainedNetwork
    from evonas.run.further import run_of

    run = run_of(trained)
    batch = None if run is None or run.task is None else next(run.task.splits("cpu").train[:64].batches())[0]
    of_run = None if run is None else run.directory
    difference = edited(trained, [edit], folder, batch=batch, of_run=of_run, **options)
    new = TrainedNetwork.open(folder)
    if new.tested is None:
        click.echo(f"the changed network gives other outputs (largest difference {difference:.1g}); it has not been "
                   f"tested yet: evonas evaluate {folder}")  # fmt: skip
    else:
        click.echo(f"ok: the changed network gives the same outputs (largest difference {difference:.1g})")
    click.echo(f"{trained.graph.parameters:,} -> {new.graph.parameters:,} parameters, "
               f"{trained.graph.multiply_adds:,} -> {new.graph.multiply_adds:,} multiply-adds")  # fmt: skip
    click.echo(f"to train it on: evonas train {folder}")
