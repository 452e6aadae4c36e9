"""Forward and backward of a built network against the same network written by hand; one thread, paired.

    python benchmarks/network.py

Prints, for three genomes, the median and quartiles of the ratio evonas / by hand over interleaved pairs.
"""

from functools import partial

import torch
import torch.nn.functional as F
from paired import interleaved, sized
from torch import nn

from evonas.genomes.genet import SMALL
from evonas.network import build

PAIRS = sized(40, 1)


class Block(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True))


class ByHand(nn.Module):
    """Three stages, each a function of (x, blocks) written out below."""

    def __init__(self, counts: tuple[int, int, int], wiring) -> None:
        super().__init__()
        widths = ((3, 16), (16, 32), (32, 64))
        self.stages = nn.ModuleList(
            nn.ModuleList([Block(a, b), *(Block(b, b) for _ in range(count - 1))])
            for (a, b), count in zip(widths, counts, strict=True)
        )
        self.wiring, self.classifier = wiring, nn.Linear(64 * 4 * 4, 10)

    def forward(self, x):
        for blocks, wire in zip(self.stages, self.wiring, strict=True):
            x = F.max_pool2d(wire(x, *blocks), 2)
        return self.classifier(x.flatten(1))


def single(x, a):  # 0-00: one convolution
    return a(x)


def chain3(x, a, n1, n2, n3, out):  # 1-01
    return out(n3(n2(n1(a(x)))))


def fork(x, a, n1, n2, n3, n4, out):  # 1-01-100
    one = n1(a(x))
    return out(n3(n2(one)) + n4(one))


def join(x, a, n1, n2, n3, n4, out):  # 1-00-111
    x = a(x)
    one = n1(x)
    two, three = n2(one), n3(x)
    return out(n4(one + two + three))


def pair(x, a, n1, n2, out):  # 1-00-000-0000
    return out(n2(n1(a(x))))


def chain5(x, a, n1, n2, n3, n4, n5, out):  # 1-01-001-0001
    return out(n5(n4(n3(n2(n1(a(x)))))))


GENOMES = {
    "1-01/1-01-100/1-00-000-0000": ((5, 6, 4), (chain3, fork, pair)),
    "0-00/1-00-111/1-01-001-0001": ((1, 6, 7), (single, join, chain5)),
    "1-01/1-00-111/1-01-001-0001": ((5, 6, 7), (chain3, join, chain5)),
}


def step(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    network.zero_grad(set_to_none=True)
    F.cross_entropy(network(x), y).backward()


def main() -> None:
    torch.set_num_threads(1)
    x = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (64,))
    for code, (counts, wiring) in GENOMES.items():
        graph = SMALL.decode(SMALL.parse(code))
        ours = build(graph).to(memory_format=torch.channels_last)
        theirs = ByHand(counts, wiring).to(memory_format=torch.channels_last)
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
        programs = {"ours": partial(step, ours, x, y), "by hand": partial(step, theirs, x, y)}
        times = interleaved(programs, rounds=PAIRS, warm_up=3)
        print(f"{code}: {times.ratio('ours', 'by hand')} of the time by hand", flush=True)


if __name__ == "__main__":
    main()
