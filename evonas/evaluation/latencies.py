"""A table of latencies on its way to where candidates are evaluated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from evonas.errors import UserError
from evonas.evaluation.limits import Limits
from evonas.evaluation.parcel import Parcel
from evonas.graph import Graph
from evonas.latency import LatencyTable
from evonas.support.files import checksum, read_bytes

OPENED = 2  # tables that a worker keeps


@dataclass(frozen=True)
class Latencies(Parcel):
    """The file of a table."""

    what: ClassVar[str] = "table of latencies"

    @classmethod
    def at(cls, file: str | Path) -> Latencies:
        """As the file is now. Raises UserError where it cannot be read."""
        try:
            return cls(Path(file), checksum(read_bytes(Path(file))))
        except FileNotFoundError:
            raise UserError(f"{file}: no such file; put the table of latencies back") from None

    @classmethod
    def wanted(cls, limits: Limits, objectives: Iterable[str]) -> Latencies | None:
        """The table in which an objective is read; None: latency is no objective, or is measured."""
        return cls.at(limits.latencies) if limits.latencies is not None and "latency" in objectives else None

    @property
    def table(self) -> LatencyTable:
        """As every evaluation of this process has it. Raises WeightsLost where it cannot be read."""
        return _opened(self)

    def of(self, graph: Graph) -> float:
        """What a network takes, in ms. Raises WeightsLost, and NotMeasured for an operation that it does not know."""
        return round(self.table.of(graph), 4)


@lru_cache(maxsize=OPENED)
def _opened(latencies: Latencies) -> LatencyTable:
    return LatencyTable.parse(latencies.fetched(), latencies.file)
