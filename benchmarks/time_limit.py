"""How long `evonas search SYSTEM --time T` takes as a whole command, for every system on digits.

    python benchmarks/time_limit.py ROWS.csv [SECONDS ...] [-- OPTION ...]

Each command is a row of ROWS.csv: system, seconds that were asked for, seconds that it took, their ratio, evaluations
of the search and of random search, epochs of final trainings and how many are usual, exit code, commit, load of the
machine before it. Rows that are there are not made again. OPTIONs go to `evonas search` (--workers 1). With
EVONAS_SMALL=1: one system, 12 seconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import commit, opened

from evonas.systems import registry

COLUMNS = (
    "system",
    "asked",
    "took",
    "ratio",
    "evaluations",
    "random",
    "epochs",
    "usual",
    "exit",
    "commit",
    "load",
    "options",
)


def one(system: str, seconds: int, options: list[str]) -> dict:
    """One command, as a row."""
    with tempfile.TemporaryDirectory() as folder:
        load, start = os.getloadavg()[0], time.monotonic()
        command = [sys.executable, "-m", "evonas", "search", system, "--time", f"{seconds}s", "--out", "run", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        took = time.monotonic() - start
        path = Path(folder) / "run" / "summary.json"
        found = json.loads(path.read_text()) if path.exists() else {}
    if done.returncode:
        print(done.stderr[-1000:], file=sys.stderr)
    given, usual = found.get("final_epochs") or ("", "")
    return {
        "system": system,
        "asked": seconds,
        "took": round(took, 1),
        "ratio": round(took / seconds, 3),
        "evaluations": found.get("evaluations", ""),
        "random": found.get("baseline_evaluations", ""),
        "epochs": given,
        "usual": usual,
        "exit": done.returncode,
        "commit": commit(),
        "load": round(load, 2),
        "options": " ".join(options),
    }


def main(rows: str, *arguments: str) -> None:
    words = [*arguments, "--"]
    seconds = [int(word) for word in words[: words.index("--")]] or [60, 300]
    options = list(arguments[words.index("--") + 1 :])
    systems = list(registry.systems())
    if os.environ.get("EVONAS_SMALL"):
        seconds, systems = [12], ["genet"]
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {(row["system"], int(row["asked"])) for row in known}
        for asked in seconds:
            for system in systems:
                if (system, asked) not in made:
                    append(one(system, asked, options))


if __name__ == "__main__":
    main(*sys.argv[1:])
