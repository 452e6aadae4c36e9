"""Checkpoints of trainings: whole or absent, and never read where they are not what was written.

A file is the checksum of its content (32 hex digits) and a line break, then what `torch.save` writes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from evonas.errors import RunError
from evonas.support.files import checksum, read_bytes, write_bytes

DIGITS = 32  # of a checksum


def write(path: Path, state: dict[str, Any]) -> None:
    """Raises RunError where it cannot be written."""
    content = packed(state)
    write_bytes(path, checksum(content).encode() + b"\n" + content)


def read(path: Path, advice: str) -> dict[str, Any]:
    """What was written, with all tensors on the CPU: whoever loads them knows where each belongs, and a GPU need not
    hold them twice.

    Raises RunError, with the advice, where the file is damaged. Code in it is never run.
    """
    data = read_bytes(path)
    known, content = data[:DIGITS], data[DIGITS + 1 :]
    if checksum(content).encode() != known:
        raise RunError(f"{path} is damaged: it is not what was written; {advice}")
    return unpacked(content)


def packed(state: dict[str, Any]) -> bytes:
    """A state as bytes, which travel between processes."""
    whole = io.BytesIO()
    torch.save(state, whole)
    return whole.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """The state, with all tensors on the CPU. Code in it is never run."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
