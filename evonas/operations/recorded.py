"""Operations as JSON. Of one that is not evonas's own it has what is needed where the class is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from evonas.operations.operation import OPERATIONS, Kept, Operation, Shape, is_own, is_own_kind
from evonas.support.call import Call, Printed
from evonas.support.schema import checked

RECORDED = "recorded"


@dataclass(frozen=True, kw_only=True)
class Recorded(Operation):
    """An operation whose class is not there: it can be shown, counted and printed, for an input of one shape.

    given    its fields, as (name, value)
    takes    the shape of its input
    gives    the shape of its output
    source   the call that makes its module
    defined  what must stand before the call, as (name, text)
    """

    name: str  # type: ignore[misc]
    given: tuple[tuple[str, Any], ...]
    text: str
    takes: Shape
    gives: Shape
    weights: int
    products: int
    keeps: Kept  # type: ignore[misc]
    keeps_besides: int  # type: ignore[misc]
    view: bool  # type: ignore[misc]
    keeps_zero: bool  # type: ignore[misc]
    pure: bool  # type: ignore[misc]
    overwrites: bool  # type: ignore[misc]
    overwritable: bool  # type: ignore[misc]
    source: str
    defined: tuple[tuple[str, str], ...]

    def shape(self, shape: Shape) -> Shape:
        if shape != self.takes:
            raise ValueError(f"{self.name} is known for an input of {self.takes} alone, not of {shape}; import the "
                             "file that defines it")  # fmt: skip
        return self.gives

    def module(self, shape: Shape) -> Call:
        return Printed(self.source, dict(self.defined))

    def parameters(self, shape: Shape) -> int:
        return self.weights

    def multiply_adds(self, shape: Shape) -> int:
        return self.products

    def written(self) -> dict[str, Any]:
        return {"kind": self.name, **dict(self.given)}

    def __str__(self) -> str:
        return self.text


def to_json(operation: Operation, shape: Shape | None = None) -> dict[str, Any]:
    """An operation as plain JSON: its kind and its fields.

    shape   of its input; with it, of an operation that is not evonas's own, also what `Recorded` needs
    """
    data = operation.written()
    return data if shape is None or is_own(operation) else data | {RECORDED: _record(operation, shape)}


def from_json(data: Mapping[str, Any]) -> Operation:
    """The inverse of `to_json`; a `Recorded` operation where its class is not there. Raises ValueError for an unknown
    field, for a value of another type, and for an unknown kind of which nothing is recorded."""
    name = data.get("kind", "")
    kind = OPERATIONS.get(name) if isinstance(name, str) else None
    given = {key: _value(value) for key, value in data.items() if key not in ("kind", RECORDED)}
    if kind is None and RECORDED in data and isinstance(name, str) and name.isidentifier():
        record = checked(data[RECORDED], _Record, f"what is recorded of {name}")
        return Recorded(name=name, given=tuple(given.items()), **structs.asdict(record))
    if kind is None or set(given) - {field.name for field in fields(kind)}:
        raise ValueError(f"{data!r:.200} is no operation; kinds are {', '.join(OPERATIONS)}, fields those of the class")
    return checked(given, kind, name) if is_own_kind(kind) else kind(**given)


class _Record(Struct):
    """What `_record` gives."""

    text: str
    takes: Shape
    gives: Shape
    weights: Annotated[int, Meta(ge=0)]
    products: Annotated[int, Meta(ge=0)]
    keeps: Kept
    keeps_besides: int
    view: bool
    keeps_zero: bool
    pure: bool
    overwrites: bool
    overwritable: bool
    source: str
    defined: tuple[tuple[str, str], ...]


def _record(operation: Operation, shape: Shape) -> dict[str, Any]:
    call = operation.module(shape)
    copied = ("keeps", "keeps_besides", "view", "keeps_zero", "pure", "overwrites", "overwritable")
    return {
        "text": str(operation),
        "takes": list(shape),
        "gives": list(operation.shape(shape)),
        "weights": operation.parameters(shape),
        "products": operation.multiply_adds(shape),
        **{name: getattr(operation, name) for name in copied},
        "source": call.source(),
        "defined": [[name, text] for name, text in call.definitions().items()],
    }


def _value(value: Any) -> Any:
    """As it was before JSON made lists of its tuples."""
    return tuple(map(_value, value)) if isinstance(value, list) else value
