"""An epoch of training beside the program that a user would write otherwise, and beside the fastest loop by hand.

    python benchmarks/epoch.py [EPOCHS]

The network is GeNet's with three stages of 16, 32 and 64 channels; 10,000 images of 32x32 (random pixels: the time does
not depend on them), cropped and flipped, batches of 64, SGD, one core. Programs:

evonas         `evonas.training.train.Training`, in float32 and, where the CPU multiplies in it, in bfloat16
by hand        a loop over tensors in memory with the same kernels and augmentation, written out below
DataLoader     torchvision transforms of PIL images in a DataLoader (of no worker processes: one core), float32, NCHW

Each runs in a process of its own: evonas, and the loop by hand, in the environment that evonas gives its workers, the
DataLoader program in the one that it is called in. They take turns by a thirteenth of an epoch, so that what else the
machine does falls on all of them.
"""

import os
import sys

import torch
import torch.nn.functional as F
from paired import interleaved_processes, serve, sized
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from evonas.data.sources import Source
from evonas.executors import Equipment
from evonas.genomes.genet import SMALL
from evonas.network import build
from evonas.recipe import Recipe
from evonas.support.device import multiplies_in_bfloat16
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import Split
from evonas.training.train import Training

CODE = "1-01/1-01-100/1-00-000-0000"
PARTS, STEPS, BATCH = sized(13, 1), sized(12, 1), 64  # of an epoch of 10,000 images, whose last 16 are left out
RECIPE = Recipe(epochs=1000, batch_size=BATCH, learning_rate=0.05, crop=4, flip=True)
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def network(memory_format: torch.memory_format) -> torch.nn.Module:
    return build(SMALL.decode(SMALL.parse(CODE)), seed=0).to(memory_format=memory_format)


def sgd(net: torch.nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=fused)


def evonas(images: torch.Tensor, labels: torch.Tensor, precision: str):
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    net = network(torch.channels_last)
    task = ImageClassification(Source("digits"))  # whose loss is the cross-entropy of these labels
    return Training(net, Split(images, labels, task, mean, std), RECIPE, seed=0, precision=precision).epoch


def by_hand(images: torch.Tensor, labels: torch.Tensor, precision: str):
    """Normalised once, in float32; crops by one gather; nothing but what is needed."""
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    x = (images.float() - mean) / std
    net = network(torch.channels_last).train()
    optimizer = sgd(net, fused=True)
    each = torch.arange(BATCH)

    def epoch() -> None:
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            windows = F.pad(x[chosen], (4, 4, 4, 4)).unfold(2, 32, 1).unfold(3, 32, 1)
            down, right = torch.randint(9, (2, BATCH))
            batch = windows[each, :, down, right]
            batch = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, batch.flip(3), batch)
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits = net(batch)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits.float(), labels[chosen]).backward()
            optimizer.step()

    return epoch


class Pictures(Dataset):
    """As torchvision's sets give them: PIL images, transformed one by one."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([m / 255 for m in MEAN], [s / 255 for s in STD]),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def data_loader(images: torch.Tensor, labels: torch.Tensor):
    net = network(torch.contiguous_format).train()
    optimizer = sgd(net, fused=False)
    loader = DataLoader(Pictures(images, labels), batch_size=BATCH, shuffle=True, drop_last=True)

    def epoch() -> None:
        for batch, theirs in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(batch), theirs).backward()
            optimizer.step()

    return epoch


def program(name: str) -> None:
    """One of the programs, a part of an epoch at a time."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (STEPS * BATCH, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (STEPS * BATCH,), generator=generator)
    kind, _, precision = name.rpartition(" ")
    if name == "DataLoader":
        serve(data_loader(images, labels))
    else:
        serve({"evonas": evonas, "by hand": by_hand}[kind](images, labels, precision))


def main(epochs: int = sized(2, 1)) -> None:
    precisions = ["float32"] + ["bfloat16"] * multiplies_in_bfloat16()
    worker = Equipment().environment(None)
    programs = {"DataLoader": ([__file__, "program", "DataLoader"], {})} | {
        name: ([__file__, "program", name], worker)
        for precision in precisions
        for name in (f"evonas {precision}", f"by hand {precision}")
    }
    times = interleaved_processes(programs, rounds=PARTS * epochs)
    for name in programs:
        print(f"{name}: {times.total(name) / epochs:.2f} s")
    for precision in precisions:
        ours = f"evonas {precision}"
        print(f"{precision}: DataLoader / evonas {times.ratio('DataLoader', ours)}, "
              f"evonas / by hand {times.ratio(ours, f'by hand {precision}')}")  # fmt: skip
    if "bfloat16" not in precisions:
        print("bfloat16: not run, the CPU does not multiply in it")


if __name__ == "__main__":
    if sys.argv[1:2] == ["program"]:
        program(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
