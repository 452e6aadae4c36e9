"""The table of NAS-Bench-201 from the official API (`pip install nats_bench`, and its file), for those who have it."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

from evonas.support.files import write_bytes

SETS = {"c10": ("cifar10-valid", "cifar10"), "c100": ("cifar100", "cifar100"), "in16": ("ImageNet16-120",) * 2}
COLUMNS = (("e12", "val"), ("e200", "val"), ("e200", "test"))


def write_table(api: Any, path: Path) -> int:
    """Write the table that `evaluation.table.nasbench201` reads, gzipped; the number of cells.

    api   `nats_bench.create(FILE, "tss", fast_mode=True, verbose=False)`, whose means over all trainings are taken

    The validation accuracies after 12 and 200 epochs are those of the validation part (for CIFAR-10 of the network that
    was trained without it), the test accuracy after 200 epochs is that of the test part.
    """
    text = io.StringIO()
    columns = ["arch", *(f"{column}_{short}_{part}" for column, part in COLUMNS for short in SETS),
               "est_train_s_per_epoch_c10val"]  # fmt: skip
    rows = csv.DictWriter(text, columns, lineterminator="\n")
    rows.writeheader()
    for index, cell in enumerate(api.meta_archs):
        row = {"arch": cell}
        for short, (valid, test) in SETS.items():
            early = api.get_more_info(index, valid, hp="12", is_random=False)
            row[f"e12_{short}_val"] = early["valid-accuracy"]
            late = api.get_more_info(index, valid, hp="200", is_random=False)
            row[f"e200_{short}_val"] = late["valid-accuracy"]
            row[f"e200_{short}_test"] = api.get_more_info(index, test, hp="200", is_random=False)["test-accuracy"]
            if short == "c10":
                row["est_train_s_per_epoch_c10val"] = early["train-per-time"]
        rows.writerow(row)
    write_bytes(path, gzip.compress(text.getvalue().encode(), mtime=0))
    return len(api.meta_archs)
