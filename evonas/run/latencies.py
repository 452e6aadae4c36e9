"""The latencies of a run: a table that is measured on this machine before the search, where none is given, and what
networks of the search take against what it has predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evonas.errors import UserError
from evonas.evaluation import Decoder
from evonas.evaluation.limits import Guard, Limits
from evonas.graph import Graph
from evonas.latency import LatencyTable, table
from evonas.reports.progress import passing
from evonas.run.config import LATENCIES
from evonas.support.device import torch_threads
from evonas.support.streams import stream
from evonas.systems.setup import Setup

NETWORKS = 300  # random networks whose operations are measured
CHECKS = 24  # networks that are measured whole, half of them to scale the table, half to say how well it predicts
SHOWN = 30  # networks of a search that are measured in its end
DIGITS = 4


def table_of(
    setup: Setup,
    limits: Limits,
    *,
    networks: int = NETWORKS,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, of: None,
    **how: Any,
) -> LatencyTable:
    """A table of the operations of random networks that keep the limits.

    how   device, precision, batch and threads, as `evonas.training.measuring.measured` takes them
    """
    from evonas.training.measuring import measured

    decoder, toolbox = Decoder(setup.space), setup.strategy.tools(setup.space, stream(seed, "measure"))
    if limits:
        Guard(decoder, limits).decorate(toolbox)
    graphs = [decoder.graph(toolbox.individual()) for _ in range(networks + CHECKS)]
    return measured(graphs[CHECKS:], graphs[:CHECKS], on_step=on_step, **how)


def shown_table_of(setup: Setup, limits: Limits, precision: str, progress: bool, **how: Any) -> LatencyTable:
    """The same, with progress."""
    precision = "float32" if precision == "auto" else precision
    if not progress:
        return table_of(setup, limits, precision=precision, **how)
    with passing() as show:
        return table_of(
            setup,
            limits,
            precision=precision,
            on_step=lambda done, of: show(f"measured {done} of {of} operations"),
            **how,
        )


@contextmanager
def kept_in(directory: Path, begun: bool) -> Iterator[Callable[[Callable[[], LatencyTable]], Path]]:
    """A function from what measures or reads a table to its file in the directory of a run, where it stays as it was
    when the run was begun. The file is deleted where the run cannot be begun."""
    path, made, kept = directory / LATENCIES, not directory.exists(), False

    def place_of(found: Callable[[], LatencyTable]) -> Path:
        nonlocal kept
        if not begun:
            found().write(path)
            kept = True
            table.cache_clear()  # there may have been another one in this place
        return path

    try:
        yield place_of
    except UserError:
        if kept:
            path.unlink()
            if made:
                directory.rmdir()
        raise


def require_same(directory: Path, given: LatencyTable) -> None:
    """Raises UserError where the run in a directory was begun with another table."""
    if LatencyTable.read(directory / LATENCIES).fingerprint != given.fingerprint:
        raise UserError(f"{directory} holds a run with another table of latencies, its {LATENCIES}; go on without "
                        "giving one, or choose another --out")  # fmt: skip


def against_predictions(latencies: LatencyTable, graphs: Iterable[Graph], device: str) -> list[dict[str, float]]:
    """What networks take, and what the table has predicted, in milliseconds; nothing where it is of another machine."""
    from evonas.training.measuring import machine_of, of_network

    if (latencies.device, latencies.machine) != (device, machine_of(device)):
        return []
    with torch_threads(1):
        return [
            {
                "predicted": round(latencies.of(graph), DIGITS),
                "measured": round(of_network(graph, device, latencies.precision, latencies.batch), DIGITS),
            }
            for graph in graphs
        ]
