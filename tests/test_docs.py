"""Every code block of the docs runs as written, the blocks of a page one after the other in an empty directory; one
that begins with what it needs to be installed, where that is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if "_build" not in page.parts)
BLOCK = re.compile(r"^```(\{?[\w-]*\}?)[^\n]*\n(.*?)^```$", re.S | re.M)


def blocks(page):
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def test_blocks_are_of_kinds_that_are_run():
    kinds = {kind for page in PAGES for kind, _ in blocks(page)}
    assert kinds == {"python", "bash", "text", "{toctree}", "{eval-rst}"}
    unrun = [page for page in PAGES if "text" in dict(blocks(page))]
    # what one machine cannot run, or not without more files
    assert unrun == ["cluster.md", "commands.md", "index.md", "limits.md", "machines.md", "slurm.md"]


READER = """
import json, os, re, subprocess, sys
from importlib.util import find_spec
mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
free = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {free[mine % len(free)]})  # tests run beside each other: a core, and so one worker, for each
names = {"__name__": "__main__"}
for kind, code in json.load(open("blocks.json")):
    print(code, flush=True)
    file = re.match(r"# (\\w+\\.py)\\n", code)
    extras = re.match(r"# pip install 'evonas\\[([\\w,]+)\\]'\\n", code)
    if extras and not all(map(find_spec, extras[1].split(","))):
        continue
    if kind == "bash":
        subprocess.run(["bash", "-e"], input=code, text=True, check=True)
    elif file:
        open(file[1], "w").write(code)
    else:
        exec(code, names)
"""


def runnable(page):
    return [block for block in blocks(page) if block[0] in ("python", "bash")]


def parameter(page):
    """Each command loads torch anew: pages with commands are slow tests."""
    commands = any(kind == "bash" and "evonas " in code for kind, code in runnable(page))
    return pytest.param(page, marks=pytest.mark.slow) if commands else page


@pytest.mark.parametrize("page", [parameter(page) for page in PAGES if runnable(page)])
def test_the_code_of_a_page_runs_as_written(page, tmp_path):
    (tmp_path / "blocks.json").write_text(json.dumps(runnable(page)))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (".", os.environ.get("PYTHONPATH")))),
    }
    done = subprocess.run([sys.executable, "-c", READER], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
