"""A table of latencies (`evonas.latency`), measured: each operation by itself, and whole networks to check it.

Each time is the shortest of many: neighbours on the machine only add to it, to whole networks more than to operations.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.graph import Graph
from evonas.latency import Join, Key, LatencyTable, Shape, Step, key_of, steps_of
from evonas.modules import seeded
from evonas.network import build
from evonas.operations import Attention
from evonas.ranking import rank_correlation
from evonas.scheduled import finished
from evonas.support.device import torch_threads
from evonas.training.latency import milliseconds

DIGITS = 5


def measured(
    graphs: Iterable[Graph],
    checks: Sequence[Graph],
    *,
    device: str = "cpu",
    precision: str = "float32",
    batch: int = 1,
    threads: int = 1,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> LatencyTable:
    """A table of all that these networks do.

    checks    other networks, which are measured whole: by the first half of them sums are scaled, and the second half
              says how well the table predicts
    batch     images of a forward pass
    threads   of the CPU
    on_step   is told how many of how many operations have been measured

    Raises UserError for fewer than four checks.
    """
    if len(checks) < 4:
        raise UserError(f"{len(checks)} networks are too few to check a table by; use at least 4")
    found = {key_of(step, shape): step for graph in graphs for step, shape in steps_of(graph.simplified())}
    ms: dict[Key, float] = {}
    with torch_threads(threads):
        for number, (key, step) in enumerate(found.items(), 1):
            ms[key] = round(_of_step(step, key[1], device, precision, batch), DIGITS)
            on_step(number, len(found))
        table = LatencyTable(device, machine_of(device), precision, batch, ms)
        whole = np.array([of_network(graph, device, precision, batch) for graph in checks])
    predicted, half = np.array([table.of(graph) for graph in checks]), len(checks) // 2
    scale = float(np.median(whole[:half] / predicted[:half]))
    predicted *= scale
    return replace(
        table,
        scale=round(scale, DIGITS),
        rank_correlation=round(rank_correlation(predicted[half:].tolist(), whole[half:].tolist()), DIGITS),
        error=round(float(np.mean(np.abs(predicted[half:] / whole[half:] - 1))), DIGITS),
    )


def machine_of(device: str) -> str:
    """What a table says of this machine."""
    return torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()


def _of_step(step: Step, shape: Shape, device: str, precision: str, batch: int) -> float:
    if isinstance(step, Join):
        several = [_random(shape, device, batch) for _ in range(step.inputs)]
        joins = {"sum": partial(reduce, torch.add), "concat": partial(torch.cat, dim=1)}
        join = joins.get(step.name) or seeded(Attention(step.inputs).module(shape), seed=0).to(device).eval()
        return milliseconds(join, several, precision=precision, of=min)
    module = finished(seeded(step.module(shape), seed=0)).to(device).eval()
    if len(shape) == 3:
        module = module.to(memory_format=torch.channels_last)
    return milliseconds(module, _random(shape, device, batch), precision=precision, of=min)


def of_network(graph: Graph, device: str, precision: str, batch: int) -> float:
    """Milliseconds for one forward pass of a whole network, as a table predicts them."""
    network = finished(build(graph.simplified(), seed=0)).to(device).to(memory_format=torch.channels_last).eval()
    return milliseconds(network, _random(graph.input_shape, device, batch), precision=precision, of=min)


def _random(shape: Shape, device: str, batch: int) -> Tensor:
    drawn = torch.randn((batch, *shape), generator=torch.Generator().manual_seed(0)).to(device)
    return drawn.to(memory_format=torch.channels_last) if len(shape) == 3 else drawn
