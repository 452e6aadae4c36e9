"""Rows of long measurements, which are appended to a file as they are made, over several sittings if need be."""

import csv
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path: Path, columns: Sequence[str]) -> Iterator[tuple[list[dict[str, str]], Callable[[dict], None]]]:
    """The rows that are there, and what appends and prints another one."""
    known = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("a", newline="") as file:
        table = csv.DictWriter(file, columns)
        if not known:
            table.writeheader()

        def append(row: dict) -> None:
            table.writerow(row)
            file.flush()
            print(row, flush=True)

        yield known, append


def commit() -> str:
    """The commit of the checkout in which this file stands."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
