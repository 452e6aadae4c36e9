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
