"""What an architecture costs before its first step: decode, digest, simplify, build and draw the weights; one thread.

    python benchmarks/overheads.py

The limits are 150 ms for a DARTS network of 20 cells and 15 ms for GeNet. And the first step of a new architecture
against its later ones.
"""

import statistics
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from paired import interleaved, sized, timed
from torch import nn

from evonas.genomes.darts import DARTSSpace
from evonas.genomes.genet import SMALL
from evonas.genomes.genotype import published
from evonas.graph import Graph
from evonas.network import build

ROUNDS, ARCHITECTURES, STEPS = sized((15, 5, 6), (1, 1, 2))
DARTS = DARTSSpace(layers=20, channels=36)
CASES = {
    "DARTS_V2, 20 cells, 36 channels": (DARTS, DARTS.genome(published()["DARTS_V2"].genotype), 150),
    "GeNet, 16-32-64": (SMALL, SMALL.parse("1-01/1-00-111/1-01-001-0001"), 15),
}


def built(graph: Graph) -> nn.Module:
    return build(graph.simplified(training=True), seed=0)


def step(net: nn.Module, x: torch.Tensor) -> None:
    F.cross_entropy(net(x), torch.zeros(len(x), dtype=torch.int64)).backward()


def main() -> None:
    torch.set_num_threads(1)
    for name, (space, genome, limit) in CASES.items():
        graph = space.decode(genome)
        parts = {
            "decode": partial(space.decode, genome),
            "digest": graph.digest,
            "build": partial(built, graph),
        }
        times = interleaved(parts, rounds=ROUNDS, warm_up=2)
        shown = {part: 1000 * times.median(part) for part in parts}
        listed = ", ".join(f"{part} {took:.1f}" for part, took in shown.items())
        print(f"{name}: {listed}, together {sum(shown.values()):.1f} ms (limit {limit})", flush=True)

    x = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    firsts, laters = [], []
    for seed in range(ARCHITECTURES):  # other widths, so that no kernel is known from the network before
        space = replace(SMALL, filters=(12 + seed, 20 + 2 * seed, 36 + 3 * seed))
        net = build(space.decode(SMALL.parse("1-01/1-00-111/1-01-001-0001"))).to(memory_format=torch.channels_last)
        took = [timed(partial(step, net, x)) for _ in range(STEPS)]
        firsts.append(took[0] / statistics.median(took[1:]))
        laters.append(statistics.median(took[1:]))
    print(f"the first step of a new architecture: {statistics.median(firsts):.2f} of a later one "
          f"({min(firsts):.2f} to {max(firsts):.2f}), {1000 * statistics.median(laters):.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
