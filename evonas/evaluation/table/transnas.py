"""The tables of TransNAS-Bench-101: two spaces, seven tasks of vision (Duan et al. 2021, arXiv:2105.11871)."""

from __future__ import annotations

from pathlib import Path

from evonas.errors import UserError
from evonas.evaluation.table.lookup import ACCURACY, Metric, Table, known
from evonas.evaluation.table.sheet import Sheet
from evonas.genomes.transnas import TransNASMacroSpace, TransNASMicroSpace
from evonas.space import Space

SSIM = Metric("SSIM", "")
TASKS: dict[str, tuple[str, Metric]] = {  # official name -> the column of its metric, and what that is
    "class_scene": ("top1", ACCURACY),
    "class_object": ("top1", ACCURACY),
    "jigsaw": ("top1", ACCURACY),
    "segmentsemantic": ("mIoU", Metric("mIoU")),
    "room_layout": ("neg_loss", Metric("negative loss", "")),
    "normal": ("ssim", SSIM),
    "autoencoder": ("ssim", SSIM),
}


def transnas_micro(path: Path, data: str = "class_scene", signal: str | None = None) -> Table:
    """The table of the 4,096 cells."""
    return _transnas(TransNASMicroSpace(), "micro", path, data, signal)


def transnas_macro(path: Path, data: str = "class_scene", signal: str | None = None) -> Table:
    """The table of the 3,256 networks of residual blocks."""
    return _transnas(TransNASMacroSpace(), "macro", path, data, signal)


def _transnas(space: Space, kind: str, path: Path, data: str, signal: str | None) -> Table:
    """The signal is the metric of the task on the validation images, the worth that on the test images; a query costs
    the whole training, in the table's seconds.

    Raises UserError for another task, another signal than `valid`, and a file that is no such table.
    """
    column, metric = TASKS[known("data", data, list(TASKS))]
    known("signal", signal or "valid", ["valid"])
    valid, test, seconds = f"{data}_valid_{column}", f"{data}_test_{column}", f"{data}_train_seconds"
    sheet = Sheet.read(path, "arch", "space", valid, test, seconds).only("space", kind)
    if not sheet.rows:
        raise UserError(f"{path} is no such table: it has no row of the space {kind}")
    read = {"top1": sheet.accuracies, "mIoU": sheet.accuracies, "neg_loss": sheet.negative, "ssim": sheet.fractions}
    return Table(
        space,
        {network: (value,) for network, value in read[column](valid).items()},
        read[column](test),
        sheet.seconds(seconds),
        epochs=1,
        metric=metric,
        data=data,
        shown=f"validation {metric.name}",
    )
