"""The tables of NAS-Bench-201, NAS-Bench-101 and NAS-Bench-Macro."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evonas.errors import UserError
from evonas.evaluation.table.lookup import Table, known
from evonas.evaluation.table.sheet import Sheet
from evonas.genomes.nasbench101 import NASBench101Space
from evonas.genomes.nasbench201 import NASBench201Space
from evonas.genomes.nasbench_macro import NASBenchMacroSpace

DATA = {"cifar10": "c10", "cifar100": "c100", "imagenet16": "in16"}  # names of the data -> columns
SECONDS = {"cifar10": 1.0, "cifar100": 2.0, "imagenet16": 6.07}  # an epoch, in epochs of half the CIFAR-10 images
EPOCHS = {"e12": 12, "e200": 200}  # of each signal; a query costs them, and a validation
VALIDATION = 0.35  # of an epoch
TRAININGS = ("1", "2", "3")  # of NAS-Bench-Macro


def nasbench201(path: Path, data: str = "cifar10", signal: str | None = None, *, hardware: Path | None = None) -> Table:
    """The signal is the validation accuracy after 12 epochs (e12) or 200 (e200), the worth the test accuracy after 200.

    A query costs 12 or 200 epochs and one validation: 12.35 or 200.35 times the table's seconds an epoch, scaled to the
    data.

    hardware   measurements of the same cells on devices (HW-NAS-Bench: Li et al. 2021; HELP: Lee et al. 2021), which
               become costs: those of the data, by names such as raspi4_latency (ms), eyeriss_energy (mJ)

    Raises UserError for other data, another signal, and a file that is no such table or does not have the signal.
    """
    short = DATA[known("data", data, list(DATA))]
    signal = known("signal", signal or "e12", list(EPOCHS))
    tests = {name: f"e200_{column}_test" for name, column in DATA.items()}
    valid, seconds = f"{signal}_{short}_val", "est_train_s_per_epoch_c10val"
    sheet = Sheet.read(path, "arch", *[valid] * (signal == "e12"), tests[data], seconds)
    if valid not in sheet.columns:
        raise UserError(f"{path} does not have the signal {signal}, the column {valid}; use the signal e12, or a table "
                        "with this column")  # fmt: skip
    scale = SECONDS[data] * (EPOCHS[signal] + VALIDATION)
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
        {cell: (accuracy,) for cell, accuracy in sheet.accuracies(valid).items()},
        sheet.accuracies(tests[data]),
        {cell: scale * each for cell, each in sheet.seconds(seconds).items()},
        epochs=EPOCHS[signal],
        costs=costs,
        elsewhere={
            name: sheet.accuracies(column) for name, column in tests.items() if name != data and column in sheet.columns
        },
        data=data,
        shown=f"validation accuracy after {EPOCHS[signal]} epochs",
    )


def nasbench101(path: Path, data: str = "cifar10", signal: str | None = None) -> Table:
    """The mean test accuracy of three trainings of 108 epochs is both the signal and the worth, because the file has no
    other: a search sees its own target. Raises UserError for other data, another signal than `test`, and a file that is
    no such table."""
    known("data", data, ["cifar10"])
    known("signal", signal or "test", ["test"])
    try:
        with _opened(path) as file:
            keys, accuracies = file["key"], file["test_acc"].astype(float)
    except (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no such table: {error}") from None
    if keys.ndim != 1 or keys.shape != accuracies.shape or not len(keys) or keys.dtype.kind not in "iu":
        raise UserError(f"{path} is no such table: it has keys of {keys.dtype} {keys.shape} and accuracies of "
                        f"{accuracies.shape}; give one whole number and one accuracy for each network")  # fmt: skip
    keys = keys.astype(np.uint64)  # signed ones would be compared with a wanted one as floats, which confuse neighbours
    if (keys[1:] <= keys[:-1]).any():
        raise UserError(f"{path} is no such table: its keys do not ascend, each once; sort it by them")
    if (strange := ~((accuracies >= 0) & (accuracies <= 100))).any():
        place = int(strange.argmax())
        raise UserError(f"{path}: test_acc of the key {int(keys[place]):016x} is {accuracies[place]}; give per cent, "
                        "from 0 to 100")  # fmt: skip
    test = ByKey(keys, accuracies)
    signals: Mapping[str, tuple[float, ...]] = ByKey(keys, accuracies[:, None])
    return Table(
        NASBench101Space(), signals, test, ByKey(keys, np.ones(len(keys))), epochs=108, shown="test accuracy"
    )  # fmt: skip


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


def nasbench_macro(path: Path, data: str = "cifar10", signal: str | None = None) -> Table:
    """The signal of a trial is the test accuracy of one of three trainings, drawn by its seed; or of the one that is
    chosen (1, 2 or 3), or their mean. The worth is the mean. Raises UserError for other data, another signal, and a
    file that is no such table."""
    known("data", data, ["cifar10"])
    columns = [f"test_acc_{training}" for training in TRAININGS]
    sheet = Sheet.read(path, "arch", *columns)
    parts = [sheet.accuracies(column) for column in columns]
    signals = {chain: tuple(part[chain] for part in parts) for chain in sheet.rows}
    test = {key: sum(values) / len(values) for key, values in signals.items()}
    shown = "test accuracy of one training"
    if signal is not None and known("signal", signal, [*TRAININGS, "mean"]) == "mean":
        signals, shown = {key: (value,) for key, value in test.items()}, "test accuracy"
    elif signal is not None:
        signals = {key: (values[TRAININGS.index(signal)],) for key, values in signals.items()}
    return Table(NASBenchMacroSpace(), signals, test, dict.fromkeys(signals, 1.0), epochs=1, shown=shown)
