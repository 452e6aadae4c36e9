"""What may be asked of results on a device: `device` of conftest.py says which one."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

LIKE = 1e-3  # of weights after a few steps: what kernels round otherwise stays far below, another seed far above


def agree(one, other, device):
    """Whether two tensors of one device (or of states that were saved from it) are equal: on a CPU to the bit. Of a
    GPU that is not promised (docs/reproducibility.md), since its kernels may add in another order from run to run."""
    if device == "cpu":
        return torch.equal(one, other)
    return torch.allclose(one.double(), other.double(), rtol=LIKE, atol=LIKE)


def like(value, device, *, off=0.03):
    """What a number, or several, must be equal to: on a CPU to the value, on a GPU to about that, `off` at most."""
    return value if device == "cpu" else pytest.approx(value, abs=off)


def asked_for(step, device):
    """The most bytes that are alive at once in a step, above those before it."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    events = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
