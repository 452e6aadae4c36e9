"""What holds for every process of the tests."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

# one torch thread: two cost more than they give on a busy machine
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import torch

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; runs would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", params=["cpu", *["cuda"] * torch.cuda.is_available()])
def device(request):
    """Where networks are trained and judged: on the CPU, and on a GPU where there is one. `-k cuda` runs those alone.

    A GPU computes float32 in full meanwhile, and its convolutions in one order: tests that compare numbers are about
    evonas, and not about what kernels round (`tests/devices.py` has what may be asked of them).
    """
    if request.param == "cpu":
        yield request.param
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    cudnn.deterministic, cudnn.allow_tf32 = True, False
    yield request.param
    cudnn.deterministic, cudnn.allow_tf32 = before


@pytest.fixture
def registry():
    """What is registered within a test is forgotten behind it."""
    from evonas.operations import OPERATIONS

    before = dict(OPERATIONS)
    yield OPERATIONS
    OPERATIONS.clear()
    OPERATIONS.update(before)


@pytest.fixture
def own(registry):
    """The module of a user's operations, imported anew."""
    spec = importlib.util.spec_from_file_location("own_operations", Path(__file__).with_name("own_operations.py"))
    module = sys.modules["own_operations"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["own_operations"]
