"""What may be asked of results on a device: `device` of conftest.py says which one."""

import pytest
import torch

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
