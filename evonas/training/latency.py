"""How long a network takes for one image, measured."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn

from evonas.training.train import autocast

WARM_UP, REPEATS = 5, 30


@torch.inference_mode()
def latency(network: nn.Module, images: Tensor, *, precision: str = "float32") -> float:
    """Milliseconds for one forward pass of this batch on its device: the median of 30, after 5 to warm up.

    One thread on a CPU, as evaluations run. It is a measurement: it differs from run to run, and neighbours on the
    machine disturb it.
    """
    network.eval()
    took = []
    for number in range(WARM_UP + REPEATS):
        wait(images.device)
        start = time.perf_counter()
        with autocast(images.device, precision):
            network(images)
        wait(images.device)
        if number >= WARM_UP:
            took.append(time.perf_counter() - start)
    return round(1000 * statistics.median(took), 4)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
