"""The table of NAS-Bench-Graph: networks over graphs (Qin et al. 2022, arXiv:2206.09166)."""

from __future__ import annotations

from pathlib import Path

from evonas.evaluation.table.lookup import Table, known
from evonas.evaluation.table.sheet import Sheet
from evonas.genomes.nasbench_graph import NASBenchGraphSpace

GRAPHS = ("cora", "citeseer", "pubmed", "arxiv")


def nasbench_graph(path: Path, data: str = "cora", signal: str | None = None) -> Table:
    """The signal is the validation accuracy, the worth the test accuracy; the latency (ms) and the number of weights
    are costs. Raises UserError for other data, another signal than `valid`, and a file that is no such table."""
    known("data", data, GRAPHS)
    known("signal", signal or "valid", ["valid"])
    columns = {"latency": f"{data}_latency_ms", "parameters": f"{data}_params"}
    sheet = Sheet.read(path, "arch", f"{data}_valid", f"{data}_test", *columns.values())
    return Table(
        NASBenchGraphSpace(),
        {network: (accuracy,) for network, accuracy in sheet.accuracies(f"{data}_valid").items()},
        sheet.accuracies(f"{data}_test"),
        dict.fromkeys(sheet.rows, 1.0),
        epochs=1,
        costs={name: sheet.numbers(column) for name, column in columns.items()},
        elsewhere={
            name: sheet.accuracies(f"{name}_test")
            for name in GRAPHS
            if name != data and f"{name}_test" in sheet.columns
        },
        data=data,
    )
