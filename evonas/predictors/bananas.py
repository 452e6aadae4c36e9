"""The ensemble of BANANAS (White, Neiswanger and Savani 2021, arXiv:1910.11858, section 4 and appendix): feed-forward
networks that differ in their first weights and in the order in which they see the data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from evonas.errors import UserError
from evonas.predictors.encodings import Encoding
from evonas.predictors.predictor import Predictor
from evonas.space import Genome
from evonas.support.device import torch_threads

WIDEST = 10_000  # columns of an encoding


class BananasEnsemble(Predictor):
    """The mean of the members is the prediction, their standard deviation the uncertainty.

    members        networks of the ensemble
    layers         of each network, with ReLU
    units          of each layer
    epochs         of a fit
    batch          genomes a step
    learning_rate  of Adam, on the mean absolute error

    The defaults are the paper's. The members are trained at once, as batches of matrix products: each has a step in
    each of them, on genomes of its own order.

    Raises UserError for values out of range, and for an encoding with so many columns that a fit takes minutes.
    """

    def __init__(
        self,
        encoding: Encoding,
        *,
        seed: int,
        members: int = 5,
        layers: int = 10,
        units: int = 20,
        epochs: int = 150,
        batch: int = 32,
        learning_rate: float = 0.01,
    ) -> None:
        if min(layers, units, epochs, batch) < 1 or members < 2 or learning_rate <= 0:
            raise UserError("layers, units, epochs and batch must be at least 1, members at least 2, and the learning "
                            "rate more than 0")  # fmt: skip
        if (columns := encoding.ahead()) > WIDEST:
            raise UserError(f"{'+'.join(encoding.kinds)} has about {columns:,} columns in {encoding.space.name}, and "
                            f"the networks of bananas take at most {WIDEST:,}; use encoding=one-hot, or "
                            "predictor=gp")  # fmt: skip
        self.encoding, self.seed, self.members = encoding, seed, members
        self.layers, self.units, self.epochs, self.batch = layers, units, epochs, batch
        self.learning_rate = learning_rate

    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        inputs = torch.as_tensor(self.encoding.rows(genomes).toarray(), dtype=torch.float32)
        targets = torch.as_tensor(np.asarray(values), dtype=torch.float32)
        self.columns = inputs.shape[1]  # what is met later has no weights
        sizes = [self.columns, *[self.units] * self.layers, 1]
        self.weights = [self._drawn(*pair, generator) for pair in pairwise(sizes)]
        self.biases = [torch.zeros(self.members, 1, size, requires_grad=True) for size in sizes[1:]]
        optimizer = torch.optim.Adam([*self.weights, *self.biases], lr=self.learning_rate)
        with torch_threads(1), torch.enable_grad():
            for _ in range(self.epochs):
                order = torch.stack([torch.randperm(len(targets), generator=generator) for _ in range(self.members)])
                for chosen in order.split(self.batch, dim=1):
                    optimizer.zero_grad()
                    loss = (self._output(inputs[chosen]) - targets[chosen]).abs().mean(dim=1).sum()
                    loss.backward()
                    optimizer.step()

    def _drawn(self, before: int, after: int, generator: torch.Generator) -> Tensor:
        """Weights drawn as by Glorot and Bengio (2010, eq. 16), one matrix for each member."""
        bound = (6 / (before + after)) ** 0.5
        weights = torch.empty(self.members, before, after).uniform_(-bound, bound, generator=generator)
        return weights.requires_grad_()

    def _output(self, x: Tensor) -> Tensor:
        """members x genomes x columns -> members x genomes."""
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.relu(torch.baddbmm(biases, x, weights))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])[..., 0]

    @torch.no_grad()
    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]:
        rows = self.encoding.rows(genomes).toarray()[:, : self.columns]
        inputs = torch.as_tensor(rows, dtype=torch.float32).expand(self.members, *rows.shape)
        with torch_threads(1):
            found = self._output(inputs).double().numpy()
        return found.mean(axis=0), found.std(axis=0, ddof=1)
