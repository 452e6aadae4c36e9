"""How soon a search shows its first network, and how long a whole one takes: this checkout beside others.

    python benchmarks/start.py [ROUNDS] [CHECKOUT ...]

`evonas search genet` on digits with 2 workers, in processes of their own that take turns: a small search, until its
first result stands in the journal and until its end, and `import torch` alone; with WHOLE=1 in the environment the
search as it is without any option, too. Seconds, and CPU seconds of all processes, which tell more where others are at
work on the same cores.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import sized

HERE = Path(__file__).parents[1]
SMALL = ("--evaluations", "2", "--no-baseline", "--set", "population=2", "epochs=1", "final.epochs=1")
Took = dict[str, float]


def ran(checkout: Path, *arguments: str) -> Took:
    """Seconds and CPU seconds of Python with these arguments."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    return {"s": seconds, "CPU s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def search(checkout: Path, *options: str) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        took = ran(checkout, "-m", "evonas", "search", "genet", "--workers", "2", "--out", str(out), *options)
        events = map(json.loads, (out / "journal.jsonl").read_text().splitlines())
        return took | {"s to the first result": next(event["t"] for event in events if event["event"] == "told")}


def main(rounds: int, checkouts: list[Path]) -> None:
    programs = {"import torch": lambda checkout: ran(checkout, "-c", "import torch")}
    programs["a small search"] = lambda checkout: search(checkout, *SMALL)
    if os.environ.get("WHOLE"):
        programs["a whole search"] = search
    found: dict[tuple[str, str], list[list[float]]] = {}
    for number in range(rounds):
        for checkout in checkouts if number % 2 else reversed(checkouts):
            for name, program in programs.items():
                for unit, value in program(checkout).items():
                    of = found.setdefault((name, unit), [[] for _ in checkouts])
                    of[checkouts.index(checkout)].append(value)
    for (name, unit), of in found.items():
        beside = [statistics.median(a / b for a, b in zip(of[0], other, strict=True)) for other in of[1:]]
        each = ", ".join(f"{statistics.median(values):.2f}" for values in of)
        print(f"{name}: {each} {unit}" + "".join(f"; {ratio:.2f} of the time" for ratio in beside), flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    count = int(given.pop(0)) if given else sized(5, 1)
    main(count, [HERE, *(Path(each).resolve() for each in given)])
