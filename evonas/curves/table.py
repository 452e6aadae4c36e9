"""Tables of learning curves as comma-separated text: one training a row, its values in columns acc_1, acc_2, ...

Columns loss_1, loss_2, ... are mean training losses, acc_0 is the value before the training, which no curve has, and
every other column that holds numbers alone is a feature. This is the form in which Baker et al. (2017,
arXiv:1705.10823) published theirs.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

from evonas.curves.model import Curve
from evonas.errors import UserError

NUMBERED = re.compile(r"(acc|loss)_(\d+)")


def read_curves(path: Path, *, without: tuple[str, ...] = ()) -> list[Curve]:
    """The curves of a file, plain or gzipped, in its order; an empty cell ends a curve.

    without   columns that are no features

    Raises UserError where it cannot be read, has no column acc_1, or has a gap within its columns or a curve.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the curves in {path}: {error}") from None
    if not rows or "acc_1" not in rows[0]:
        raise UserError(f"{path} holds no learning curves: give a row for each, and a header with acc_1, acc_2, ...")
    names = [name for name in rows[0] if not NUMBERED.fullmatch(name) and name not in without]
    columns = {name: [_number(row[name]) for row in rows] for name in names}
    features = {
        name: [value for value in values if value is not None] for name, values in columns.items() if None not in values
    }
    return [
        Curve(
            _numbers(path, place, row, "acc"),
            _numbers(path, place, row, "loss"),
            tuple((name, values[place]) for name, values in features.items()),
        )
        for place, row in enumerate(rows)
    ]


def _numbers(path: Path, place: int, row: dict[str, str], name: str) -> tuple[float, ...]:
    found: list[float] = []
    while (value := _number(row.get(f"{name}_{len(found) + 1}"))) is not None:
        found.append(value)
    filled = (NUMBERED.fullmatch(column) for column, cell in row.items() if cell)
    longest = max((int(each[2]) for each in filled if each and each[1] == name), default=0)
    if len(found) < longest:
        raise UserError(f"{path}, curve {place + 1}: {name}_{len(found) + 1} is no number, but later ones are; give "
                        "every epoch up to the last")  # fmt: skip
    return tuple(found)


def _number(cell: str | None) -> float | None:
    try:
        return float(cell or "")
    except ValueError:
        return None
