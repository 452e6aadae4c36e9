"""Comma-separated text with a header, plain or gzipped, as most tables are published."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evonas.errors import UserError

Line = tuple[int, Mapping[str, str]]  # its number, and its cells by column


def read_lines(path: Path, *columns: str) -> tuple[Sequence[str], list[Line]]:
    """The names of all columns, and the lines of a file, plain or gzipped. Raises UserError where it has not these
    columns, or is cut off; a byte order mark is skipped."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        lines: list[Line] = [(reader.line_num, row) for row in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read the table {path}: {error}") from None
    has = reader.fieldnames or ()
    if missing := [column for column in columns if column not in has]:
        raise UserError(f"{path} is no such table: it has no column {', '.join(missing)}")
    if not lines:
        raise UserError(f"{path} is no such table: it has no rows")
    for number, row in lines:
        if None in row or None in row.values():
            raise UserError(f"{path}, line {number}: it has more or fewer cells than the header; was the file cut off?")
    return has, lines


@dataclass(frozen=True)
class Sheet:
    """Comma-separated text with a header.

    rows   by the first of the columns that were asked for: the number of the line, and its cells by column
    """

    path: Path
    columns: Sequence[str]
    rows: Mapping[str, Line]

    @classmethod
    def read(cls, path: Path, *columns: str) -> Sheet:
        """Read a file. Raises UserError where it has not these columns, is cut off, or names a row twice."""
        has, lines = read_lines(path, *columns)
        rows: dict[str, Line] = {}
        for number, row in lines:
            key = row[columns[0]]
            if key in rows:
                raise UserError(f"{path}, line {number}: {key} stands in line {rows[key][0]} already")
            rows[key] = number, row
        return cls(path, has, rows)

    def only(self, column: str, cell: str) -> Sheet:
        """The rows that have this cell in this column."""
        return replace(self, rows={key: found for key, found in self.rows.items() if found[1][column] == cell})

    def numbers(
        self, column: str, allowed: Callable[[float], bool] = math.isfinite, wanted: str = "a number"
    ) -> dict[str, float]:
        """The numbers of a column. Raises UserError, with the line, for what is none, or is not allowed."""
        found = {}
        for key, (number, row) in self.rows.items():
            try:
                value = float(row[column])
            except ValueError:
                value = math.nan
            if not allowed(value):
                raise UserError(f"{self.path}, line {number}: {column} is {row[column]!r}; give {wanted}")
            found[key] = value
        return found

    def accuracies(self, column: str) -> dict[str, float]:
        return self.numbers(column, lambda value: 0 <= value <= 100, "per cent, from 0 to 100")

    def seconds(self, column: str) -> dict[str, float]:
        return self.numbers(column, lambda value: 0 < value < math.inf, "seconds, above 0")

    def fractions(self, column: str) -> dict[str, float]:
        return self.numbers(column, lambda value: -1 <= value <= 1, "a similarity, from -1 to 1")

    def negative(self, column: str) -> dict[str, float]:
        return self.numbers(column, lambda value: -math.inf < value <= 0, "a negative loss, at most 0")
