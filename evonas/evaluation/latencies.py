"""A table of latencies on its way to where candidates are evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from evonas.evaluation.parcel import Parcel
from evonas.latency import LatencyTable
from evonas.support.files import checksum, read_bytes

OPENED = 2  # tables that a worker keeps


@dataclass(frozen=True)
class Latencies(Parcel):
    """The file of a table."""

    what: ClassVar[str] = "table of latencies"

    @classmethod
    def of(cls, file: str | Path) -> Latencies:
        """As the file is now. Raises UserError where it cannot be read."""
        return cls(Path(file), checksum(read_bytes(Path(file))))

    @property
    def table(self) -> LatencyTable:
        """As every evaluation of this process has it. Raises WeightsLost where it cannot be read."""
        return _opened(self)


@lru_cache(maxsize=OPENED)
def _opened(latencies: Latencies) -> LatencyTable:
    return LatencyTable.parse(latencies.fetched(), latencies.file)
