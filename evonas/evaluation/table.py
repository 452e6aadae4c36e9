"""Tables of networks that others have trained, as an evaluator like any other: a look-up by the genome's own key.

Formats: NAS-Bench-101 as an .npz file, the others as comma-separated text with a header, plain or gzipped:

NAS-Bench-201    arch, e12_{c10,c100,in16}_val, e200_{c10,c100,in16}_test in per cent, est_train_s_per_epoch_c10val
  its hardware   index, {c10,c100,in16}_DEVICE_{latency,energy}, help_DEVICE_ms
NAS-Bench-101    key (the first 64 bits of the official graph hash, ascending), test_acc in per cent
NAS-Bench-Macro  arch, test_acc_1, test_acc_2, test_acc_3 in per cent
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evonas.errors import UserError
from evonas.evaluation.candidate import Candidate, Genome
from evonas.evaluation.evaluator import Evaluator, here
from evonas.evaluation.outcome import Outcome
from evonas.genomes.nasbench101 import NASBench101Space
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

    signals     genome's key -> accuracies in per cent, one of which is the signal of a trial
    test        key -> test accuracy in per cent
    seconds     key -> simulated seconds of one query; 1 where the table knows none
    costs       name -> key -> what a network costs, as milliseconds on a device: further objectives, to be minimised
    elsewhere   name of other data -> key -> test accuracy there, in per cent, of which no search learns anything
    """

    space: Space
    signals: Mapping[str, tuple[float, ...]]
    test: Mapping[str, float]
    seconds: Mapping[str, float]
    epochs: int
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    elsewhere: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @cached_property
    def best_test(self) -> float:
        return max(self.test.values())

    @cached_property
    def mean_seconds(self) -> float:
        """What a query takes on average."""
        return sum(self.seconds.values()) / len(self.seconds)

    def signal(self, which: int = 0, costs: Sequence[str] = ()) -> Lookup:
        """The evaluator of a trial that sees this one of the signals and, as further objectives, these costs.

        Raises UserError for a cost that the table does not know.
        """
        for name in costs:
            if name not in self.costs:
                known = ", ".join(self.costs) or "none; give the file of the costs as well"
                raise UserError(f"the table knows no cost {name!r}; it knows {known}")
        return Lookup(self, which, tuple(costs))


@dataclass(frozen=True, eq=False)
class Lookup(Evaluator):
    """Looks a candidate up: the signal as a fraction, its costs, and what a query takes. Nothing is decoded.

    Raises UserError for a genome that the table does not hold.
    """

    table: Table
    which: int
    costs: tuple[str, ...] = ()

    def key(self, genome: Genome) -> str:
        """Under which the table knows a genome."""
        return self.table.space.key(genome)  # type: ignore[attr-defined]

    def identity(self, candidate: Candidate) -> str:
        return self.key(candidate.genome)

    def __call__(self, candidate: Candidate, replicate: int = 0) -> Outcome:
        key = candidate.identity or self.identity(candidate)
        try:
            value = self.table.signals[key][self.which] / 100
        except KeyError:
            raise UserError(f"the table has no {key}; a search needs one of all networks of its space") from None
        costs = [self.table.costs[name][key] for name in self.costs] if self.costs else ()
        return Outcome((value, *costs), epochs=self.table.epochs, seconds=self.table.seconds[key], worker=here())


def nasbench201(path: Path, data: str = "cifar10", hardware: Path | None = None) -> Table:
    """The signal is the validation accuracy after 12 epochs, the worth the test accuracy after 200.

    A query costs 12 epochs and one validation: 12.35 times the table's seconds an epoch, scaled to the data.

    hardware   measurements of the same cells on devices (HW-NAS-Bench: Li et al. 2021; HELP: Lee et al. 2021), which
               become costs: those of the data, by names such as raspi4_latency (ms), eyeriss_energy (mJ)

    Raises UserError for other data, and for a file that is no such table.
    """
    if data not in DATA:
        raise UserError(f"the table knows no data {data!r}; use one of {', '.join(DATA)}")
    short = DATA[data]
    tests = {name: f"e200_{column}_test" for name, column in DATA.items()}
    sheet = Sheet.read(path, "arch", f"e12_{short}_val", tests[data], "est_train_s_per_epoch_c10val")
    scale = SECONDS[data] * (EPOCHS + VALIDATION)
    costs: dict[str, Mapping[str, float]] = {}
    if hardware is not None:
        measured = Sheet.read(hardware, "index", f"{short}_edgegpu_latency")
        cell_of = {row["index"]: cell for cell, (_, row) in sheet.rows.items() if "index" in row}
        if missing := len(sheet.rows) - len(cell_of.keys() & measured.rows.keys()):
            raise UserError(f"{hardware} lacks {missing} cells of {path}; give the file of the same cells")
        for column in measured.columns:
            if column.startswith((f"{short}_", "help_")):
                found = measured.numbers(column)
                costs[column.removeprefix(f"{short}_")] = {cell: found[index] for index, cell in cell_of.items()}
    return Table(
        NASBench201Space(outputs={"cifar10": 10, "cifar100": 100, "imagenet16": 120}[data]),
        {cell: (accuracy,) for cell, accuracy in sheet.accuracies(f"e12_{short}_val").items()},
        sheet.accuracies(tests[data]),
        {cell: scale * each for cell, each in sheet.seconds("est_train_s_per_epoch_c10val").items()},
        epochs=EPOCHS,
        costs=costs,
        elsewhere={
            name: sheet.accuracies(column) for name, column in tests.items() if name != data and column in sheet.columns
        },
    )


def nasbench101(path: Path, data: str = "cifar10") -> Table:
    """The mean test accuracy of three trainings of 108 epochs is both the signal and the worth, because the file has no
    other: a search sees its own target. Raises UserError for other data, and for a file that is no such table."""
    if data != "cifar10":
        raise UserError(f"the table knows no data {data!r}; use cifar10")
    try:
        with _opened(path) as file:
            keys, accuracies = file["key"], file["test_acc"].astype(float)
    except (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no such table: {error}") from None
    if keys.ndim != 1 or keys.shape != accuracies.shape or not len(keys) or keys.dtype.kind not in "iu":
        raise UserError(f"{path} is no such table: it has keys of {keys.dtype} {keys.shape} and accuracies of "
                        f"{accuracies.shape}; give one whole number and one accuracy for each network")  # fmt: skip
    if (keys[1:] <= keys[:-1]).any():
        raise UserError(f"{path} is no such table: its keys do not ascend, each once; sort it by them")
    if (strange := ~((accuracies >= 0) & (accuracies <= 100))).any():
        place = int(strange.argmax())
        raise UserError(f"{path}: test_acc of the key {int(keys[place]):016x} is {accuracies[place]}; give per cent, "
                        "from 0 to 100")  # fmt: skip
    test = ByKey(keys, accuracies)
    signals: Mapping[str, tuple[float, ...]] = ByKey(keys, accuracies[:, None])
    return Table(NASBench101Space(), signals, test, ByKey(keys, np.ones(len(keys))), epochs=108)


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    """An .npz file, opened. Raises ValueError for another one."""
    file = np.load(path)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array; give an .npz file with the arrays key and test_acc")
    return file


class ByKey(Mapping[str, Any]):
    """A column of a large table by its sorted 64-bit keys, which are written as 16 hex digits. A value is a number, or
    a tuple where the column is two-dimensional."""

    def __init__(self, keys: np.ndarray, column: np.ndarray) -> None:
        self._keys, self._column = keys, column

    def __getitem__(self, key: str) -> Any:
        wanted = int(key, 16)
        place = int(np.searchsorted(self._keys, np.uint64(wanted)))
        if place == len(self._keys) or int(self._keys[place]) != wanted:
            raise KeyError(key)
        found = self._column[place].tolist()
        return tuple(found) if isinstance(found, list) else found

    def __iter__(self) -> Iterator[str]:
        return (f"{int(key):016x}" for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def nasbench_macro(path: Path, data: str = "cifar10") -> Table:
    """The signal of a trial is one of three trainings, the worth the mean of all three."""
    if data != "cifar10":
        raise UserError(f"the table knows no data {data!r}; use cifar10")
    columns = ("test_acc_1", "test_acc_2", "test_acc_3")
    sheet = Sheet.read(path, "arch", *columns)
    parts = [sheet.accuracies(column) for column in columns]
    signals = {chain: tuple(part[chain] for part in parts) for chain in sheet.rows}
    test = {key: sum(values) / len(values) for key, values in signals.items()}
    return Table(NASBenchMacroSpace(), signals, test, dict.fromkeys(signals, 1.0), epochs=1)


TABLES: dict[str, Callable[[Path, str], Table]] = {
    "nasbench201": nasbench201, "nasbench101": nasbench101, "nasbench-macro": nasbench_macro,
}  # fmt: skip


def read_table(space: str, path: Path, data: str = "cifar10") -> Table:
    """The table of a space, from a file. Raises UserError where there is none."""
    if space not in TABLES:
        raise UserError(f"there is no table of {space!r}; spaces with tables are {', '.join(TABLES)}")
    return TABLES[space](path, data)


@dataclass(frozen=True)
class Sheet:
    """Comma-separated text with a header.

    rows   by the first of the columns that were asked for: the number of the line, and its cells by column
    """

    path: Path
    columns: Sequence[str]
    rows: Mapping[str, tuple[int, Mapping[str, str]]]

    @classmethod
    def read(cls, path: Path, *columns: str) -> Sheet:
        """Read a file, plain or gzipped. Raises UserError where it has not these columns, is cut off, or names a row
        twice; a byte order mark is skipped."""
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
            reader = csv.DictReader(io.StringIO(text, newline=""))
            lines = [(reader.line_num, row) for row in reader]
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"cannot read the table {path}: {error}") from None
        has = reader.fieldnames or ()
        if missing := [column for column in columns if column not in has]:
            raise UserError(f"{path} is no such table: it has no column {', '.join(missing)}")
        if not lines:
            raise UserError(f"{path} is no such table: it has no rows")
        rows: dict[str, tuple[int, Mapping[str, str]]] = {}
        for number, row in lines:
            if None in row or None in row.values():
                raise UserError(f"{path}, line {number}: it has more or fewer cells than the header; was the file cut "
                                "off?")  # fmt: skip
            key = row[columns[0]]
            if key in rows:
                raise UserError(f"{path}, line {number}: {key} stands in line {rows[key][0]} already")
            rows[key] = number, row
        return cls(path, has, rows)

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
