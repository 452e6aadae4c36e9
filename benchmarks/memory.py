"""The estimate of a training's memory against its measured peak, for ten genomes; one process each.

    python benchmarks/memory.py

Prints the peak of the resident memory above that of the process before the network is built (the largest of three
steps), the estimate, and their ratio. Linux only: the peak is read and reset in /proc.
"""

import subprocess
import sys
from pathlib import Path

from paired import sized

from evonas.recipe import Recipe
from evonas.support.streams import stream
from evonas.systems.registry import system
from evonas.training.memory import training_bytes

GENOMES = [
    ("genet", "small", 0), ("genet", "small", 1), ("genet", "small", 2), ("amoebanet", "small", 0),
    ("amoebanet", "small", 1), ("hierarchical", "small", 0), ("nsga-net", "small", 0), ("nsga-net", "small", 1),
    ("darts", "small", 0), ("darts", "small", 1),
][: sized(None, 1)]  # fmt: skip
RECIPE = Recipe(batch_size=64)


def graph_of(name: str, preset: str, seed: int):
    space = system(name).preset(preset).space
    return space.decode(space.random(stream(seed, "memory")))


def measured(name: str, preset: str, seed: int, precision: str) -> int:
    import torch

    from evonas.data.sources import Source
    from evonas.network import build
    from evonas.tasks.classification import ImageClassification
    from evonas.tasks.splits import Split
    from evonas.training.course import train

    torch.set_num_threads(1)
    images, labels = torch.randint(256, (3 * RECIPE.batch_size, 3, 32, 32)), torch.randint(10, (3 * 64,))
    task = ImageClassification(Source("digits"))  # whose loss is the cross-entropy of these labels
    split = Split(images.float(), labels, task)
    small = build(system("genet").preset("digits").space.decode((0,) * 9))  # what torch loads once
    train(small, Split(images[:, :1, :8, :8].float(), labels, task), Recipe(epochs=1), seed=0, precision=precision)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = _status("VmHWM")
    train(build(graph_of(name, preset, seed).simplified(training=True)), split, Recipe(epochs=1), seed=0,
          precision=precision)  # fmt: skip
    return _status("VmHWM") - before


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def main(precision: str = "float32") -> None:
    for genome in GENOMES:
        command = [sys.executable, __file__, precision, *map(str, genome)]
        found = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        estimate = training_bytes(graph_of(*genome), RECIPE, precision=precision)
        print(f"{' '.join(map(str, genome))}: measured {found / 2**20:.0f} MiB, estimate {estimate / 2**20:.0f} MiB, "
              f"ratio {estimate / found:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(measured(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[1]))
    else:
        main(*sys.argv[1:])
