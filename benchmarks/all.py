"""Every benchmark, one after the other, each in a process of its own (about an hour and a half on two cores).

    python benchmarks/all.py [DIRECTORY] [SCRIPT ...]

DIRECTORY holds nasbench201.csv.gz and cifar10_12k.npz; what needs a file that is not there is left out, and said so.
With names of scripts only those are run. EVONAS_SMALL=1 in the environment shows in minutes that all of them run.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TABLE, IMAGES = "nasbench201.csv.gz", "cifar10_12k.npz"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("network.py",), ("overheads.py",), ("controllers.py",), ("predict.py",),
    ("epoch.py",), ("layouts.py",), ("memory.py",), ("flat.py",), ("dispatch.py",), ("supernets.py",),
    ("utilisation.py",), ("gpu.py",), ("inheritance.py",), ("inheritance.py", "searches"),
    ("start.py",), ("tables.py", TABLE), ("survival.py",), ("pareto.py",), ("pareto.py", "5"),
    ("precision.py", IMAGES, "10"),
)  # fmt: skip


def main(directory: str = ".", *only: str) -> None:
    failed = []
    for script, *arguments in COMMANDS:
        if only and script not in only:
            continue
        files = {name: Path(directory) / name for name in (TABLE, IMAGES) if name in arguments}
        missing = [name for name, path in files.items() if not path.exists()]
        print(f"\n== {script} {' '.join(arguments)}", flush=True)
        if missing:
            print(f"left out: {', '.join(missing)} is not in {directory}")
            continue
        command = [sys.executable, str(HERE / script), *(str(files.get(word, word)) for word in arguments)]
        if subprocess.run(command, check=False).returncode:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
