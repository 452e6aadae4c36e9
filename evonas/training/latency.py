"""How long a network takes for one image, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from evonas.scheduled import finished
from evonas.training.train import autocast

WARM_UP, REPEATS = 5, 30


def latency(network: nn.Module, images: Tensor, *, precision: str = "float32") -> float:
    """Milliseconds for one forward pass of this batch on its device: the median of 30, after 5 to warm up.

    One thread on a CPU, as evaluations run. It is a measurement: it differs from run to run, and neighbours on the
    machine disturb it. The network is timed in the form that it has after a training.
    """
    return round(milliseconds(finished(network).eval(), images, precision=precision), 4)


@torch.inference_mode()
def milliseconds(
    called: Callable[..., Any],
    *inputs: Any,
    precision: str = "float32",
    of: Callable[[Iterable[float]], float] = statistics.median,
) -> float:
    """The median of 30 calls (or what else `of` makes of them), after 5 to warm up. The first input is a tensor, or
    several, on the device."""
    device = (inputs[0] if isinstance(inputs[0], Tensor) else inputs[0][0]).device
    took = []
    for number in range(WARM_UP + REPEATS):
        wait(device)
        start = time.perf_counter()
        with autocast(device, precision):
            called(*inputs)
        wait(device)
        if number >= WARM_UP:
            took.append(time.perf_counter() - start)
    return 1000 * of(took)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
