"""A user's own operation, space and strategy, in one file: searched, compared, killed, resumed, inherited, exported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FILE = Path(__file__).with_name("own_everything.py")
SMALL = ["--set", "epochs=1", "final.epochs=1", "--workers", "1", "--no-baseline"]


def evonas(folder, *arguments, code=0):
    command = [sys.executable, "-m", "evonas", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def events(folder, kind):
    lines = (folder / "run" / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_one_file_is_enough_for_an_operation_a_space_and_a_strategy(tmp_path):
    assert sum(bool(line.strip()) for line in FILE.read_text().splitlines()) <= 40
    search = ["search", f"{FILE}:Three", "--strategy", f"{FILE}:Climb:start=3", "--inherit", "--evaluations", 8,
              "--out", "run", *SMALL]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "evonas", *map(str, search)], cwd=tmp_path)
    while not (tmp_path / "run" / "journal.jsonl").exists() or len(events(tmp_path, "told")) < 4:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    evonas(tmp_path, "resume", "run")
    asked = [event for event in events(tmp_path, "asked") if event["phase"] == "search"]
    told = {event["id"]: event for event in events(tmp_path, "told")}
    assert len(asked) == 8
    assert [event["operator"] for event in asked] == ["random"] * 3 + ["mut_decisions"] * 5
    for event in asked[3:]:
        (parent,) = event["parents"]
        assert told[event["id"]]["lineage"]["from"] == parent < event["id"]
    printed = evonas(tmp_path, "export", "run", "--to", "out", "--trust")
    assert printed.startswith("ok: the exported network gives the same outputs")
    done = subprocess.run([sys.executable, "-c", "from network import load; load()"], cwd=tmp_path / "out",
                          env=os.environ | {"PYTHONPATH": ""})  # fmt: skip
    assert done.returncode == 0


def test_its_strategy_stands_beside_others_in_a_comparison(tmp_path):
    evonas(tmp_path, "compare", "--space", f"{FILE}:Three", "--strategies", f"random,{FILE}:Climb", "--seeds", 1,
           "--budget", 2, "--workers", 1, "--set", "epochs=1", "final.epochs=1", "--out", "compared")  # fmt: skip
    found = json.loads((tmp_path / "compared" / "comparison.json").read_text())
    assert list(found["strategies"]) == ["random", f"{FILE}:Climb"]


def test_a_trained_folder_is_looked_at_and_exported_without_the_users_file(tmp_path):
    copy = tmp_path / "mine.py"
    copy.write_text(FILE.read_text())
    evonas(tmp_path, "search", "mine.py:Three", "--evaluations", 2, "--out", "run", "--init", "mish mish mish",
           *SMALL)  # fmt: skip
    copy.unlink()
    printed = evonas(tmp_path, "export", "run/best", "--to", "out")
    assert "were not compared" in printed
    assert "nn.Mish()" in (tmp_path / "out" / "network.py").read_text()
