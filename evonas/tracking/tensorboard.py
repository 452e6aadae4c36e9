"""Event files of TensorBoard: how a phase goes, and a folder for each candidate with its curve and hyperparameters.

DIR/tracking/tensorboard/PHASE          the value of each result and the best so far; a step is a result
DIR/tracking/tensorboard/PHASE/ID-...   one candidate: its learning curve, a step is an epoch; its genome and values

Nothing is written twice when a run is resumed: of a phase, the files say how many results they hold; of a candidate,
each result has a file of its own, which is there as a whole or not at all.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as Line
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from evonas.support.files import write_bytes
from evonas.tracking.candidates import BestSoFar, Candidates, Record
from evonas.tracking.tracker import Event, RunFacts

PREFIX = "events.out.tfevents"  # by which TensorBoard knows its files
VERSION = "brain.Event:2"  # of the format, the first line of each file
CHARTED = ("search", "baseline")  # phases of many candidates, in which their order says something


class TensorBoard:
    """Writes what it hears, as it hears it."""

    def begin(self, run: RunFacts) -> None:
        self.run, self.folder = run, run.folder / "tensorboard"
        self.candidates, self.phases = Candidates(), dict[str, _Phase]()

    def heard(self, event: Event, replayed: bool) -> None:
        record = self.candidates.hear(event)
        if record is None:
            return
        name = record["phase"]
        if name in CHARTED:
            if name not in self.phases:
                self.phases[name] = _Phase(self.folder / name, self.run.objectives)
            self.phases[name].hear(self.candidates.told[name], record, self.run.began + event["t"])
        self._write_candidate(record, self.run.began + event["t"])

    def ended(self, summary: Mapping[str, Any] | None) -> None:
        for phase in self.phases.values():
            phase.file.close()

    def _write_candidate(self, record: Record, time: float) -> None:
        """What this result adds to those told before."""
        file = self.folder / record["phase"] / _called(record) / f"{PREFIX}.{record['results']:010d}.evonas"
        if file.exists():
            return
        first, lines = next(iter(self.run.objectives)), list[Line]()
        series = {f"curve/{first}": record["curve"], "curve/loss": record.get("losses", [])}
        epochs = {name: list(enumerate(values, 1))[record["had"] :] for name, values in series.items()}
        lines += [_line(time, epoch, {name: value}) for name in epochs for epoch, value in epochs[name]]
        results = _by_name(self.run.objectives, record["values"]) | record["measures"]
        results = {f"result/{name}": value for name, value in results.items()}
        told = dict(self.run.answers(record["genome"])) if record["role"] is None else {}
        _, start, end = hparams(told | {"operator": record["operator"]}, results)
        lines += [Line(wall_time=time, summary=start), Line(wall_time=time, summary=end)]
        if results:
            lines.append(_line(time, len(record["curve"]), results))
        buffer = io.BytesIO()
        _write(buffer, [Line(wall_time=time, file_version=VERSION), *lines])
        whole = file.with_name("whole")
        write_bytes(whole, buffer.getvalue())
        os.replace(whole, file)


class _Phase:
    """The file of a phase that this session writes on. A line is written at once, or is cut off by what ended the
    process; then it counts as none, and the next session writes it into its own file."""

    def __init__(self, folder: Path, objectives: Mapping[str, float]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.objectives = objectives
        self.best = BestSoFar(next(iter(objectives.values())))
        self.failed = 0
        before = sorted(folder.glob(f"{PREFIX}.*"))
        self.written = max((Line.FromString(line).step for file in before for line in _lines(file)), default=0)
        self.file = open(folder / f"{PREFIX}.{len(before):010d}.evonas", "ab", buffering=0)  # noqa: SIM115

    def hear(self, step: int, record: Record, time: float) -> None:
        """The result that is the step-th of the phase."""
        first, best = next(iter(self.objectives)), self.best.hear(record)
        self.failed += record["status"] == "failed"
        if step <= self.written:
            return
        values = {f"value/{name}": value for name, value in _by_name(self.objectives, record["values"]).items()}
        values |= {} if best is None else {f"best/{first}": best}
        begins = [Line(wall_time=time, file_version=VERSION)] if self.file.tell() == 0 else []
        _write(self.file, [*begins, _line(time, step, values | {"failed": self.failed})])


def _lines(file: Path) -> Iterable[bytes]:
    return RawEventFileLoader(str(file)).Load()


def _by_name(objectives: Mapping[str, float], values: Sequence[float]) -> dict[str, float]:
    """A final training has a value of the first objective alone."""
    return dict(zip(objectives, values, strict=False))


def _called(record: Record) -> str:
    return f"{record['id']:04d}" + ("" if record["role"] is None else f"-{record['role']}")


def _line(time: float, step: int, values: Mapping[str, float]) -> Line:
    found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return Line(wall_time=time, step=step, summary=Summary(value=found))


def _write(file: Any, lines: Iterable[Line]) -> None:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for line in lines:
        writer.write(line.SerializeToString())
    file.write(buffer.getvalue())
