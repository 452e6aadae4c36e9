"""Linear models of the rows of an encoding: Bayesian, as a Gaussian process, and a ridge with a bootstrap.

With pairs of answers among the columns, the value of a genome is a sum of the effects of its decisions and of each two
of them. There may be far more columns than genomes, so both are fitted by what genomes have in common, K = X X'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evonas.errors import UserError
from evonas.predictors.encodings import Encoding, with_width
from evonas.predictors.predictor import Predictor
from evonas.space import Genome

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NOISES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # variances of the noise that are tried, as shares of that of the function


class GaussianProcess(Predictor):
    """y = mean + x w + e with w ~ N(0, s² I) and e ~ N(0, s² noise): Bayesian linear regression (Rasmussen and Williams
    2006, "Gaussian Processes for Machine Learning", section 2.1).

    Of the noises of a list, the one with the largest marginal likelihood is taken; s² is its own best for each. One
    decomposition of K serves all of them. Nothing is drawn but by `draw`, so the seed does not matter.
    """

    def __init__(self, encoding: Encoding, *, seed: int = 0, noises: Sequence[float] = NOISES) -> None:
        self.encoding, self.noises = encoding, noises

    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None:
        self.inputs = self.encoding.rows(genomes)
        self.middle = float(np.mean(values))
        residuals = np.asarray(values, dtype=float) - self.middle
        eigenvalues, self.vectors = np.linalg.eigh(_products(self.inputs, self.inputs))
        rotated = self.vectors.T @ residuals
        best = -np.inf
        for noise in self.noises:
            spread = np.maximum(eigenvalues, 0) + noise  # eigenvalues of K + noise I
            scale = max(float(np.mean(rotated**2 / spread)), 1e-12)  # the s² of the largest likelihood
            likelihood = -0.5 * (len(residuals) * np.log(scale) + np.log(spread).sum())  # eq. 2.30, but for constants
            if likelihood > best:
                best, self.noise, self.scale, self.spread = likelihood, noise, scale, spread
        self.weights = self.inputs.T @ self._solved(residuals)  # X' (K + noise I)^-1 y

    def _solved(self, right: np.ndarray) -> np.ndarray:
        """(K + noise I)^-1 times this."""
        return self.vectors @ ((self.vectors.T @ right) / self.spread)

    def mean(self, genomes: Sequence[Genome]) -> np.ndarray:
        rows = self.encoding.rows(genomes)
        return self.middle + rows @ _widened(self.weights, rows.shape[1])

    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]:
        rows = self.encoding.rows(genomes)
        rooted = self.vectors / np.sqrt(self.spread)
        if rows.shape[0] < rows.shape[1]:  # in a large space far more columns have been met than there are candidates
            shared = _products(rows, self._inputs()) @ rooted
        else:
            shared = rows @ (self._inputs().T @ rooted)
        explained = (shared**2).sum(axis=1)
        variance = self.scale * (_squares(rows) - explained)  # eq. 2.26
        return self.mean(genomes), np.sqrt(np.maximum(variance, 0))

    def draw(self, genomes: Sequence[Genome], rng: np.random.Generator) -> np.ndarray:
        """One w drawn from the posterior, by Matheron's rule: a draw of the prior, moved by what it misses of the data
        (Wilson et al. 2020, "Efficiently Sampling Functions from Gaussian Process Posteriors", arXiv:2002.09309,
        eq. 9)."""
        rows = self.encoding.rows(genomes)
        inputs = self._inputs()
        prior = np.sqrt(self.scale) * rng.standard_normal(self.encoding.width)
        noise = np.sqrt(self.scale * self.noise) * rng.standard_normal(inputs.shape[0])
        weights = prior + _widened(self.weights, len(prior)) - inputs.T @ self._solved(inputs @ prior + noise)
        return self.middle + rows @ weights

    def _inputs(self) -> csr_array:
        """The rows that were learnt from, with the columns that were met since."""
        return with_width(self.inputs, self.encoding.width)


class Ridge(Predictor):
    """Ridge regression. A draw is one on a resample of the data with replacement (Efron 1979), fitted when it is asked
    for; the mean is that on all data, and the standard deviation that of the Bayesian regression whose mean it is.

    penalty   of the squared weights

    Raises UserError for a penalty that is not above 0.
    """

    def __init__(self, encoding: Encoding, *, seed: int = 0, penalty: float = 0.03) -> None:
        if penalty <= 0:
            raise UserError(f"penalty is {penalty}; use more than 0")
        self.encoding, self.penalty = encoding, penalty
        self.genomes: list[Genome] = []
        self.products = np.zeros((0, 0))  # K of these

    def fit(self, genomes: Sequence[Genome], values: np.ndarray) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self.values = np.asarray(values, dtype=float)
        self.inputs = self.encoding.rows(genomes)
        same = len(self.genomes)
        if same > len(genomes) or self.genomes != list(genomes[:same]):
            same, self.products = 0, np.zeros((0, 0))
        new = _products(self.inputs[same:], self.inputs)  # what was known before need not be multiplied again
        self.products = np.block([[self.products, new[:, :same].T], [new]]) if same else new
        self.genomes = list(genomes)
        self.middle = float(self.values.mean())
        self.factor = cho_factor(self.products + self.penalty * np.eye(len(self.values)))
        solved = cho_solve(self.factor, self.values - self.middle)
        self.weights = self.inputs.T @ solved
        self.scale = (self.values - self.middle) @ solved / len(self.values)  # s² of the largest likelihood

    def mean(self, genomes: Sequence[Genome]) -> np.ndarray:
        rows = self.encoding.rows(genomes)
        return self.middle + rows @ _widened(self.weights, rows.shape[1])

    def predict(self, genomes: Sequence[Genome]) -> tuple[np.ndarray, np.ndarray]:
        from scipy.linalg import cho_solve

        rows = self.encoding.rows(genomes)
        shared = _products(rows, with_width(self.inputs, self.encoding.width))
        explained = (shared * cho_solve(self.factor, shared.T).T).sum(axis=1)
        variance = self.scale * (_squares(rows) - explained)
        return self.mean(genomes), np.sqrt(np.maximum(variance, 0))

    def draw(self, genomes: Sequence[Genome], rng: np.random.Generator) -> np.ndarray:
        from scipy.linalg import solve

        size = len(self.values)
        times = np.bincount(rng.integers(size, size=size), minlength=size)  # how often each is in the resample
        here = np.flatnonzero(times)
        mean = float(np.average(self.values[here], weights=times[here]))
        # X'CX w + penalty w = X'Cy, with C the times, is w = X' (K + penalty C^-1)^-1 y
        system = self.products[np.ix_(here, here)] + np.diag(self.penalty / times[here])
        weights = self.inputs[here].T @ solve(system, self.values[here] - mean, assume_a="pos")
        rows = self.encoding.rows(genomes)
        return mean + rows @ _widened(weights, rows.shape[1])


def _widened(weights: np.ndarray, width: int) -> np.ndarray:
    """With those of columns that were met since, which are zero."""
    return np.pad(weights, (0, width - len(weights)))


def _squares(rows: csr_array) -> np.ndarray:
    """The squared length of each row. `power` is not used, since it would sort the columns of all rows first."""
    return type(rows)((rows.data**2, rows.indices, rows.indptr), shape=rows.shape).sum(axis=1)


def _products(first: csr_array, second: csr_array) -> np.ndarray:
    """X Z': of each row of the one with each row of the other."""
    return (first @ second.T).toarray()
