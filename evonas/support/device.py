"""What a run trains on, by rules that ship with evonas and never by timing: the same seed must give the same search."""

from __future__ import annotations

import ctypes.util
import math
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from evonas.errors import UserError

if TYPE_CHECKING:
    from evonas.graph import Graph

DEVICES = ("auto", "cpu", "cuda")
EXECUTORS = ("serial", "processes", "scoop", "dask", "mpi", "slurm", "remote")
ELSEWHERE = ("slurm", "remote")  # those whose workers have devices that this host may lack
PRECISIONS = ("auto", "float32", "bfloat16")
ALWAYS_FREE = 64 << 20  # bytes: not worth asking for
LIBRARIES = 500_000_000  # bytes
SMALL_SIDE = 16  # of a picture, in pixels


def cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch computes with so many threads; afterwards with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardware(device: str) -> str:
    """What a device is called: the model of the CPU or GPU; of other hosts' GPUs this one knows nothing."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "GPUs of other hosts"
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.M)
    return found[1] if found else platform.processor() or platform.machine()


def memory_of(device: str) -> int:
    """Bytes that trainings may take together: what the GPU or the machine has (or the container may use), less a tenth
    and, on a CPU, half a gigabyte for the libraries."""
    if device == "cuda":
        import torch

        return int(0.9 * torch.cuda.get_device_properties(0).total_memory)
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    allowed = Path("/sys/fs/cgroup/memory.max")
    if allowed.exists() and (text := allowed.read_text(encoding="ascii").strip()).isdigit():
        amounts.append(int(text))
    return max(int(0.9 * min(amounts)) - LIBRARIES, LIBRARIES)


def free_memory() -> int:
    """Bytes that this process may still take on its machine, or in its container."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (info := Path("/proc/meminfo")).exists():
        amounts += [1024 * int(kb) for kb in re.findall(r"^MemAvailable:\s+(\d+)", info.read_text("ascii"), re.M)]
    limit, used, parts = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current", "stat"))
    if limit.exists() and used.exists() and (text := limit.read_text("ascii").strip()).isdigit():
        cached = re.search(r"^file (\d+)", parts.read_text("ascii"), re.M)  # of files: given back where it is needed
        amounts.append(int(text) - int(used.read_text("ascii")) + int(cached[1] if cached else 0))
    return max(min(amounts), 0)


def require_memory(amount: int, what: str, advice: str) -> None:
    """Raises UserError where so many bytes are not to be had: asked before they are used, as a system may end a process
    that takes too many."""
    if amount > ALWAYS_FREE and amount > (free := free_memory()):
        raise UserError(
            f"{what}: {amount / 1e9:.1f} GB of memory are needed, and {free / 1e9:.1f} GB are free; {advice}"
        )


def gpus() -> list[str]:
    """The GPUs of this host that may be used, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def sharing(device: str, workers: int) -> int:
    """How many of the workers on a host share a device of it."""
    return math.ceil(workers / max(len(gpus()), 1)) if device == "cuda" else workers


def choose_device(choice: str, *, elsewhere: bool = False) -> str:
    """cuda where it can be used, else cpu. Raises UserError where cuda is asked for and there is none, unless it is to
    be used elsewhere.

    Where the machine has no library of a driver, torch need not be asked: importing it takes seconds.
    """
    if choice not in DEVICES:
        raise UserError(f"device is {choice!r}; use one of {', '.join(DEVICES)}")
    if elsewhere and choice != "auto":
        return choice
    if choice == "cpu" or (choice == "auto" and ctypes.util.find_library("cuda") is None):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if choice == "cuda":
        raise UserError("device is cuda, but torch finds no GPU; use --device cpu, or install a torch for your driver")
    return "cpu"


def choose_precision(choice: str, device: str, network: Callable[[], Graph]) -> str:
    """bfloat16 where the hardware multiplies in it and it gains, else float32 (measurements: benchmarks/README.md).

    network   gives one of the networks that will be trained: on a CPU, those with depthwise convolutions, which are in
              float32 themselves (`evonas.modules.Grouped`), gain nothing on pictures of fewer than 16 pixels

    Raises UserError for an unknown choice, and where the GPU is another host's.
    """
    if choice not in PRECISIONS:
        raise UserError(f"precision is {choice!r}; use one of {', '.join(PRECISIONS)}")
    if choice != "auto":
        return choice
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("this host has no GPU that could say which precision suits those of the workers; give "
                            "--precision bfloat16 (from the A100 on), or float32")  # fmt: skip
        return "bfloat16" if torch.cuda.get_device_capability() >= (8, 0) else "float32"
    return "bfloat16" if multiplies_in_bfloat16() and not _converts_more_than_it_computes(network()) else "float32"


def _converts_more_than_it_computes(network: Graph) -> bool:
    return network.depthwise and min(network.input_shape[1:], default=SMALL_SIDE) < SMALL_SIDE


def multiplies_in_bfloat16() -> bool:
    """Whether the CPU does; where it does not, bfloat16 is many times slower than float32."""
    features = Path("/proc/cpuinfo")
    known = features.read_text(encoding="utf-8", errors="replace") if features.exists() else ""
    return "avx512_bf16" in known or "amx_bf16" in known
