"""A task of another kind, the value of a digit by regression, goes everywhere that image classification goes."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest

import evonas
from evonas.commands.main import main
from evonas.data.sources import Source
from evonas.tasks.images import ImageTask
from evonas.tasks.task import Metric


class MeanAbsoluteError(Metric):
    name, sign = "mean_absolute_error", -1

    def each(self, outputs, targets):
        return (outputs[:, 0] - targets).abs()

    def null(self, targets):
        return (targets - targets.median()).abs().mean().item()


@dataclass(frozen=True)
class DigitValue(ImageTask):
    source: Source = field(default_factory=lambda: Source("digits"))
    name, metrics, output_shape = "digit-value", (MeanAbsoluteError(),), (1,)

    def targets(self, labels):
        return labels.float()

    def loss(self, outputs, targets, recipe):
        return (outputs[:, 0] - targets).square().mean()


def test_a_digits_value_is_searched_killed_resumed_reported_trained_and_exported(tmp_path, monkeypatch, capsys):
    command = ["search", "genet", "--data", f"{__file__}:DigitValue", "--out", "run", "--evaluations", "8", "--set",
               "population=4", "search.epochs=2", "search.restarts=1", "final.epochs=6", "search.learning_rate=0.003",
               "final.learning_rate=0.003"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "evonas", *command], cwd=tmp_path)
    journal = tmp_path / "run" / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"told"') < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.chdir(tmp_path)
    for arguments in (["resume", "run"], ["show", "run"], ["show", "run", "0"], ["status", "run"],
                      ["train", "run", "--trust"], ["export", "run", "--to", "out"], ["plot", "run"]):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["evonas", *arguments])
        main()
    assert "test mean absolute error" in capsys.readouterr().out
    run = evonas.open_run("run", trust=True)
    values = [r["values"][0] for r in run.records() if r["phase"] == "search"]
    assert run.best.values == {"mean_absolute_error": min(values)}
    assert run.summary["winner"]["test_mean_absolute_error"] == pytest.approx(run.best.trained().test)
    assert run.best.trained().test < 0.8 * run.task.splits("cpu").test.null  # it has learnt something
    assert json.loads((tmp_path / "run" / "best" / "preprocessing.json").read_text())["classes"] is None
    assert "CLASSES" not in (tmp_path / "out" / "network.py").read_text()
