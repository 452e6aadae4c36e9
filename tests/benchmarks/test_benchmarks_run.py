"""Every benchmark starts at its smallest size (EVONAS_SMALL, see benchmarks/paired.py) and comes to its end."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLES = Path(os.environ.get("EVONAS_TABLES", ROOT.parent / "shared" / "data"))
TABLE, MACRO = "nasbench201.csv.gz", "nasbench_macro.csv.gz"
IMAGES, SCORES = "cifar10_12k.npz", "nasbench201_zerocost_c10.csv.gz"
FOLDER = "the folder of the tables"
LIMIT_S = 280

SCRIPTS = [path for path in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in path.read_text()]
ARGUMENTS = {  # what a script cannot do without; the others have none
    "all.py": (".", "network.py"),
    "curves.py": ("rows.csv", "curves"),
    "das.py": ("rows.csv",),
    "default_search.py": ("rows.csv",),
    "few_shot.py": ("rows.csv", "digits", MACRO),
    "fidelity.py": ("rows.csv",),
    "gpu.py": ("cpu",),
    "growing.py": ("rows.csv", "digits", "path-level-eas"),
    "gradients.py": ("rows.csv", TABLE, IMAGES),
    "hypervolume.py": ("rows.csv",),
    "learning_curves.py": ("rows.csv",),
    "masks.py": ("rows.csv",),
    "nash.py": ("rows.csv",),
    "net2net.py": ("rows.csv",),
    "n2n.py": ("rows.csv", "digits"),
    "nao.py": ("rows.csv", "digits"),
    "shared_workers.py": (),
    "sharing.py": ("rows.csv", "digits", TABLE, "nasbench201"),
    "predictors_on_tables.py": (FOLDER, "nasbench-nlp", "nasbench-graph:cora"),
    "progressive.py": ("digits", "rows.csv"),
    "ranking.py": ("rows.csv", "digits"),
    "recipes.py": ("rows.csv", "digits"),
    "tables.py": (TABLE,),
    "time_limit.py": ("rows.csv",),
    "unequal.py": ("rows.csv",),
    "zero_cost.py": ("rows.csv", SCORES, TABLE, IMAGES),
}
NEEDS = {"dispatch.py": "scoop", "epoch.py": "torchvision", "pareto.py": "moocore"}
SLOW = {
    "all.py",
    "curves.py",
    "default_search.py",
    "epoch.py",
    "fidelity.py",
    "gpu.py",
    "hypervolume.py",
    "pareto.py",
    "shared_workers.py",
    "start.py",
    "supernets.py",
    "time_limit.py",
    "unequal.py",
}  # several processes that load torch; the others, seconds


def parameter(script, *arguments):
    marks = [pytest.mark.slow] if script in SLOW or "searches" in arguments else []
    return pytest.param(script, arguments, id=" ".join((script, *arguments[:1])), marks=marks)


PARAMETERS = [parameter(path.name, *ARGUMENTS.get(path.name, ())) for path in SCRIPTS]


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
@pytest.mark.parametrize(("script", "arguments"), [*PARAMETERS, parameter("inheritance.py", "searches")])
def test_a_benchmark_runs_at_its_smallest_size(script, arguments, tmp_path):
    if script in NEEDS and importlib.util.find_spec(NEEDS[script]) is None:
        pytest.skip(f"{NEEDS[script]} is not installed")
    files = {name: TABLES / name for name in arguments if name in (TABLE, MACRO, IMAGES, SCORES)}
    if FOLDER in arguments:
        files[FOLDER] = TABLES
    if missing := [str(path) for path in files.values() if not path.exists()]:
        pytest.skip(f"there is no {', '.join(missing)}; set EVONAS_TABLES to the folder that has it")
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *(str(files.get(word, word)) for word in arguments)],
        cwd=tmp_path,
        env=os.environ | {"EVONAS_SMALL": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip(), "it prints what it has measured"


def test_without_a_gpu_the_measurements_of_one_are_a_line_that_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "there is no CUDA device here: nothing was measured\n"
