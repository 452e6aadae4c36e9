"""What networks take on a device, by a table of their operations: measured once, and then read for every candidate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from evonas import operations
from evonas.errors import UserError
from evonas.graph import Graph, Node
from evonas.operations import JOINS, Operation
from evonas.support.files import json_of, place, read_bytes, write_json
from evonas.support.schema import VERSION, check_version, checked

Shape = tuple[int, ...]
Key = tuple[str, Shape]  # a step as JSON, and the shape of its input


@dataclass(frozen=True)
class Join:
    """The sum, concatenation, or fusion of several inputs at the beginning of a node."""

    name: str
    inputs: int

    def written(self) -> dict[str, Any]:
        return {"kind": self.name, "inputs": self.inputs}


Step = Operation | Join


def steps_of(graph: Graph) -> Iterator[tuple[Step, Shape]]:
    """What a network does, step by step, each with the shape of its input."""
    for node in graph.nodes:
        yield from steps_of_node(graph, node)


def steps_of_node(graph: Graph, node: Node) -> Iterator[tuple[Step, Shape]]:
    if len(node.inputs) > 1:
        yield Join(node.combine, len(node.inputs)), graph.shapes[node.inputs[0].source]
    yield from graph.chain(node)


def key_of(step: Step, shape: Shape) -> Key:
    return json.dumps(step.written()), shape


class Row(Struct):
    """One operation for one shape of input: its milliseconds."""

    operation: dict[str, Any]
    shape: tuple[int, ...]
    ms: float


class Table(Struct):
    """A table as its file has it."""

    schema: int
    device: str
    machine: str
    precision: str
    batch: int
    scale: float
    rank_correlation: float | None
    error: float | None
    rows: list[Row]


class NotMeasured(UserError):
    """A kind of operation of which a table knows nothing."""


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds for one batch, by operation and shape.

    device, machine, precision, batch
                      where and how it was measured
    ms                of each step that was measured
    scale             by which sums of these are multiplied: what whole networks take beside it
    rank_correlation  of predictions with measurements, of networks that were drawn to check the table; None: it is
                      not checked
    error             the mean of their relative errors
    """

    device: str
    machine: str
    precision: str
    batch: int
    ms: dict[Key, float] = field(repr=False)
    scale: float = 1.0
    rank_correlation: float | None = None
    error: float | None = None

    def of(self, graph: Graph) -> float:
        """What a network takes, in milliseconds. Raises NotMeasured for a kind of operation."""
        return self.scale * sum(self.of_step(step, shape) for step, shape in steps_of(graph.simplified()))

    def of_step(self, step: Step, shape: Shape) -> float:
        """What a step takes, in milliseconds that are not yet scaled."""
        known = self.ms.get(key_of(step, shape))
        if known is not None:
            return known
        if step.name not in self._models:
            raise NotMeasured(f"the latency of {step.name} was not measured; make a table for this space (evonas "
                            "measure)")  # fmt: skip
        return float(max(_size(step, shape) @ self._models[step.name], 0.0))

    @cached_property
    def _models(self) -> dict[str, np.ndarray]:
        """For shapes that were not measured: of each kind, how its time grows with the multiply-adds and with the
        numbers that it reads and writes, by least squares without negative weights."""
        from scipy.optimize import nnls

        sizes: dict[str, list[tuple[np.ndarray, float]]] = {}
        for (text, shape), ms in self.ms.items():
            step = _read(json.loads(text))
            sizes.setdefault(step.name, []).append((_size(step, shape), ms))
        return {
            kind: nnls(np.array([size for size, _ in rows]), np.array([ms for _, ms in rows]))[0]
            for kind, rows in sizes.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """Equal for tables that say the same of every network."""
        rows = sorted((text, list(shape), ms) for (text, shape), ms in self.ms.items())
        return blake2b(json.dumps([self.scale, rows]).encode(), digest_size=8).hexdigest()

    def __str__(self) -> str:
        if self.rank_correlation is None or self.error is None:
            return "it was not checked by whole networks"
        return (f"of networks that were measured to check it, it predicts the order by a rank correlation of "
                f"{self.rank_correlation:.2f} and the time within {self.error:.0%} in the mean")  # fmt: skip

    def write(self, path: Path) -> None:
        rows = [{"operation": json.loads(text), "shape": shape, "ms": ms} for (text, shape), ms in self.ms.items()]
        facts = ("device", "machine", "precision", "batch", "scale", "rank_correlation", "error")
        write_json(path, {"schema": VERSION} | {name: getattr(self, name) for name in facts} | {"rows": rows})

    @classmethod
    def read(cls, path: str | Path) -> LatencyTable:
        """Raises UserError where there is no table."""
        try:
            return cls.parse(read_bytes(place(path)), path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make a table of latencies with evonas measure") from None

    @classmethod
    def parse(cls, content: bytes, path: str | Path) -> LatencyTable:
        """The table that a file holds. Raises UserError, which names its path, where it holds none."""
        data = json_of(content, Path(path))
        check_version(data, str(path))
        found = checked(data, Table, str(path))
        ms = {(json.dumps(row.operation), tuple(row.shape)): row.ms for row in found.rows}
        return cls(found.device, found.machine, found.precision, found.batch, ms, found.scale,
                   found.rank_correlation, found.error)  # fmt: skip


@lru_cache(maxsize=8)
def table(path: str) -> LatencyTable:
    """The table of a file, read once."""
    return LatencyTable.read(path)


def _read(plain: dict[str, Any]) -> Step:
    """A step from its plain form. Raises UserError for an operation that is not known here."""
    if plain["kind"] in JOINS:
        return Join(plain["kind"], plain["inputs"])
    return operations.from_json(plain)


def _size(step: Step, shape: Shape) -> np.ndarray:
    """What a step costs: itself, multiply-adds, and numbers read and written, in millions."""
    if isinstance(step, Join):
        return np.array([1.0, 0.0, 1e-6 * step.inputs * prod(shape)])
    return np.array([1.0, 1e-6 * step.multiply_adds(shape), 1e-6 * (prod(shape) + prod(step.shape(shape)))])
