"""Which trained network the DIR of a command means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
