"""Tables of networks that others have trained, as an evaluator like any other: a look-up by the genome's own key.

lookup.py     a table, its metric, and the evaluator that looks up in it
sheet.py      comma-separated text
nasbench.py   NAS-Bench-201, -101 and -Macro; graphs.py NAS-Bench-Graph; transnas.py TransNAS-Bench-101
recurrent.py  the recurrent cells of NAS-Bench-NLP, a list for predictors, which nothing searches

Formats: NAS-Bench-101 as an .npz file, the others as comma-separated text with a header, plain or gzipped:

NAS-Bench-201       arch, {e12,e200}_{c10,c100,in16}_val, e200_{c10,c100,in16}_test in per cent,
                    est_train_s_per_epoch_c10val
  its hardware      index, {c10,c100,in16}_DEVICE_{latency,energy}, help_DEVICE_ms
NAS-Bench-101       key (the first 64 bits of the official graph hash, ascending), test_acc in per cent
NAS-Bench-Macro     arch, test_acc_1, test_acc_2, test_acc_3 in per cent
NAS-Bench-Graph     arch, DATA_{valid,test} in per cent, DATA_latency_ms, DATA_params
TransNAS-Bench-101  arch, space (micro or macro), TASK_{valid,test}_METRIC, TASK_train_seconds
NAS-Bench-NLP       recipe (JSON), best_val_loss, status
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evonas.errors import UserError
from evonas.evaluation.table.graphs import nasbench_graph
from evonas.evaluation.table.lookup import ACCURACY, Lookup, Metric, Table
from evonas.evaluation.table.nasbench import nasbench101, nasbench201, nasbench_macro
from evonas.evaluation.table.recurrent import Recipes, nasbench_nlp
from evonas.evaluation.table.transnas import transnas_macro, transnas_micro

TABLES: dict[str, Callable[..., Table]] = {
    "nasbench201": nasbench201,
    "nasbench101": nasbench101,
    "nasbench-macro": nasbench_macro,
    "nasbench-graph": nasbench_graph,
    "transnas101-micro": transnas_micro,
    "transnas101-macro": transnas_macro,
}

__all__ = [
    "ACCURACY", "TABLES", "Lookup", "Metric", "Recipes", "Table", "nasbench101", "nasbench201", "nasbench_graph",
    "nasbench_macro", "nasbench_nlp", "read_table", "transnas_macro", "transnas_micro",
]  # fmt: skip


def read_table(space: str, path: Path, data: str | None = None, *, signal: str | None = None) -> Table:
    """The table of a space, from a file, for some data and a signal; None: the usual ones of the space. Raises
    UserError where there is none."""
    if space not in TABLES:
        raise UserError(f"there is no table of {space!r}; spaces with tables are {', '.join(TABLES)}")
    given = {} if data is None else {"data": data}
    return TABLES[space](path, signal=signal, **given)
