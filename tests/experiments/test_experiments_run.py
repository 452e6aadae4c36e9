"""Every experiment starts at its smallest size and comes to its end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))
LIMIT_S = 280
SMALLEST = {  # of what the usage of a script names: [EVALUATIONS] [FINAL_EPOCHS]
    "DATA": "digits",
    "SYSTEM": "genet",
    "EVALUATIONS": "2",
    "STEPS": "1",
    "EPOCHS": "1",
    "FINAL_EPOCHS": "1",
    "GENOMES": "3",
}
QUICK = {"genet.py", "own_loop.py"}


def arguments(script):
    """The smallest value of each argument in the usage of a script."""
    usage = re.search(rf"python experiments/{script.name}((?: \[\w+\])+)", script.read_text())
    assert usage, f"{script.name} does not say how it is started: `python experiments/{script.name} [EVALUATIONS]`"
    return [SMALLEST[name] for name in re.findall(r"\w+", usage[1])]


@pytest.fixture
def one_core():
    """A script that sees one core evaluates in its own process, and loads torch once."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    os.sched_setaffinity(0, {sorted(before)[mine % len(before)]})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(
    "script",
    [pytest.param(path, id=path.name, marks=[] if path.name in QUICK else [pytest.mark.slow]) for path in SCRIPTS],
)
def test_an_experiment_runs_at_its_smallest_size(script, tmp_path):
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(script), *arguments(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip(), "it prints what it has found"
