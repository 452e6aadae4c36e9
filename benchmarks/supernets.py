"""A step of a supernet search beside the search network of DARTS as it is usually written.

    python benchmarks/supernets.py [ROUNDS]

Eight cells of 16 channels, batches of 16 images of 3x32x32, one thread, float32. A step is one of the architecture
parameters on a held-out batch (first order) and one of the weights. Programs:

plain           mixed operations as sums of products in modules, both by `loss.backward()`; written out below
channels-last   plain with its weights and images in that format, as evonas has them
DARTS           `policy.step` of evonas, which is what `SupernetSearch` calls for each batch
GDAS            the same, one operation of each edge at a time
PC-DARTS        the same, a quarter of the channels; alpha learns from the beginning

Each runs in a process of its own, in the environment that evonas gives its workers. They take turns by a step, of which
the seconds of the CPU are counted, not those on the clock: with one thread they are the same but for what else the
machine does. The peak of the resident memory over six steps is measured in further processes, one for each program,
alone: above that of the process which has imported torch and built nothing, and in all. Linux only, as `memory.py`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from memory import _status
from paired import Times, interleaved_processes, sized
from torch import Tensor, nn

from evonas.data.sources import Source
from evonas.executors import Equipment
from evonas.genomes.darts import DARTSSpace
from evonas.recipe import Recipe
from evonas.supernets.darts import DARTS
from evonas.supernets.gdas import GDAS
from evonas.supernets.pc_darts import PCDARTS
from evonas.supernets.search import SupernetSearch
from evonas.supernets.training import GivenBench
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split

LAYERS, CHANNELS, CLASSES, BATCH = 8, 16, 10, sized(16, 2)
PARAMETERS = 1_930_618  # of the search network, without alpha
STEPS = sized(6, 1)  # over which the peak is taken
RECIPE = Recipe(epochs=50, batch_size=BATCH, learning_rate=0.025, nesterov=False, weight_decay=3e-4, clip_norm=5)
POLICIES = {
    "DARTS": lambda: DARTS(DARTSSpace(LAYERS, CHANNELS, search=True), rng=Random(0)),
    "GDAS": lambda: GDAS(DARTSSpace(LAYERS, CHANNELS, search=True), rng=Random(0)),
    "PC-DARTS": lambda: PCDARTS(DARTSSpace(LAYERS, CHANNELS, search=True, partial=4), rng=Random(0), beginning=0),
}
NAMES = sized(("plain", "channels-last", *POLICIES), ("plain", "GDAS"))
WORKER = Equipment().environment(None)
PIECES = ("step", "alpha", "weights")

Step = Callable[[], object]


class Clock:
    """Seconds of the CPU in what it is put around, all calls together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, program: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*args: Any) -> Any:
            start = time.process_time()
            try:
                return program(*args)
            finally:
                self.seconds += time.process_time() - start

        return clocked


# ---- the plain program -----------------------------------------------------------------------------------------------


def norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, affine=False)


def pointwise(channels: int, out: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(channels, out, 1, stride, bias=False)


def depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Module:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)


def separable(c: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), depthwise(c, kernel, stride), pointwise(c, c), norm(c),
        nn.ReLU(), depthwise(c, kernel, 1), pointwise(c, c), norm(c),
    )  # fmt: skip


def dilated(c: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), depthwise(c, kernel, stride, dilation=2), pointwise(c, c), norm(c))


class Nothing(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return 0.0 * x[:, :, :: self.stride, :: self.stride]


class Halved(nn.Module):
    """Two strided convolutions, the second on the image shifted by a pixel, side by side."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.relu, self.norm = nn.ReLU(), norm(out)
        self.even, self.odd = pointwise(channels, out // 2, 2), pointwise(channels, out // 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


OPERATIONS: tuple[Callable[[int, int], nn.Module], ...] = (
    Nothing,
    lambda c, stride: nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(c)),
    lambda c, stride: nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(c)),
    lambda c, stride: nn.Identity() if stride == 1 else Halved(c, c),
    lambda c, stride: separable(c, 3, stride),
    lambda c, stride: separable(c, 5, stride),
    lambda c, stride: dilated(c, 3, stride),
    lambda c, stride: dilated(c, 5, stride),
)


class MixedOp(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(
            operation(channels, stride) if operation is not Nothing else Nothing(stride) for operation in OPERATIONS
        )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(w * op(x) for w, op in zip(weights, self.ops, strict=True))


class Cell(nn.Module):
    def __init__(self, older: int, newer: int, channels: int, *, reduces: bool, after_reduction: bool) -> None:
        super().__init__()
        if after_reduction:
            self.older: nn.Module = Halved(older, channels)
        else:
            self.older = nn.Sequential(nn.ReLU(), pointwise(older, channels), norm(channels))
        self.newer = nn.Sequential(nn.ReLU(), pointwise(newer, channels), norm(channels))
        self.edges = nn.ModuleList(
            MixedOp(channels, 2 if reduces and source < 2 else 1) for node in range(4) for source in range(2 + node)
        )

    def forward(self, older: Tensor, newer: Tensor, weights: Tensor) -> Tensor:
        states = [self.older(older), self.newer(newer)]
        first = 0
        for node in range(4):
            made = sum(self.edges[first + n](state, weights[first + n]) for n, state in enumerate(states))
            first += 2 + node
            states.append(made)
        return torch.cat(states[2:], dim=1)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(3 * CHANNELS))
        self.cells = nn.ModuleList()
        older = newer = 3 * CHANNELS
        channels, self.reductions = CHANNELS, (LAYERS // 3, 2 * LAYERS // 3)
        for number in range(LAYERS):
            reduces = number in self.reductions
            channels *= 2 if reduces else 1
            after = number - 1 in self.reductions
            self.cells.append(Cell(older, newer, channels, reduces=reduces, after_reduction=after))
            older, newer = newer, 4 * channels
        self.pooling, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(newer, CLASSES)
        self.alphas = [(1e-3 * torch.randn(14, len(OPERATIONS))).requires_grad_() for _ in range(2)]  # normal, reduce

    def forward(self, images: Tensor) -> Tensor:
        older = newer = self.stem(images)
        for number, cell in enumerate(self.cells):
            weights = self.alphas[number in self.reductions].softmax(-1)
            older, newer = newer, cell(older, newer, weights)
        return self.classifier(self.pooling(newer).flatten(1))


def plain(clock: Clock, memory_format: torch.memory_format) -> Step:
    torch.manual_seed(0)
    net = Plain().to(memory_format=memory_format)
    counted = sum(each.numel() for each in net.parameters())
    if counted != PARAMETERS:
        raise AssertionError(f"{counted} parameters")
    by_alpha = torch.optim.Adam(net.alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    by_weights = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    (images, labels), (held_out, theirs) = batch(0), batch(1)
    images, held_out = (each.contiguous(memory_format=memory_format) for each in (images, held_out))

    def alpha() -> None:
        by_alpha.zero_grad()
        F.cross_entropy(net(held_out), theirs).backward()
        by_alpha.step()

    @clock.around
    def weights() -> None:
        by_weights.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        by_weights.step()

    return lambda: (alpha(), weights())


# ---- evonas ----------------------------------------------------------------------------------------------------------


def evonas(name: str, clock: Clock) -> Step:
    policy = POLICIES[name]()
    search = SupernetSearch(policy)
    task = ImageClassification(Source("digits"))  # whose loss is the cross-entropy of these labels
    search.prepare(GivenBench(Split(*batch(0), task), Split(*batch(1), task), RECIPE))
    training = search.training
    assert training is not None
    if name != "PC-DARTS" and sum(each.numel() for each in training.weights) != PARAMETERS:
        raise AssertionError(f"{name} has another network")
    policy.begin(0, RECIPE.epochs)
    training.network.train()
    images, draw = next(training.batches())
    held_out = draw()
    training.descend = clock.around(training.descend)  # type: ignore[method-assign]
    return lambda: policy.step(training, images, lambda: held_out)


# ---- the measurements ------------------------------------------------------------------------------------------------


def batch(seed: int) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, 3, 32, 32, generator=drawn), torch.randint(CLASSES, (BATCH,), generator=drawn)


def made(name: str, clock: Clock) -> Step:
    """The step of a program; the clock runs while the weights learn."""
    torch.set_num_threads(1)
    if name in POLICIES:
        return evonas(name, clock)
    return plain(clock, torch.contiguous_format if name == "plain" else torch.channels_last)


def program(name: str) -> None:
    """The other side of `interleaved_processes`, with seconds of the CPU: of a step, then what of them alpha took, then
    the weights."""
    whole, learning = Clock(), Clock()
    step = whole.around(made(name, learning))
    print("ready", flush=True)
    for turn, _ in enumerate(sys.stdin):
        if turn % len(PIECES) == 0:
            whole.seconds = learning.seconds = 0.0
            step()
        took = (whole.seconds, whole.seconds - learning.seconds, learning.seconds)
        print(took[turn % len(PIECES)], flush=True)


def peak(name: str) -> None:
    """Bytes before anything is built, and at the peak."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = _status("VmHWM")
    step = made(name, Clock())
    for _ in range(STEPS):
        step()
    print(before, _status("VmHWM"))


def memory(name: str) -> tuple[int, int]:
    """Above the process that has built nothing, and in all."""
    command = [sys.executable, __file__, "peak", name]
    found = subprocess.run(command, env=os.environ | WORKER, capture_output=True, text=True, check=True).stdout
    before, most = map(int, found.split())
    return most - before, most


def print_peaks() -> None:
    used = {name: memory(name) for name in NAMES}
    for name, (above, most) in used.items():
        print(f"{name}: peak {above / 2**20:.0f} MiB above the empty process, {above / used['plain'][0]:.3f} of plain; "
              f"{most / 2**20:.0f} MiB in all, {most / used['plain'][1]:.3f} of plain", flush=True)  # fmt: skip


def print_times(rounds: int) -> None:
    programs = {name: ([__file__, "program", name], WORKER) for name in NAMES}
    found = interleaved_processes(programs, rounds=len(PIECES) * rounds, warm_up=len(PIECES))
    for place, piece in enumerate(PIECES):
        times = Times({name: found.seconds[name][place :: len(PIECES)] for name in NAMES})
        for name in NAMES:
            print(f"{piece}, {name}: {times.median(name):.2f} s")
        for name in NAMES[1:]:
            print(f"{piece}: {name} / plain {times.ratio(name, 'plain')}, plain / {name} {times.ratio('plain', name)}")


def main(rounds: int = sized(6, 1)) -> None:
    print_peaks()
    print_times(rounds)


if __name__ == "__main__":
    if sys.argv[1:2] in (["program"], ["peak"]):
        {"program": program, "peak": peak}[sys.argv[1]](sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
