"""Tables of networks that others have trained, as an evaluation like any other: a look-up by the genome's own key.

Formats, as comma-separated text with a header, plain or gzipped:

NAS-Bench-201    arch, e12_{c10,c100,in16}_val, e200_{c10,c100,in16}_test in per cent, est_train_s_per_epoch_c10val
NAS-Bench-Macro  arch, test_acc_1, test_acc_2, test_acc_3 in per cent
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evonas.errors import UserError
from evonas.evaluation import Genome, Outcome
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace
from evonas.space import Space

DATA = {"cifar10": "c10", "cifar100": "c100", "imagenet16": "in16"}  # names of the data -> columns
SECONDS = {"cifar10": 1.0, "cifar100": 2.0, "imagenet16": 6.07}  # an epoch, in epochs of half the CIFAR-10 images
EPOCHS = 12  # of the signal; a query costs them, and a validation
VALIDATION = 0.35  # of an epoch


@dataclass(frozen=True, eq=False)
class Table:
    """What a search may see of each network, and what its winner is worth.

    signals   genome's key -> accuracies in per cent, one of which is the signal of a trial
    test      key -> test accuracy in per cent
    seconds   key -> simulated seconds of one query; 1 where the table knows none
    """

    space: Space
    signals: Mapping[str, tuple[float, ...]]
    test: Mapping[str, float]
    seconds: Mapping[str, float]
    epochs: int

    @property
    def best_test(self) -> float:
        return max(self.test.values())

    def signal(self, which: int) -> TableSignal:
        """The evaluation of a trial that sees this one of the signals."""
        return TableSignal(self, which)


@dataclass(frozen=True, eq=False)
class TableSignal:
    """Looks the genome up: the signal as a fraction, and what it would have cost. Nothing is decoded.

    Raises KeyError for a genome that the table does not hold.
    """

    table: Table
    which: int

    def key(self, genome: Genome) -> str:
        return self.table.space.key(genome)  # type: ignore[attr-defined]

    def __call__(self, genome: Genome, replicate: int = 0) -> Outcome:
        key = self.key(genome)
        value = self.table.signals[key][self.which] / 100
        return Outcome((value,), epochs=self.table.epochs, seconds=self.table.seconds[key])


def nasbench201(path: Path, data: str = "cifar10") -> Table:
    """The signal is the validation accuracy after 12 epochs, the worth the test accuracy after 200.

    A query costs 12 epochs and one validation: 12.35 times the table's seconds an epoch, scaled to the data.
    Raises UserError for other data, and for a file that is no such table.
    """
    if data not in DATA:
        raise UserError(f"the table knows no data {data!r}; use one of {', '.join(DATA)}")
    short = DATA[data]
    rows = _rows(path, "arch", f"e12_{short}_val", f"e200_{short}_test", "est_train_s_per_epoch_c10val")
    scale = SECONDS[data] * (EPOCHS + VALIDATION)
    return Table(
        NASBench201Space(classes={"cifar10": 10, "cifar100": 100, "imagenet16": 120}[data]),
        {row["arch"]: (float(row[f"e12_{short}_val"]),) for row in rows},
        {row["arch"]: float(row[f"e200_{short}_test"]) for row in rows},
        {row["arch"]: scale * float(row["est_train_s_per_epoch_c10val"]) for row in rows},
        epochs=EPOCHS,
    )


def nasbench_macro(path: Path, data: str = "cifar10") -> Table:
    """The signal of a trial is one of three trainings, the worth the mean of all three."""
    if data != "cifar10":
        raise UserError(f"the table knows no data {data!r}; use cifar10")
    columns = ("test_acc_1", "test_acc_2", "test_acc_3")
    rows = _rows(path, "arch", *columns)
    signals = {row["arch"]: tuple(float(row[column]) for column in columns) for row in rows}
    test = {key: sum(values) / len(values) for key, values in signals.items()}
    return Table(NASBenchMacroSpace(), signals, test, dict.fromkeys(signals, 1.0), epochs=1)


TABLES: dict[str, Callable[[Path, str], Table]] = {"nasbench201": nasbench201, "nasbench-macro": nasbench_macro}


def read_table(space: str, path: Path, data: str = "cifar10") -> Table:
    """The table of a space, from a file. Raises UserError where there is none."""
    if space not in TABLES:
        raise UserError(f"there is no table of {space!r}; spaces with tables are {', '.join(TABLES)}")
    return TABLES[space](path, data)


def _rows(path: Path, *columns: str) -> list[dict[str, Any]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the table {path}: {error}") from None
    rows = list(csv.DictReader(text.splitlines()))
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise UserError(f"{path} is no such table: it has no column {', '.join(missing)}")
    return rows
