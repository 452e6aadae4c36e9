"""Modules that are called as wandb is."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import evonas
from evonas.genomes.genet import DIGITS
from evonas.tracking.logged import Logged


class Module(SimpleNamespace):
    """Remembers its calls."""

    def __init__(self):
        self.runs = []

    def init(self, project, name=None, group=None, config=None):
        self.runs.append({"project": project, "group": group, "config": config, "logged": [], "finished": 0})

    def log(self, values, step=None):
        self.runs[-1]["logged"].append((step, values))

    def finish(self):
        self.runs[-1]["finished"] += 1


def search(out, track, budget=6):
    return evonas.search(DIGITS, evaluate=sum, budget=budget, out=out, track=track, settings={"population": 3},
                         workers=1, progress=False, report=False, resume=True)  # fmt: skip


def test_each_result_is_logged_at_its_step_with_the_best_so_far(tmp_path):
    module = Module()
    run = search(tmp_path / "run", Logged(module))
    (made,) = module.runs
    values = [record["values"][0] for record in run.records()]
    assert [step for step, _ in made["logged"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [logged["fitness"] for _, logged in made["logged"][:6]] == values
    assert [logged["best_fitness"] for _, logged in made["logged"][:6]] == [max(values[: n + 1]) for n in range(6)]
    assert made["logged"][6][1]["winner_fitness"] == max(values)
    assert (made["project"], made["group"], made["finished"]) == ("evonas", "run", 1)
    assert made["config"]["settings"]["strategy.population"] == 3


def test_a_session_that_goes_on_logs_all_of_the_run(tmp_path):
    module = Module()
    search(tmp_path / "run", Logged(module), budget=4)
    search(tmp_path / "run", Logged(module))
    search(tmp_path / "at once", Logged(module))
    _, second, at_once = ([(step, logged.get("id")) for step, logged in made["logged"]] for made in module.runs)
    assert second == at_once == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, None)]


SCRIPT = """
import sys
import evonas
from evonas.genomes.genet import DIGITS

if __name__ == "__main__":
    evonas.search(DIGITS, evaluate=sum, budget=6, out="run", track=sys.argv[1], settings={"population": 3}, workers=1,
                  progress=True, report=False)
"""


def logged_by(name, tmp_path, **environment):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py", name], cwd=tmp_path, env=os.environ | environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout
    return evonas.open_run(tmp_path / "run", DIGITS)


def test_trackio_has_the_results_on_this_machine(tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed: pip install 'evonas[trackio]'")
    place = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    run = logged_by("trackio", tmp_path, **place)
    ask = """
import json
from trackio.sqlite_storage import SQLiteStorage
(run,) = SQLiteStorage.get_runs("evonas")
print(json.dumps([point["fitness"] for point in SQLiteStorage.get_logs("evonas", run) if "fitness" in point]))
"""
    asked = subprocess.run([sys.executable, "-c", ask], env=os.environ | place, capture_output=True, text=True)
    assert json.loads(asked.stdout.splitlines()[-1]) == [record["values"][0] for record in run.records()], asked.stderr


def test_wandb_has_a_run_to_be_sent(tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    run = logged_by("wandb", tmp_path)
    (folder,) = (run.directory / "tracking" / "wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))
