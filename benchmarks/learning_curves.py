"""Learning curves of 200 random perceptrons on scikit-learn's digits, on which the curve models are tested.

    python benchmarks/learning_curves.py ROWS.csv [CURVES.csv.gz]

A perceptron has one to three layers of 4 to 90 ReLUs; learning rate (1e-4 to 1e-1), weight decay (1e-6 to 1e-1), batch
size (16 to 256) and widths are drawn log-uniformly, and the optimizer is SGD with momentum 0.9 or Adam. Half the images
are trained on for 40 epochs, the other half validates. Each row of ROWS.csv is one of them: its configuration, the
validation accuracy after each epoch (acc_N) and the mean training loss within it (loss_N). Rows that are there are not
made again. Where it is given, CURVES.csv.gz gets all rows: tests/data/curves_digits.csv.gz was made so. With
EVONAS_SMALL=1: two, for two epochs.
"""

import gzip
import math
import sys
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import torch
from paired import sized
from rows import opened
from sklearn.datasets import load_digits
from torch import nn

from evonas.support.streams import number, stream

NETWORKS, EPOCHS = sized((200, 40), (2, 2))
CONFIGURATION = ("network", "units", "layers", "parameters", "lr", "weight_decay", "batch", "adam")
COLUMNS = (*CONFIGURATION, *(f"{name}_{epoch}" for name in ("acc", "loss") for epoch in range(1, EPOCHS + 1)))
SEED, MOMENTUM = 0, 0.9


def main(rows: str, curves: str | None = None) -> None:
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(images))
    x, y = torch.tensor(images[order] / 16, dtype=torch.float32), torch.tensor(labels[order])
    half = len(x) // 2
    with opened(Path(rows), COLUMNS) as (known, append):
        made = {int(row["network"]) for row in known}
        for each in range(NETWORKS):
            if each not in made:
                append(curve(each, x[:half], y[:half], x[half:], y[half:]))
    if curves is not None:
        with open(curves, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(Path(rows).read_bytes())


def curve(network: int, x: torch.Tensor, y: torch.Tensor, x_held: torch.Tensor, y_held: torch.Tensor) -> dict:
    """The row of one perceptron, trained on x and y and validated on what is held out."""
    rng = stream(SEED, network, "configuration")
    units = [round(log_uniform(rng, 4, 90)) for _ in range(rng.randint(1, 3))]
    lr, decay, batch = log_uniform(rng, 1e-4, 1e-1), log_uniform(rng, 1e-6, 1e-1), round(log_uniform(rng, 16, 256))
    adam = rng.random() < 0.5
    torch.manual_seed(number(SEED, network, "weights"))
    widths = [x.shape[1], *units, 10]
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    kind, more = (torch.optim.Adam, {}) if adam else (torch.optim.SGD, {"momentum": MOMENTUM})
    optimizer = kind(model.parameters(), lr=lr, weight_decay=decay, **more)
    row = {"network": network, "units": "-".join(map(str, units)), "layers": len(units), "lr": f"{lr:.4g}",
           "weight_decay": f"{decay:.4g}", "batch": batch, "adam": int(adam),
           "parameters": sum(each.numel() for each in model.parameters())}  # fmt: skip
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for some in torch.randperm(len(x)).split(batch):
            loss = nn.functional.cross_entropy(model(x[some]), y[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(some)
        with torch.no_grad():
            accuracy = (model(x_held).argmax(1) == y_held).double().mean().item()
        row |= {f"acc_{epoch}": f"{accuracy:.4f}", f"loss_{epoch}": f"{total / len(x):.4f}"}
    return row


def log_uniform(rng: Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


if __name__ == "__main__":
    main(*sys.argv[1:])
